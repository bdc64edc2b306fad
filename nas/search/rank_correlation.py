"""Rank correlations: whether one order of networks resembles another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from nas.errors import UsageError

FEWEST = 4
"""Pairs below which a correlation has no interval."""


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Spearman's rho, from -1 to 1; ties share their mean rank. 0 where one side is constant.

    >>> spearman([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    first, second = (ranks(values) - (len(one) + 1) / 2 for values in _checked(one, other))
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return max(-1.0, min(1.0, float(first @ second) / scale)) if scale else 0.0


def kendall(one: Sequence[float], other: Sequence[float]) -> float:
    """Kendall's tau-b, from -1 to 1, in n log n; 0 where one side is constant.

    >>> kendall([1, 2, 3], [1, 3, 2])
    0.3333333333333333
    """
    first, second = (_dense(values) for values in _checked(one, other))
    pairs = len(first) * (len(first) - 1) // 2
    tied_first, tied_second = _tied(first), _tied(second)
    tied_both = _tied(first * (int(second.max(initial=0)) + 1) + second)
    against = _inversions(second[np.lexsort((second, first))])
    agreeing = pairs - tied_first - tied_second + tied_both - 2 * against
    scale = math.sqrt((pairs - tied_first) * (pairs - tied_second))
    return agreeing / scale if scale else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value from 1, ties at their mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: np.ndarray = last - (counts - 1) / 2
    return mean[place]


def interval(rho: float, count: int, confidence: float = 0.9) -> tuple[float, float]:
    """The two-sided interval of Spearman's rho over `count` pairs; (-1, 1) for fewer than 4.

    By Fisher's z, with the variance (1 + rho² / 2) / (n - 3) (Bonett & Wright, Psychometrika 65, 2000).
    """
    if count < FEWEST:
        return -1.0, 1.0
    z = math.atanh(max(-1 + 1e-12, min(1 - 1e-12, rho)))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt((1 + rho**2 / 2) / (count - 3))
    return math.tanh(z - reach), math.tanh(z + reach)


def _checked(one: Sequence[float], other: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    first, second = (np.asarray(values, dtype=np.float64).ravel() for values in (one, other))
    if len(first) != len(second):
        raise UsageError(f"a correlation takes pairs, not {len(first)} and {len(second)} values")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise UsageError("a correlation takes finite values only")
    return first, second


def _dense(values: np.ndarray) -> np.ndarray:
    """The place of each value among the distinct ones, from 0."""
    _, places = np.unique(values, return_inverse=True)
    dense: np.ndarray = places.astype(np.int64)
    return dense


def _tied(places: np.ndarray) -> int:
    """How many pairs share their place."""
    _, counts = np.unique(places, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _inversions(places: np.ndarray) -> int:
    """How many pairs stand in falling order.

    The numbers of a falling pair part at one bit, the first one having it: bit by bit, those with the same
    higher bits are looked at together.
    """
    total = 0
    for bit in range(int(places.max(initial=0)).bit_length()):
        order = np.argsort(places >> (bit + 1), kind="stable")
        group, has = (places >> (bit + 1))[order], ((places >> bit) & 1)[order]
        before = np.cumsum(has) - has
        _, start, place = np.unique(group, return_index=True, return_inverse=True)
        total += int(((before - before[start][place]) * (1 - has)).sum())
    return total
