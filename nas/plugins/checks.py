"""What can be wrong with a plugin, each in one sentence."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from nas._lazy import resolve
from nas.errors import nearest
from nas.plugins import hookspecs

ITEMS: Mapping[str, str] = {
    "nas_blocks": "nas.blocks.block:Block",
    "nas_targets": "nas.costs.target:Target",
    "nas_cost_models": "nas.costs.model:CostModel",
    "nas_operator_rules": "nas.costs.operator_rule:OperatorRule",
    "nas_spaces": "nas.spaces.source:SpaceSource",
    "nas_tasks": "nas.training.task:Task",
    "nas_searchers": "nas.search.searcher:SearcherFactory",
    "nas_proxies": "nas.training.proxy:Proxy",
    "nas_exporters": "nas.export.exporter:Exporter",
    "nas_commands": "nas.cli.command:Command",
}
"""What each hook returns; the classes are imported when a hook has given something."""


def version_problem(module: Any) -> str | None:
    """Why a plugin that declares ``NAS_API_VERSION`` cannot work here, or None."""
    declared = getattr(module, "NAS_API_VERSION", hookspecs.API_VERSION)
    if isinstance(declared, bool) or not isinstance(declared, int):
        return f"NAS_API_VERSION is {declared!r:.60}; it must be an integer such as {hookspecs.API_VERSION}"
    if declared > hookspecs.API_VERSION:
        return (
            f"made for plugin API {declared}; this nas has {hookspecs.API_VERSION}. Upgrade nas, or install "
            "an older version of the plugin"
        )
    if declared < hookspecs.OLDEST_API_VERSION:
        return (
            f"made for plugin API {declared}; this nas needs {hookspecs.OLDEST_API_VERSION} or newer. "
            "Upgrade the plugin"
        )
    return None


def hook_problem(module: Any) -> str | None:
    """What is wrong with the hook implementations of a module, or None."""
    known = hooks()
    marked = [
        (name, function)
        for name, function in inspect.getmembers(module, callable)
        if getattr(function, f"{hookspecs.GROUP}_impl", None) is not None
    ]
    if not marked:
        return "it implements no hook; mark its functions with nas.hookimpl"
    for name, function in marked:
        if name not in known:
            match = nearest(name, known)
            return f"unknown hook {name!r}" + (f"; did you mean {match!r}?" if match else "")
        allowed = set(inspect.signature(known[name]).parameters)
        extra = set(inspect.signature(function).parameters) - allowed
        if extra:
            return f"hook {name!r} takes {sorted(allowed) or 'no arguments'}, not {sorted(extra)}"
    return None


def hooks() -> dict[str, Any]:
    """Every hook by name."""
    return {name: value for name, value in vars(hookspecs).items() if name.startswith("nas_")}


def items_problem(hook: str, returned: object) -> str | None:
    """What is wrong with what a hook returned, or None."""
    expected = resolve(ITEMS[hook])
    what = f"an iterable of {expected.__name__}"
    if not isinstance(returned, Iterable):
        return f"{hook} returned {_kind(returned)}, not {what}"
    items = list(returned)
    for item in items:
        if not isinstance(item, expected):
            return f"{hook} returned {_kind(item)} where {what} is expected"
        if not isinstance(item.name, str) or not item.name or not item.name.isprintable() or " " in item.name:
            return f"{hook} returned a {expected.__name__} whose name is {item.name!r:.60}"
    twice = [name for name, count in Counter(item.name for item in items).items() if count > 1]
    return f"{hook} returned {twice[0]!r} twice" if twice else None


def _kind(value: object) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
