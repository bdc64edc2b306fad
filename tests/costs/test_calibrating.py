"""Calibrating from beginning to end: on this machine for a moment, and on made-up measurements."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from made_up_measurements import blank, board, kernel
from torch import nn

from nas.costs import read_target
from nas.costs.calibration import Calibration, Warmth
from nas.costs.measuring import calibrating
from nas.costs.measuring.calibrating import calibrate, fitted_to_kernels, fitted_to_operators
from nas.costs.measuring.chains import CHAINS
from nas.costs.measuring.designed_networks import designed_networks
from nas.costs.measuring.in_company import InCompany, MeasuredNetwork
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.micro import MeasuredKernel, Together
from nas.costs.reading import Reading
from nas.costs.target import Target
from nas.costs.this import write_target
from nas.costs.trace import trace
from nas.plugins import default_registry

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    """No test waits for another process that measures."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def model():
    return default_registry().cost_models["roofline"]


def calibration_of(found: calibrating.Calibrated) -> Calibration:
    assert found.target.calibration is not None
    return found.target.calibration


def test_kernels_that_all_take_so_long_are_predicted(model):
    modules = [nn.Linear(width, width) for width in (512, 600, 768, 900, 1024, 1300, 1536, 2048)]
    kernels = [kernel(model, module, (module.in_features,), 2.5) for module in modules]
    networks = [
        kernel(model, nn.Sequential(nn.Linear(700, 700), nn.Linear(700, 900)), (700,), 2.5)
        for _ in range(CHAINS)
    ]
    found = fitted_to_kernels(board(blank()), model, kernels, networks)
    unseen = kernel(model, nn.Linear(800, 1100), (800,), 2.5)
    cost = model.price(unseen.trace, found)
    assert cost.latency_ms == pytest.approx(unseen.latency_ms, rel=0.02)
    assert cost.tier == "T2" and cost.low_ms <= cost.latency_ms <= cost.high_ms


def made_up_network(model, number: int, noise: float = 0.0) -> MeasuredNetwork:
    """A designed network whose convolutions take three and whose other operators twice their prediction, but
    for so much noise in its rounds."""
    network = designed_networks(number + 1)[number]
    found = trace(network.make(), network.shapes[0][1:])
    operators = model.price(found, board(blank())).operators
    times = tuple((3.0 if one.kind.startswith("conv") else 2.0) * one.latency_ms for one in operators)
    rounds = tuple(sum(times) * math.exp(noise * side) for side in (-1, 0, 1))
    return MeasuredNetwork(network.name, found, times, rounds)


def off_by(model, found, unseen: list[MeasuredNetwork]) -> float:
    """The middle one of the errors of networks, whose operators add up to them."""
    errors = []
    for network in unseen:
        cost = model.price(network.trace, found)
        errors.append(abs(math.log(cost.latency_ms / network.rounds_ms[0])))
        assert sum(operator.latency_ms for operator in cost.operators) == pytest.approx(cost.latency_ms)
    return float(np.median(errors))


def test_operators_of_networks_predict_other_networks(model):
    known = [made_up_network(model, number) for number in (0, 1, 3, 5, 6, 9, 11)]
    found = fitted_to_operators(board(blank()), model, known)
    unseen = made_up_network(model, 13)
    cost = model.price(unseen.trace, found)
    assert cost.latency_ms == pytest.approx(sum(unseen.operators_ms), rel=0.05)
    assert cost.low_ms <= sum(unseen.operators_ms) <= cost.high_ms


def test_the_interval_of_networks_holds_what_rounds_scatter(model):
    """What the machine did meanwhile, a user sees too."""
    steady, shaken = (
        fitted_to_operators(
            board(blank()), model, [made_up_network(model, number, noise) for number in range(10)]
        ).calibration
        for noise in (0.0, 0.2)
    )
    assert steady is not None and shaken is not None
    assert steady.corrections == shaken.corrections
    assert shaken.high > 1.1 * steady.high >= 1.1
    assert shaken.high > math.exp(0.15) and shaken.low == pytest.approx(1 / shaken.high)


def test_short_networks_that_are_quicker_are_predicted(model):
    """What takes less than 2 ms here takes less than its operators say."""
    truth = Warmth(2.0, 0.2)

    def quicker(number: int) -> MeasuredNetwork:
        network = made_up_network(model, number)
        factor = float(truth.factors(np.array([sum(network.operators_ms)]))[0])
        times = tuple(factor * time for time in network.operators_ms)
        return replace(network, operators_ms=times, rounds_ms=(sum(times),) * 3)

    found = fitted_to_operators(board(blank()), model, [quicker(number) for number in range(40)])
    assert found.calibration is not None and found.calibration.warmth is not None
    assert off_by(model, found, [quicker(number) for number in range(40, 48)]) < 0.07


