"""What a network moves in one run, and between which of the measured traffics that lies."""

from __future__ import annotations

import numpy as np
import pytest

from nas.costs.traffic import TRAFFICS, in_range, traffic_shares


def test_shares_are_those_of_the_traffics_on_either_side():
    found = traffic_shares(np.geomspace(1.0, 1e12, 200))
    assert found.shape == (200, len(TRAFFICS))
    assert found.sum(axis=1) == pytest.approx(np.ones(200))
    assert (found >= 0).all() and ((found > 0).sum(axis=1) <= 2).all()
    assert (np.diff(found @ np.arange(len(TRAFFICS))) >= -1e-12).all(), "more traffic counts as more"


@pytest.mark.parametrize("place", range(len(TRAFFICS)))
def test_a_measured_traffic_counts_alone(place):
    assert traffic_shares([TRAFFICS[place]])[0] == pytest.approx(np.eye(len(TRAFFICS))[place])


def test_nothing_is_extrapolated():
    low, high = traffic_shares([0.0, 1e15])
    assert low.tolist() == [1, 0, 0, 0, 0] and high.tolist() == [0, 0, 0, 0, 1]
    assert (in_range(0.0), in_range(3e6), in_range(1e15)) == (TRAFFICS[0], 3e6, TRAFFICS[-1])


def test_shares_of_no_networks():
    assert traffic_shares([]).shape == (0, len(TRAFFICS))
