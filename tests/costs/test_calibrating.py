"""Fitting calibrations: known answers from made-up measurements."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from nas.costs import Device, Figure, Target
from nas.costs.calibration import Calibration
from nas.costs.measuring import calibrating
from nas.costs.measuring.calibrating import (
    ALONE,
    CHAINS,
    MANY,
    calibrate,
    fitted_calibration,
    group_logs,
    interval,
    left_out,
    sample_of,
    scaled_to,
)
from nas.costs.measuring.fit import (
    LEAST_KERNELS,
    LEAST_LEFT,
    TELLING_KERNELS,
    Sample,
    fit_corrections,
    fit_kind,
)
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.micro import MeasuredKernel, Together
from nas.costs.operators import Operator
from nas.costs.trace import trace
from nas.plugins import default_registry

FLOOR_MS = 2e-3


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    """No test waits for another process that measures."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def model():
    return default_registry().cost_models["roofline"]


def board(calibration: Calibration | None = None) -> Target:
    sheet = {"fp32_tflops": 1.0, "memory_bandwidth_gbs": 10.0, "launch_floor_us": 2.0, "units": 1.0}
    figures = {name: Figure(value, "a sheet", "high") for name, value in sheet.items()}
    figures["eager_operator_us"] = Figure(2.0, "a sheet", "high")
    return Target(
        "board", Device("board", "dc-gpu", "x", figures), "fp32", 1, "eager", calibration=calibration
    )


def blank() -> Calibration:
    return Calibration("T2", "roofline", "me")


def sample(factor: float, kind: str = "conv", name: str = "convolution", flops: int = 1000) -> Sample:
    """A kernel that takes so many times its predicted millisecond."""
    return Sample(Operator(name, kind, "", 0, flops, 10 * flops, 10, 10), 1.0, 0.0, factor)


def kernel(model, module: nn.Module, shape: tuple[int, ...], factor: float) -> MeasuredKernel:
    """A kernel that takes so many times its predicted time above the launch floor."""
    found = trace(module, shape)
    predicted = model.price(found, board()).latency_ms
    floor = FLOOR_MS * len(found.operators)
    return MeasuredKernel("made up", found, floor + factor * (predicted - floor), 0.0)


def test_nothing_measured_changes_nothing():
    assert fit_corrections([]) == (1.0, {})


def test_few_kernels_give_one_scale():
    scale, corrections = fit_corrections([sample(2.0), sample(2.0, "norm")])
    assert scale == pytest.approx(2.0)
    assert corrections == {}


def test_a_kind_of_a_few_is_drawn_towards_all():
    others = [sample(1.0, "norm", flops=10**n) for n in range(5)]
    _, corrections = fit_corrections([*others, *(sample(4.0) for _ in range(3))])
    assert 1.0 < corrections["conv"].scale < 4.0
    _, corrections = fit_corrections([*others, *(sample(4.0) for _ in range(LEAST_KERNELS - 1))])
    assert set(corrections) == {"norm"}


def test_a_power_of_a_size_is_found():
    samples = [sample((flops / 1e5) ** 0.5, flops=int(flops)) for flops in np.geomspace(1e3, 1e7, 40)]
    correction = fit_kind(samples, 0.0)
    inner = [sample(1.0, flops=int(flops)).operator for flops in np.geomspace(3e3, 3e6, 7)]
    expected = [(operator.flops / 1e5) ** 0.5 for operator in inner]
    assert correction.factors(inner) == pytest.approx(expected, rel=0.1)
    far = sample(1.0, flops=10**12).operator
    assert correction.factors([far]).item() <= max(math.exp(s.log_factor()) for s in samples)


def test_operators_of_a_kind_have_their_own_factor():
    fast = [sample(0.5, name="relu", flops=10**n) for n in range(3, 8)]
    slow = [sample(2.0, name="gelu", flops=10**n) for n in range(3, 8)]
    correction = fit_kind([*fast, *slow], 0.0)
    relu, gelu = correction.factors([fast[2].operator, slow[2].operator])
    assert relu == pytest.approx(0.5, rel=0.1) and gelu == pytest.approx(2.0, rel=0.1)


def test_equal_kernels_are_a_scale():
    correction = fit_kind([sample(3.0)] * LEAST_KERNELS, math.log(3.0))
    assert correction.factors([sample(1.0).operator]).item() == pytest.approx(3.0)


@pytest.mark.parametrize("added", [0.0, 0.05])
def test_what_every_kernel_takes_is_told_apart_from_what_grows_with_it(added):
    """Kernels of 0.01 to 10 ms that take twice the prediction, and so much more."""
    times = np.geomspace(0.01, 10.0, 12)
    samples = [
        Sample(sample(1.0, flops=int(1e6 * time)).operator, time, 0.002, 0.002 + 2 * time + added)
        for time in times
    ]
    correction = fit_kind(samples, math.log(2.0))
    assert correction.added_ms == pytest.approx(added, rel=0.25, abs=0.002)
    unseen = sample(1.0, flops=int(1e6 * 0.3)).operator
    found = 0.3 * correction.factors([unseen]).item() + correction.added_ms
    assert found == pytest.approx(0.6 + added, rel=0.05)


