"""What measured operators say: their own part, told apart from the launch."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from made_up_measurements import FLOOR_MS, blank, board, kernel, sample
from torch import nn

from nas.costs.measuring.samples import distinct, sample_of, samples_of
from nas.costs.trace import trace
from nas.costs.traffic import TRAFFICS
from nas.plugins import default_registry


@pytest.fixture
def model():
    return default_registry().cost_models["roofline"]


def test_what_a_kernel_says_leaves_out_the_launch(model):
    found = sample_of(kernel(model, nn.Linear(1024, 1024), (1024,), 3.0), board(blank()), model)
    assert found is not None and found.operator.kind == "gemm"
    assert math.exp(found.log_factor()) == pytest.approx(3.0)
    assert found.rest_ms == pytest.approx(FLOOR_MS, rel=0.05)


def test_a_kernel_without_a_dominant_operator_says_nothing(model):
    module = nn.Sequential(nn.Linear(512, 512), nn.Linear(512, 512))
    assert sample_of(kernel(model, module, (512,), 3.0), board(blank()), model) is None


def test_each_operator_of_a_network_says_its_own(model):
    found = trace(nn.Sequential(nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 512)), (1024,))
    plain = [operator.latency_ms for operator in model.price(found, board(blank())).operators]
    latencies = [factor * (time - FLOOR_MS) + FLOOR_MS for factor, time in zip((2, 3, 4), plain, strict=True)]
    samples = samples_of(found, latencies, board(blank()), model)
    assert [one.operator.name for one in samples] == ["linear", "relu", "linear"]
    assert [math.exp(one.log_factor()) for one in samples] == pytest.approx([2, 3, 4], rel=1e-6)


def test_operators_know_what_their_network_moves(model):
    """Held to what is measured of networks: this one moves less."""
    found = trace(nn.Sequential(nn.Linear(64, 64), nn.ReLU()), (64,))
    large = trace(nn.Linear(1024, 1024), (1024,))
    for network, moved in ((found, TRAFFICS[0]), (large, large.bytes_moved)):
        samples = samples_of(network, [0.1] * len(network.operators), board(blank()), model)
        assert {one.traffic for one in samples} == {moved}


def test_what_took_no_time_says_nothing(model):
    found = trace(nn.Sequential(nn.Linear(64, 64), nn.ReLU()), (64,))
    assert [one.operator.name for one in samples_of(found, [0.0, 0.1], board(blank()), model)] == ["relu"]


def test_operators_that_are_alike_are_one_sample():
    """Where they stand and what they read makes no difference; their mean is that of logarithms."""
    first, other = sample(1.0), sample(4.0)
    elsewhere = replace(other, operator=replace(other.operator, module="head", sources=((0, 8),)))
    larger = sample(7.0, flops=2000)
    found = distinct([first, elsewhere, larger])
    assert [one.latency_ms for one in found] == pytest.approx([2.0, 7.0])
    assert found[0].operator == first.operator
    assert distinct([]) == []


def test_operators_in_networks_of_another_traffic_are_not_alike():
    small, same, large = (replace(sample(1.0), traffic=traffic) for traffic in (4e6, 4.4e6, 30e6))
    assert [one.traffic for one in distinct([small, same, large])] == [4e6, 30e6]
