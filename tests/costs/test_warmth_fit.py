"""How much quicker short networks are, from made-up ones."""

from __future__ import annotations

import numpy as np
import pytest

from nas.costs.calibration import Warmth
from nas.costs.measuring.warmth import LEAST_NETWORKS, MOST_POWER, fit_warmth

PREDICTED = np.geomspace(0.05, 20.0, 101)


def noise(width: float = 0.02) -> np.ndarray:
    return np.exp(np.random.default_rng(0).normal(0.0, width, len(PREDICTED)))


@pytest.mark.parametrize("truth", [Warmth(1.0, 0.1), Warmth(3.0, 0.05), Warmth(0.6, 0.2)])
def test_what_is_quicker_is_found(truth):
    found = fit_warmth(PREDICTED, PREDICTED * truth.factors(PREDICTED) * noise())
    assert found is not None
    assert found.factors(PREDICTED) == pytest.approx(truth.factors(PREDICTED), rel=0.05)


def test_networks_that_are_as_predicted_have_none():
    assert fit_warmth(PREDICTED, PREDICTED * noise()) is None
    assert fit_warmth(PREDICTED, PREDICTED) is None


def test_short_networks_that_are_slower_have_none():
    """That would be an overhead, which operators have."""
    assert fit_warmth(PREDICTED, PREDICTED / Warmth(1.0, 0.2).factors(PREDICTED)) is None


def test_no_network_takes_next_to_nothing():
    found = fit_warmth(PREDICTED, PREDICTED * Warmth(20.0, 0.9).factors(PREDICTED))
    assert found is not None and found.power == MOST_POWER


def test_few_networks_or_alike_ones_do_not_tell():
    few = PREDICTED[: LEAST_NETWORKS - 1]
    assert fit_warmth(few, few * Warmth(20.0, 0.3).factors(few)) is None
    alike = np.full(50, 1.0)
    assert fit_warmth(alike, 0.5 * alike) is None
    assert fit_warmth([], []) is None
