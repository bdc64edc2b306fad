"""The interval of a calibration, for networks of each sort: convolutions are predicted more surely than
perceptrons, whose weights lie in the caches of one network and not of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.calibration import Bounds
from nas.costs.measuring.scales import interval

if TYPE_CHECKING:
    from nas.costs.cost import Cost

SORTS = (frozenset({"gemm", "bmm", "sdpa", "sparse"}), frozenset({"rnn"}))
"""Kinds of operators; a network of which these take most of the time has bounds of its own."""
MOST = 0.5
LEAST_NETWORKS = 10
"""Fewer networks of a sort have the bounds of all others."""


def bounds_of_sorts(
    costs: Sequence[Cost], errors: Sequence[Sequence[float]]
) -> tuple[tuple[float, float], dict[str, Bounds]]:
    """The factors between which latencies lie with 90 %, and the bounds of each kind of SORTS, from networks
    that were left out: what was predicted of each, and by how much it was off in each round, as a log."""
    of_sorts: dict[frozenset[str] | None, list[Sequence[float]]] = defaultdict(list)
    for cost, off in zip(costs, errors, strict=True):
        of_sorts[_sort_of(cost)].append(off)
    own = {
        sort: of_sorts.pop(sort)
        for sort in SORTS
        if len(of_sorts[sort]) >= LEAST_NETWORKS and len(of_sorts[sort]) < len(costs)
    }
    others = [off for found in of_sorts.values() for off in found]
    bounds = {kind: Bounds(*_interval(found)) for sort, found in own.items() for kind in sorted(sort)}
    return _interval(others or errors), bounds


def _sort_of(cost: Cost) -> frozenset[str] | None:
    whole = sum(operator.latency_ms for operator in cost.operators)
    for sort in SORTS:
        own = sum(operator.latency_ms for operator in cost.operators if operator.kind in sort)
        if own > MOST * whole:
            return sort
    return None


def _interval(errors: Sequence[Sequence[float]]) -> tuple[float, float]:
    return interval(np.array([abs(error) for off in errors for error in off]))