def test_few_kernels_do_not_tell_what_is_added():
    """The same kernels: one fewer than it takes are a factor alone."""
    times = np.geomspace(0.01, 10.0, TELLING_KERNELS)
    samples = [
        Sample(sample(1.0, flops=int(1e6 * time)).operator, time, 0.002, 0.052 + 2 * time) for time in times
    ]
    assert fit_kind(samples, math.log(2.0)).added_ms > 0
    assert fit_kind(samples[1:], math.log(2.0)).added_ms == 0


def test_what_is_added_leaves_something_to_the_kernel():
    one = Sample(sample(1.0).operator, 1.0, 0.2, 1.0)
    assert math.exp(one.log_factor(0.3)) == pytest.approx(0.5)
    assert math.exp(one.log_factor(5.0)) == pytest.approx(LEAST_LEFT)


def test_what_a_kernel_says_leaves_out_the_launch(model):
    found = sample_of(kernel(model, nn.Linear(1024, 1024), (1024,), 3.0), board(blank()), model)
    assert found is not None and found.operator.kind == "gemm"
    assert math.exp(found.log_factor()) == pytest.approx(3.0)
    assert found.rest_ms == pytest.approx(FLOOR_MS, rel=0.05)


def test_a_kernel_without_a_dominant_operator_says_nothing(model):
    module = nn.Sequential(nn.Linear(512, 512), nn.Linear(512, 512))
    assert sample_of(kernel(model, module, (512,), 3.0), board(blank()), model) is None


def test_kernels_that_all_take_so_long_are_predicted(model):
    modules = [nn.Linear(width, width) for width in (512, 600, 768, 900, 1024, 1300, 1536, 2048)]
    kernels = [kernel(model, module, (module.in_features,), 2.5) for module in modules]
    networks = [
        kernel(model, nn.Sequential(nn.Linear(700, 700), nn.Linear(700, 900)), (700,), 2.5)
        for _ in range(CHAINS)
    ]
    found = fitted_calibration(board(blank()), model, kernels, networks)
    unseen = kernel(model, nn.Linear(800, 1100), (800,), 2.5)
    cost = model.price(unseen.trace, found)
    assert cost.latency_ms == pytest.approx(unseen.latency_ms, rel=0.02)
    assert cost.tier == "T2" and cost.low_ms <= cost.latency_ms <= cost.high_ms


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


def test_calibrating_a_target_for_a_moment(model):
    found = calibrate(board(), model, torch.device("cpu"), seconds=0.2)
    calibration = found.target.calibration
    assert calibration is not None
    assert (calibration.tier, calibration.model) == ("T2", "roofline")
    assert {figure.trust for figure in calibration.figures.values()} == {"measured"}
    assert len(found.chains) == CHAINS and calibration.low <= 1 <= calibration.high
    assert calibration.conditions["threads"] == "1"
    assert replace(found.target, calibration=None) == board()


@pytest.mark.parametrize(("drift", "said"), [(0.1, None), (0.42, "the machine was 42 % slower for a while")])
def test_a_machine_that_drifted_is_named(model, monkeypatch, drift, said):
    traced = trace(nn.ReLU(), (8,))
    chain = MeasuredKernel("chain", traced, 0.01, 0.0)
    monkeypatch.setattr(calibrating, "probe", lambda device, precision: {})
    monkeypatch.setattr(calibrating, "measure_all", lambda *_: Together([], [chain], drift))
    monkeypatch.setattr(calibrating, "busy_with", lambda device: None)
    found = calibrate(board(), model, torch.device("cpu"), seconds=0.0)
    assert found.busy == said
    assert found.target.calibration is not None
    assert found.target.calibration.conditions.get("busy") == said


def test_networks_of_a_space_make_it_a_calibration_for_that_space(model):
    def network(width: int) -> MicroKernel:
        return MicroKernel(f"{width} wide", lambda: nn.Conv2d(width, width, 3), ((1, width, 8, 8),))

    told: list[float] = []
    found = calibrate(
        board(),
        model,
        torch.device("cpu"),
        seconds=0.3,
        on_progress=lambda done, number: told.append(done / number),
        networks=(network(width) for width in (8, 16)),
    )
    calibration = found.target.calibration
    assert calibration is not None
    assert calibration.tier == "T3"
    assert " networks" in calibration.source
    assert CHAINS < len(found.chains) <= CHAINS + 2
    assert told == sorted(told) and told[-1] <= 1
    assert told[0] <= 0.5 <= told[-1]


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
