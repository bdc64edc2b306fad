"""The first architectures of a search: spread over what they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nas.search.prices import Pricing

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture
    from nas.spaces.space import Space

POOL = 96
"""Few, since the first price of a new block instance takes milliseconds in a cost table."""

DESCENTS = 40
DESCENT_WIDTH = 8


def spread_design(
    space: Space, pricing: Pricing, name: str, count: int, rng: np.random.Generator
) -> list[Architecture]:
    """Up to `count` different architectures, evenly spread over the logarithm of the known value `name`.

    The cheapest comes first, then the dearest, the middle, the quarters, ..., so that the first few already
    cover the range. All keep the known constraints; fewer where the pool holds no more.
    """
    pool = {a.hash: a for a in (space.sample(rng) for _ in range(POOL))}
    candidates = _allowed(list(pool.values()), pricing, name)
    if not candidates:
        return []
    candidates += cheaper_ones(space, pricing, name, min(candidates, key=lambda c: c[1])[0], rng)
    candidates.sort(key=lambda candidate: (candidate[1], candidate[0].hash))
    costs = log_costs([cost for _, cost in candidates])
    return [candidates[index][0] for index in _spread(costs, count)]


def log_costs(costs: Sequence[float]) -> NDArray[np.float64]:
    """Costs on a logarithmic scale where all are above zero, as they are otherwise."""
    values = np.asarray(costs, dtype=np.float64)
    return np.log(values) if len(values) and (values > 0).all() else values


def _allowed(
    architectures: Sequence[Architecture], pricing: Pricing, name: str
) -> list[tuple[Architecture, float]]:
    """The architectures that keep the constraints, each with the known value."""
    priced = zip(architectures, pricing.values(architectures), strict=True)
    return [(a, v[name]) for a, v in priced if pricing.is_allowed(v) and math.isfinite(v[name])]


def cheaper_ones(
    space: Space, pricing: Pricing, name: str, start: Architecture, rng: np.random.Generator
) -> list[tuple[Architecture, float]]:
    """A short descent from a cheap architecture, each step with its value: random ones seldom come near the
    cheap end of a space."""
    found: list[tuple[Architecture, float]] = []
    if space.size() == 1:
        return found
    best = _allowed([start], pricing, name)[0]
    for _ in range(DESCENTS):
        steps = _allowed([space.mutate(best[0], rng) for _ in range(DESCENT_WIDTH)], pricing, name)
        cheapest = min([best, *steps], key=lambda candidate: candidate[1])
        if cheapest is not best:
            best = cheapest
            found.append(best)
    return found


def _spread(costs: NDArray[np.float64], count: int) -> list[int]:
    """Indices of ascending costs, each the nearest unused one to the next place of the range."""
    chosen: list[int] = []
    free = np.ones(len(costs), dtype=np.bool_)
    for place in places(min(count, len(costs))):
        goal = costs[0] + place * (costs[-1] - costs[0])
        distance = np.where(free, np.abs(costs - goal), np.inf)
        index = int(np.argmin(distance))
        free[index] = False
        chosen.append(index)
    return chosen


def places(count: int) -> list[float]:
    """0, 1, then halves, quarters, eighths, ... between."""
    places = [0.0, 1.0]
    step = 1
    while len(places) < count:
        step *= 2
        places += [number / step for number in range(1, step, 2)]
    return places[:count]
