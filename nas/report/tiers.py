"""What the costs of a study rest on: no predicted figure is shown without its tier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from nas.search.per_target import target_of

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.search.study import StudySpec


def tiers_of(spec: StudySpec, costs: Iterable[Cost]) -> dict[str, str]:
    """The name of each target → the tier of its costs: ``T0``, or ``T0/T4`` where some were measured."""
    names = dict(zip(spec.target_labels, spec.target_names, strict=False))
    found: dict[str, set[str]] = {}
    for cost in costs:
        found.setdefault(names.get(cost.target, cost.target), set()).add(cost.tier)
    return {name: "/".join(sorted(tiers)) for name, tiers in found.items()}


def tier_of(name: str, targets: Sequence[str], tiers: Mapping[str, str]) -> str:
    """The tier of an objective or limit; nothing for a metric, and for what is exact (params, MACs).

    >>> tier_of("latency_p90@a100", ("a100",), {"a100": "T0"}), tier_of("params", ("a100",), {"a100": "T0"})
    ('T0', '')
    """
    target = target_of(name, targets) if targets else None
    return tiers.get(target, "") if target is not None else ""


def with_tier(text: str, tier: str) -> str:
    """A heading with the tier of what stands below it: ``latency on a100 (T0)``."""
    return f"{text} ({tier})" if tier else text