def test_networks_that_move_much_are_predicted(model):
    """What fills the caches makes every operator slower: by half from 4 MB to 64."""

    def slower(number: int) -> MeasuredNetwork:
        network = made_up_network(model, number)
        share = min(1.0, max(0.0, math.log(network.trace.bytes_moved / 4e6) / math.log(16)))
        times = tuple((1 + 0.5 * share) * time for time in network.operators_ms)
        return replace(network, operators_ms=times, rounds_ms=(sum(times),) * 3)

    found = fitted_to_operators(board(blank()), model, [slower(number) for number in range(48)])
    assert found.calibration is not None and found.calibration.knows_traffic
    assert off_by(model, found, [slower(number) for number in range(48, 60)]) < 0.02


def test_calibrating_a_processor_for_a_moment(model, monkeypatch, tmp_path):
    """Operators are timed within networks, and told at the speed that a reference had; the file keeps all."""
    monkeypatch.setattr(calibrating, "NETWORKS", 4)
    processor = board(device_class="x86-cpu")
    found = calibrate(processor, model, CPU, seconds=1.0)
    calibration = calibration_of(found)
    assert (calibration.tier, calibration.model) == ("T2", "roofline")
    assert {figure.trust for figure in calibration.figures.values()} == {"measured"}
    assert "within a network" in calibration.figures["launch_floor_us"].source
    assert " operators in " in calibration.source and calibration.low <= 1 <= calibration.high
    assert calibration.reference is not None and 0 < calibration.reference.mean_ms < 100
    assert calibration.conditions["threads"] == "1"
    assert replace(found.target, calibration=None) == processor
    write_target(found.target, tmp_path / "this.toml")
    read = read_target(tmp_path / "this.toml").calibration
    assert read is not None and read.reference == calibration.reference
    assert read.corrections == calibration.corrections


def test_calibrating_another_runtime_for_a_moment(model, monkeypatch):
    """Where operators do not run one by one they are kernels of their own, and chains."""
    chain = kernel(model, nn.Linear(64, 64), (64,), 2.0)
    monkeypatch.setattr(calibrating, "measure_all", lambda *_: Together([], [chain], 0.0))
    found = calibrate(board(device_class="x86-cpu", runtime="compiled"), model, CPU, seconds=0.0)
    calibration = calibration_of(found)
    assert "0 kernels, 1 chains" in calibration.source
    assert calibration.reference is None


@pytest.mark.parametrize(("drift", "said"), [(0.1, None), (0.42, "the machine was 42 % slower for a while")])
def test_a_machine_that_drifted_is_named(model, monkeypatch, drift, said):
    network = MeasuredNetwork("one", trace(nn.ReLU(), (8,)), (0.01,), (0.01,))
    monkeypatch.setattr(calibrating, "probe", lambda device, precision: {})
    monkeypatch.setattr(
        calibrating, "measure_in_company", lambda *_: InCompany([network], Reading(0.02, 0.1), drift)
    )
    monkeypatch.setattr(calibrating, "busy_with", lambda device: None)
    found = calibrate(board(), model, CPU, seconds=0.0)
    assert found.busy == said
    assert calibration_of(found).conditions.get("busy") == said


def test_networks_of_a_space_make_it_a_calibration_for_that_space(model, monkeypatch):
    monkeypatch.setattr(calibrating, "NETWORKS", 2)
    fitted: list[Target] = []

    def measured(networks, target, model, device, seconds, on_share) -> list[MeasuredKernel]:
        fitted.append(target)
        on_share(0.5)
        return [kernel(model, one.make(), one.shapes[0][1:], 2.0) for one in networks]

    monkeypatch.setattr(calibrating, "measure_networks", measured)
    told: list[float] = []
    found = calibrate(
        board(),
        model,
        CPU,
        seconds=0.3,
        on_progress=lambda done, number: told.append(done / number),
        networks=(
            MicroKernel("one", partial(nn.Conv2d, width, width, 3), ((1, width, 8, 8),)) for width in (8, 16)
        ),
    )
    calibration = calibration_of(found)
    assert calibration.tier == "T3"
    assert "2 networks of a space" in calibration.source
    assert [target.calibration.reference for target in fitted] == [calibration.reference]
    assert told == sorted(told) and told[0] <= 0.5 and told[-1] == 0.75


def test_without_networks_of_a_space_nothing_more_is_measured(model, monkeypatch):
    monkeypatch.setattr(calibrating, "NETWORKS", 2)
    found = calibrate(board(device_class="x86-cpu"), model, CPU, seconds=0.1)
    assert calibration_of(found).tier == "T2"


def test_the_least_time_is_one_that_few_stay_below():
    figures = calibrating._least_time(np.geomspace(1e-3, 1.0, 101).tolist())
    assert set(figures) == {"eager_operator_us", "launch_floor_us"}
    assert 1.0 < figures["launch_floor_us"].value < 1.03
