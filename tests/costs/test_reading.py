"""Readings of the reference: what slows down by how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_measurements import blank, board
from torch import nn

from nas.costs.cost import Cost
from nas.costs.measuring.reference import Usual, usual_for
from nas.costs.reading import PRODUCT_WEIGHT, Reading, matrix_share, middle_reading
from nas.costs.trace import trace
from nas.plugins import default_registry

USUAL = Reading(0.05, 0.08)


def cost_of(module: nn.Module) -> Cost:
    return default_registry().cost_models["roofline"].price(trace(module, (64,)), board())


def test_the_same_reading_is_the_usual_speed():
    assert USUAL.slowness(USUAL, 0.3) == 1.0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_machine_that_is_slower_in_all_slows_down_everything(share):
    assert Reading(0.06, 0.096).slowness(USUAL, share) == pytest.approx(1.2)


def test_matrix_work_follows_the_product_and_all_else_the_convolution():
    now = Reading(0.05, 0.16)
    assert now.slowness(USUAL, 0.0) == pytest.approx(2.0)
    assert now.slowness(USUAL, 1.0) == pytest.approx(2.0 ** (1 - PRODUCT_WEIGHT))
    slowness = now.slowness(USUAL, np.array([0.0, 1.0, 0.4]))
    assert slowness == pytest.approx([now.slowness(USUAL, share) for share in (0.0, 1.0, 0.4)])


def test_the_mean_of_both_kernels_is_a_geometric_one():
    assert Reading(2.0, 8.0).mean_ms == pytest.approx(4.0)


def test_the_middle_of_readings_leaves_out_what_was_disturbed():
    """Of each kernel by itself; of two there is the mean."""
    readings = [Reading(1.0, 2.0), Reading(50.0, 2.1), Reading(1.1, 90.0)]
    assert middle_reading(readings) == Reading(1.1, 2.1)
    assert middle_reading([Reading(1.0, 2.0), Reading(4.0, 8.0)]) == Reading(2.0, 4.0)
    assert middle_reading(readings[:1]) == readings[0]


def test_the_share_of_matrix_work_is_that_of_predicted_time():
    only, none = cost_of(nn.Linear(64, 64)), cost_of(nn.ReLU())
    both = cost_of(nn.Sequential(nn.Linear(64, 64), nn.ReLU()))
    assert (matrix_share(only), matrix_share(none)) == (1.0, 0.0)
    linear, relu = (operator.latency_ms for operator in both.operators)
    assert matrix_share(both) == pytest.approx(linear / (linear + relu))
    assert matrix_share(replace(both, operators=())) == 0.0


def test_a_network_is_told_at_the_speed_of_a_calibration_that_has_one():
    cost = cost_of(nn.ReLU())
    assert usual_for(board(), cost) is None
    assert usual_for(board(blank()), cost) is None
    assert usual_for(board(replace(blank(), reference=USUAL)), cost) == Usual(USUAL, 0.0)
