"""Rules of operators that other libraries add to torch, as plugins describe them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas._lazy import resolve
from nas.costs.call import Call, Rule, Work
from nas.costs.operator_rule import OperatorRule
from nas.costs.operators import KINDS
from nas.errors import PluginError


def rule_of_plugin(name: str) -> Rule | None:
    """The rule that a plugin offers for ``library::operator``, or None."""
    from nas.plugins import default_registry

    rules = default_registry().operator_rules
    return working(rules[name], rules.provider(name)) if name in rules else None


def working(described: OperatorRule, owner: object) -> Rule:
    """The rule that a description stands for; `owner` is named where something is wrong with it.

    Raises PluginError for a kind that there is not, and the rule does where a function raises or returns what
    no work can be.
    """
    label = f"operator rule {described.name!r} of plugin {owner}"
    if described.kind not in KINDS:
        raise PluginError(f"{label} has the kind {described.kind!r}. The kinds are {', '.join(KINDS)}.")

    def work(call: Call) -> Work:
        macs = 0 if described.macs is None else int(_asked(described.macs, call))
        flops = 2 * macs if described.flops is None else int(_asked(described.flops, call))
        moved = None if described.bytes is None else _pair(_asked(described.bytes, call))
        if min(macs, flops, *(moved or ())) < 0:
            raise ValueError("a count is negative")
        dims = {} if described.dims is None else dict(_asked(described.dims, call))
        return Work(described.kind, macs, flops, tuple(dims.items()), moved)

    def rule(call: Call) -> Work:
        try:
            return work(call)
        except Exception as error:
            raise PluginError(f"{label} raised {type(error).__name__}: {error}") from error

    return rule


def _asked(reference: Callable[[Call], Any] | str, call: Call) -> Any:
    function = resolve(reference) if isinstance(reference, str) else reference
    return function(call)


def _pair(moved: Any) -> tuple[int, int]:
    read, written = moved
    return int(read), int(written)
