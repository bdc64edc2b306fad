"""The first candidates of a search: spread over the known cost, and as different as they can be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nas.search.searchers.design import log_costs, places
from nas.search.searchers.pool import Candidates

NEAR_SHARE = 150
NEAR_LEAST = 4
"""Of the candidates nearest to a place on the cost axis one in 150 is looked at, at least four."""


def spread_start(candidates: Candidates, axis: int | None, rng: np.random.Generator) -> Iterator[int]:
    """Rows of candidates without end of places: the cheapest, the dearest, the middle, the quarters, ...

    `axis` is the column of the known value that is spread over, on a logarithmic scale; None where nothing is
    known. Of the candidates near a place that one is taken whose choices differ most from those before.
    """
    free = np.ones(len(candidates), dtype=np.bool_)
    costs = log_costs(candidates.known[:, axis].tolist()) if axis is not None else np.zeros(len(candidates))
    distance = np.full(len(candidates), np.inf)
    near = max(NEAR_LEAST, len(candidates) // NEAR_SHARE) if axis is not None else len(candidates)
    for place in places(len(candidates)):
        goal = costs.min() + place * (costs.max() - costs.min())
        order = np.lexsort((rng.random(len(costs)), np.abs(costs - goal), ~free))
        around = order[: min(near, int(free.sum()))]
        row = int(around[0] if np.isinf(distance).all() else around[np.argmax(distance[around])])
        free[row] = False
        distance = np.minimum(distance, _distances(candidates, row))
        yield row


def _distances(candidates: Candidates, row: int) -> NDArray[np.float64]:
    """How much the choices of each candidate differ from those of one."""
    choices = candidates.features.choices
    return np.asarray(((choices - choices[row]) ** 2).sum(axis=1))
