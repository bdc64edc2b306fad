"""Rank correlations against scipy, with ties and without."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from nas.errors import UsageError
from nas.search.rank_correlation import interval, kendall, ranks, spearman


@pytest.mark.parametrize("levels", [2, 3, 7, 1000])
@pytest.mark.parametrize("count", [2, 3, 10, 57, 300])
def test_both_are_scipys(count: int, levels: int) -> None:
    rng = np.random.default_rng(count + levels)
    for _ in range(5):
        one = rng.integers(levels, size=count).astype(float)
        other = np.round(one + rng.integers(levels, size=count), 1)
        if len(set(one)) == 1 or len(set(other)) == 1:
            continue
        assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
        assert kendall(one, other) == pytest.approx(stats.kendalltau(one, other).statistic, abs=1e-12)
        assert np.array_equal(ranks(one), stats.rankdata(one))


def test_known_values() -> None:
    assert spearman([1, 2, 3], [10, 100, 1000]) == 1.0
    assert spearman([1, 2, 3], [3, 2, 1]) == -1.0
    assert kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
    assert kendall([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(2 * 3))


@pytest.mark.parametrize("values", [([], []), ([1.0], [2.0]), ([1, 1, 1], [1, 2, 3]), ([1, 2], [5, 5])])
def test_what_has_no_order_correlates_with_nothing(values: tuple[list[float], list[float]]) -> None:
    assert spearman(*values) == 0.0
    assert kendall(*values) == 0.0


@pytest.mark.parametrize("function", [spearman, kendall])
def test_bad_values_are_refused(function: object) -> None:
    assert callable(function)
    with pytest.raises(UsageError, match="pairs, not 2 and 3"):
        function([1, 2], [1, 2, 3])
    with pytest.raises(UsageError, match="finite values only"):
        function([1, math.nan], [1, 2])


def test_kendall_of_many_is_quick() -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=100_000)
    assert kendall(one, one + rng.normal(size=100_000)) == pytest.approx(0.5, abs=0.01)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, truth = np.random.default_rng(0), 6 / math.pi * math.asin(0.6 / 2)
    held = 0
    for _ in range(400):
        one = rng.normal(size=40)
        other = 0.6 * one + 0.8 * rng.normal(size=40)
        low, high = interval(spearman(one, other), 40)
        held += low <= truth <= high
    assert 0.86 < held / 400 < 0.94


def test_the_interval_of_few_pairs_says_nothing() -> None:
    assert interval(1.0, 3) == (-1.0, 1.0)
    low, high = interval(1.0, 4)
    assert -1 <= low <= high <= 1


def test_the_interval_narrows_with_pairs_and_widens_with_confidence() -> None:
    widths = [high - low for low, high in (interval(0.5, n) for n in (5, 20, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
    assert interval(0.5, 50, 0.99)[0] < interval(0.5, 50, 0.6)[0] < 0.5
