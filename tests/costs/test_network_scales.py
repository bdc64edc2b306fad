"""Scaling calibrations to whole networks: known answers from made-up measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from made_up_measurements import blank, board, kernel
from torch import nn

from nas.costs.calibration import Correction
from nas.costs.measuring.chains import CHAINS
from nas.costs.measuring.micro import MeasuredKernel
from nas.costs.measuring.scales import ALONE, MANY, group_logs, interval, left_out, multiplied, scaled_to
from nas.costs.trace import trace
from nas.plugins import default_registry


@pytest.fixture
def model():
    return default_registry().cost_models["roofline"]


def test_an_operator_with_a_correction_of_its_own_has_the_factor_of_its_kind():
    """As the kind has, of which it is told apart; what is of no group has that of all others."""
    corrections = {
        key: Correction(2.0, 12, 1.0, 4.0, added_ms=0.5) for key in ("gemm", "gemm/linear", "norm")
    }
    plain = replace(blank(), scale=10.0, corrections=corrections)
    found = multiplied(plain, np.array([3.0, 7.0]), [frozenset({"gemm"})])
    scales = {key: (each.scale, each.added_ms) for key, each in found.corrections.items()}
    assert scales == {"gemm": (6.0, 1.5), "gemm/linear": (6.0, 1.5), "norm": (14.0, 3.5)}
    assert found.scale == 70.0


def test_no_network_changes_nothing(model):
    assert scaled_to(board(blank()), model, []) == board(blank())


def test_one_network_is_one_scale_with_a_wide_interval(model):
    network = kernel(model, nn.Linear(2048, 2048), (2048,), 4.0)
    found = scaled_to(board(blank()), model, [network]).calibration
    assert found is not None
    assert found.corrections == {}
    assert 3.5 < found.scale <= 4.0 + 1e-9
    assert found.high == pytest.approx(math.exp(1.5 * ALONE)) and found.low == pytest.approx(1 / found.high)


def test_groups_are_told_apart_where_networks_show_it():
    shares = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] * (CHAINS // 2))
    logs = shares @ np.array([0.4, -0.4, 0.0])
    found = group_logs(shares, logs)
    assert found[0] > 0.3 and found[1] < -0.3 and abs(found[2]) < 0.05
    assert np.ptp(group_logs(shares[:4], logs[:4])) == 0, "few networks give one factor"
    assert left_out(shares, logs).max() < 0.1


def test_the_interval_is_that_of_ranks():
    errors = np.log(1 + np.arange(19) / 100)
    assert interval(errors)[1] == pytest.approx(1.17), "the 18th of 19"
    assert interval(errors[:5])[1] == pytest.approx(1.04**1.5), "few reach beyond the worst"


def test_many_networks_tell_kinds_apart(model):
    """Linear layers take twice and norms four times as long as predicted: each kind learns its own."""
    slower = {"gemm": 2.0, "norm": 4.0}
    target = board(blank())

    def measured(width: int, norms: int) -> MeasuredKernel:
        parts = [nn.Linear(width, width), *(nn.LayerNorm(width) for _ in range(norms))]
        found = trace(nn.Sequential(*parts), (512, width))
        operators = model.price(found, target).operators
        latency = sum(slower[operator.kind] * operator.latency_ms for operator in operators)
        return MeasuredKernel(f"{width}, {norms}", found, latency, 0.0)

    networks = [measured(64 * width, norms) for width in range(1, 13) for norms in range(1, 7)]
    assert len(networks) >= MANY
    for some, close in ((networks, 0.15), (networks[: CHAINS + 1], 0.5)):
        fitted = scaled_to(target, model, some)
        ratios = [
            model.price(network.trace, fitted).latency_ms / network.latency_ms for network in networks[::7]
        ]
        assert max(abs(math.log(ratio)) for ratio in ratios) < close
    calibration = scaled_to(target, model, networks).calibration
    assert calibration is not None
    scales = {kind: correction.scale for kind, correction in calibration.corrections.items()}
    assert scales["norm"] > 1.5 * scales["gemm"]
