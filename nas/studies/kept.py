"""With which probability a network keeps the limits of its study, where they are on a predicted latency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from nas.costs.confidence import cost_of, probability_within, split_quantile
from nas.search.per_target import target_of

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.search.objective import Constraint
    from nas.search.study import StudySpec


def kept_probabilities(spec: StudySpec, costs: Iterable[Cost]) -> dict[str, float]:
    """Each limit on a latency, whatever its confidence (``latency<=2``) → the probability that it is kept."""
    names = dict(zip(spec.target_labels, spec.target_names, strict=False))
    by_target = {names.get(cost.target, cost.target): cost for cost in costs}
    found = {}
    for limit in latency_limits(spec.constraints) if spec.target_names else ():
        cost = by_target.get(target_of(limit.name, spec.target_names) or "")
        if cost is not None:
            within = probability_within(cost, limit.limit)
            found[median_text(limit)] = within if limit.operator == "<=" else 1 - within
    return found


def latency_limits(constraints: Sequence[Constraint]) -> list[Constraint]:
    """Those that are on a latency."""
    return [limit for limit in constraints if cost_of(limit.name) == "latency"]


def median_text(limit: Constraint) -> str:
    """A limit without its confidence: ``latency@a100<=2``."""
    return f"{split_quantile(limit.name)[0]}{limit.operator}{limit.limit:g}"
