"""The interval of a calibration for each sort of network."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from made_up_measurements import blank, board, kernel
from torch import nn

from nas.costs.calibration import Bounds
from nas.costs.cost import Cost
from nas.costs.measuring.bounds import LEAST_NETWORKS, bounds_of_sorts
from nas.costs.measuring.scales import scaled_to
from nas.costs.trace import trace
from nas.plugins import default_registry

MODEL = default_registry().cost_models["roofline"]
CONVOLUTION, LAYER = nn.Conv2d(8, 8, 3), nn.Linear(64, 64)


def cost_of(module: nn.Module, *shape: int) -> Cost:
    return MODEL.price(trace(module, shape), board())


def pictures(number: int) -> list[Cost]:
    return [cost_of(CONVOLUTION, 8, 16, 16)] * number


def perceptrons(number: int) -> list[Cost]:
    return [cost_of(LAYER, 64)] * number


def test_each_sort_has_the_bounds_of_its_own_networks():
    errors = [[0.1, -0.1]] * 40 + [[0.5, -0.2]] * LEAST_NETWORKS
    (low, high), bounds = bounds_of_sorts([*pictures(40), *perceptrons(LEAST_NETWORKS)], errors)
    assert (low, high) == pytest.approx((math.exp(-0.1), math.exp(0.1)))
    assert set(bounds) == {"gemm", "bmm", "sdpa", "sparse"}
    assert bounds["gemm"].high == pytest.approx(math.exp(0.5))
    assert bounds["gemm"].low == pytest.approx(math.exp(-0.5)), "too high is as likely as too low"


def test_few_networks_of_a_sort_are_as_all_others():
    """And theirs are no surer for it."""
    few = LEAST_NETWORKS - 1
    (_, high), bounds = bounds_of_sorts([*pictures(40), *perceptrons(few)], [[0.1]] * 40 + [[0.5]] * few)
    assert bounds == {} and high == pytest.approx(math.exp(0.5))


def test_networks_of_one_sort_have_one_interval():
    (_, high), bounds = bounds_of_sorts(perceptrons(30), [[0.3]] * 30)
    assert bounds == {} and high == pytest.approx(math.exp(0.3))


def test_a_network_lies_between_the_bounds_of_its_parts():
    calibration = replace(blank(), low=0.9, high=1.1, bounds={"gemm": Bounds(0.5, 2.0)})
    on = board(calibration, "x86-cpu")
    both = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    cost = MODEL.price(trace(both, (64,)), on)
    linear, relu = (operator.latency_ms for operator in cost.operators)
    assert cost.low_ms == pytest.approx(0.5 * linear + 0.9 * relu)
    assert cost.high_ms == pytest.approx(2.0 * linear + 1.1 * relu)


def test_networks_of_a_space_replace_all_bounds():
    calibration = replace(blank(), bounds={"gemm": Bounds(0.5, 2.0)})
    found = scaled_to(board(calibration), MODEL, [kernel(MODEL, LAYER, (64,), 1.5)]).calibration
    assert found is not None and found.bounds == {}
