"""Trust: earned by a good proxy, never by noise, lost by a harmful one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nas.errors import UsageError
from nas.search.trust import FEWEST, is_harmful, judge, trust


def pairs(correlation: float, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Values of a proxy beside results of this (Pearson) correlation."""
    rng = np.random.default_rng(seed)
    results = rng.normal(size=count)
    noise = math.sqrt(1 - correlation**2) * rng.normal(size=count)
    return correlation * results + noise, results


def weights(correlation: float, count: int) -> list[float]:
    return [trust(*pairs(correlation, count, seed)) for seed in range(100)]


def test_a_good_proxy_is_trusted() -> None:
    found = weights(0.8, 50)
    assert np.quantile(found, 0.1) > 0.5
    assert max(found) <= 1
    assert not any(is_harmful(*pairs(0.8, 50, seed)) for seed in range(100))


def test_noise_is_not() -> None:
    found = weights(0.0, 50)
    assert np.mean(found) < 0.03
    assert np.quantile(found, 0.8) < 0.02
    assert max(found) < 0.4


def test_a_harmful_proxy_is_dropped() -> None:
    judged = [judge(*pairs(-0.5, 50, seed)) for seed in range(100)]
    assert all(found.weight == 0 for found in judged)
    assert sum(found.is_harmful for found in judged) > 95


def test_trust_grows_with_the_results() -> None:
    found = [np.mean(weights(0.6, count)) for count in (10, 30, 100, 300)]
    assert found == sorted(found)


@pytest.mark.parametrize("count", [0, 1, 3, FEWEST - 1])
def test_few_results_earn_nothing_and_condemn_nobody(count: int) -> None:
    values = list(range(count))
    assert judge(values, values).weight == 0.0
    assert not is_harmful(values, values[::-1])


def test_from_the_eighth_result_on_a_perfect_proxy_is_trusted() -> None:
    values = list(range(FEWEST))
    found = judge(values, values)
    assert found.weight > 0.9
    assert found.count == FEWEST
    assert found.correlation == 1.0
    assert is_harmful(values, values[::-1])


def test_a_constant_proxy_earns_nothing() -> None:
    found = judge([1.0] * 20, list(range(20)))
    assert (found.weight, found.is_harmful) == (0.0, False)


def test_only_the_order_counts() -> None:
    values, results = pairs(0.7, 40, 0)
    assert trust(np.exp(5 * values), results**3) == pytest.approx(trust(values, results))


def test_what_is_not_finite_is_refused() -> None:
    with pytest.raises(UsageError, match="finite"):
        trust([math.inf] * 9, list(range(9)))
