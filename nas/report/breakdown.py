"""Where a network's latency goes: its operators on one target, the most expensive first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.errors import NasError
from nas.report.text import clean, first_line

if TYPE_CHECKING:
    from nas.costs.cost import Cost, OperatorCost
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.search.study import StudySpec
    from nas.spaces.architecture import Architecture

SHOWN = 12
BOUNDS = ("compute", "memory", "launch")


@dataclass(frozen=True)
class Breakdown:
    """One network on one target: the cost, its most expensive operators, and what bounds it.

    `shares` gives what part (0 to 1) of the latency of all operators each bound holds; `note` says why there
    is no cost.
    """

    target: str
    cost: Cost | None = None
    operators: tuple[OperatorCost, ...] = ()
    shares: tuple[tuple[str, float], ...] = ()
    shown_share: float = 0.0
    total_ms: float = 0.0
    note: str = ""


def study_targets(spec: StudySpec, registry: Registry) -> list[Target | Breakdown]:
    """The targets of a study; one that cannot be read any more stands as a Breakdown with a note."""
    from nas.costs import resolve_target

    found: list[Target | Breakdown] = []
    names = spec.target_names or spec.targets
    for reference, name in zip(spec.targets, names, strict=False):
        try:
            target = resolve_target(reference, registry, **dict(spec.target_overrides))
            found.append(replace(target, name=name))
        except NasError as error:
            found.append(Breakdown(clean(name), note=first_line(str(error), 300)))
    return found


def breakdowns(
    architecture: Architecture, targets: Sequence[Target | Breakdown], registry: Registry, cost_model: str
) -> tuple[Breakdown, ...]:
    """The operators of a network on each target, by the study's cost model with what is installed now."""
    if architecture.network is None:
        return ()
    return tuple(_breakdown(architecture, target, registry, cost_model) for target in targets)


def _breakdown(
    architecture: Architecture, target: Target | Breakdown, registry: Registry, cost_model: str
) -> Breakdown:
    if isinstance(target, Breakdown):
        return target
    from nas.costs import estimate_architecture

    try:
        return summarise(target.name, estimate_architecture(architecture, target, registry, cost_model))
    except NasError as error:
        return Breakdown(clean(target.name), note=first_line(str(error), 300))


def summarise(target: str, cost: Cost) -> Breakdown:
    """The breakdown of a cost that has its operators."""
    ordered = sorted(cost.operators, key=lambda op: -op.latency_ms)
    total = sum(op.latency_ms for op in ordered)
    shares = []
    for bound in dict.fromkeys([*BOUNDS, *(op.bound for op in ordered)]):
        part = sum(op.latency_ms for op in ordered if op.bound == bound)
        if part > 0:
            shares.append((bound, part / total))
    shown = sum(op.latency_ms for op in ordered[:SHOWN])
    return Breakdown(
        clean(target), cost, tuple(ordered[:SHOWN]), tuple(shares), shown / total if total else 0.0, total
    )
