"""How far a proxy may be believed, by what training found so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.search.rank_correlation import interval, spearman

FEWEST = 8
"""Results below which nothing is believed."""
ONE_SIDED = 0.8


@dataclass(frozen=True)
class Trust:
    """What a proxy has earned: its `weight` from 0 to 1, and whether it `is_harmful` and should be dropped.

    `correlation` is Spearman's rho over `count` results.
    """

    weight: float
    is_harmful: bool
    correlation: float
    count: int


def judge(proxy_values: Sequence[float], results: Sequence[float]) -> Trust:
    """What a proxy has earned by its values of trained networks beside the results; more is better in both.

    The weight is the lower end of the one-sided 80 % interval of Spearman's rho, and 0 before 8 results: a
    proxy starts without any trust, and chance alone seldom earns it some. It is harmful where the upper end
    is 0 or less. Give the negatives of what is to be small.
    """
    rho, count = spearman(proxy_values, results), len(results)
    if count < FEWEST:
        return Trust(0.0, False, rho, count)
    low, high = interval(rho, count, 2 * ONE_SIDED - 1)
    return Trust(max(0.0, low), high <= 0, rho, count)


def trust(proxy_values: Sequence[float], results: Sequence[float]) -> float:
    """The weight, from 0 to 1, that a proxy has earned: see `judge`."""
    return judge(proxy_values, results).weight


def is_harmful(proxy_values: Sequence[float], results: Sequence[float]) -> bool:
    """Whether a proxy orders networks the wrong way round, as far as one can tell: see `judge`."""
    return judge(proxy_values, results).is_harmful
