"""The reference: how fast a machine is, and clocks that tell what they measure at its usual speed."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from nas.costs.measuring import latency
from nas.costs.measuring.clocks import Run, ThreadClock, WallClock, clock_for
from nas.costs.measuring.latency import measure
from nas.costs.measuring.reference import (
    SHORTEST,
    WARM_CONVOLUTIONS,
    WARM_PRODUCTS,
    WARM_SECONDS,
    Reference,
    SpeedClock,
    Usual,
)
from nas.costs.reading import Reading

CPU = torch.device("cpu")
USUAL = Usual(Reading(1.0, 1.0), 0.5)


class Machine:
    """A clock of a machine that is so many times as slow; each kernel of the reference takes 1 ms."""

    name = "a made-up clock"

    def __init__(self, slower: float = 1.0, taken: float = 0.5) -> None:
        self.slower, self.taken, self.runs = slower, taken, 0

    def seconds(self, run: Run, times: int) -> float:
        is_reference = getattr(run, "__self__", None).__class__ is Reference
        self.runs += not is_reference
        return self.slower * times * (1e-3 if is_reference else self.taken)


def test_the_reference_reads_two_kernels():
    assert Reference(Machine(3.0)).read() == Reading(3.0, 3.0)
    now = Reference(ThreadClock()).read()
    assert 0 < now.product_ms < 1e3 and 0 < now.convolution_ms < 1e3


def test_its_kernels_run_warm_before_they_are_read(monkeypatch):
    """A large network before them has pushed them out of the caches."""
    reference, runs = Reference(Machine()), []
    for name in ("_multiply", "_convolve"):
        monkeypatch.setattr(reference, name, partial(runs.append, name))
    reference.read()
    assert runs == ["_multiply"] * WARM_PRODUCTS + ["_convolve"] * WARM_CONVOLUTIONS
    assert WARM_PRODUCTS >= 2 and WARM_CONVOLUTIONS >= 10


def test_a_disturbed_run_is_not_what_it_reads():
    """Two of five take ten times as long."""

    class Disturbed(Machine):
        def seconds(self, run: Run, times: int) -> float:
            self.runs += 1
            self.slower = 10.0 if self.runs % 5 < 2 else 1.0
            return 1e-3 * self.slower

    assert Reference(Disturbed()).read() == Reading(1.0, 1.0)


@pytest.mark.parametrize("slower", [0.8, 1.0, 1.5])
def test_it_says_how_fast_the_machine_was(slower):
    clock = SpeedClock(Machine(slower), usual=USUAL)
    assert clock.seconds(lambda: None, 2) == pytest.approx(slower), "what it took at that moment"
    assert clock.speed == pytest.approx(1 / slower)
    assert clock.knows_machine
    assert "at the speed of the calibration" in clock.name


def test_the_speed_is_that_of_all_readings():
    """One of them is too short to say it: twice as fast for half of them is as fast as usual at half."""
    machine = Machine()
    clock = SpeedClock(machine, usual=USUAL)
    for machine.slower in (1.0, 4.0):
        clock.seconds(lambda: None, 1)
    assert clock.speed == pytest.approx(0.5)


def test_the_speed_is_that_of_what_the_network_does():
    """Where only small kernels are slower, so is what has no matrix work."""

    class Crowded(Machine):
        def seconds(self, run: Run, times: int) -> float:
            self.slower = 1.0 if getattr(run, "__name__", "") == "_multiply" else 2.0
            return super().seconds(run, times)

    light, heavy = (SpeedClock(Crowded(), Usual(Reading(1.0, 1.0), share)).speed for share in (0.0, 1.0))
    assert light == pytest.approx(0.5)
    assert 0.5 < heavy < 1


def test_without_a_sample_the_speed_is_that_of_now():
    assert SpeedClock(Machine(2.0), usual=USUAL).speed == pytest.approx(0.5)


@pytest.mark.parametrize("slower", [0.3, 4.0])
def test_another_machine_is_told_by_its_speed(slower):
    assert not SpeedClock(Machine(slower), usual=USUAL).knows_machine


SHORT_RUNS = [(0.1 * WARM_SECONDS, 10), (0.5 * WARM_SECONDS, 2), (2 * WARM_SECONDS, 1)]


@pytest.mark.parametrize(("taken", "runs"), SHORT_RUNS)
def test_short_runs_are_timed_behind_themselves(taken, runs):
    machine = Machine(taken=taken)
    SpeedClock(machine, usual=USUAL).seconds(lambda: None, 1)
    assert machine.runs == runs


def test_runs_that_take_no_time_come_to_an_end():
    machine = Machine(taken=0.0)
    SpeedClock(machine, usual=USUAL).seconds(lambda: None, 1)
    assert machine.runs == pytest.approx(WARM_SECONDS / SHORTEST, abs=5)


def test_a_measurement_says_at_which_speed_it_is_told(monkeypatch):
    monkeypatch.setattr(latency, "clock_for", lambda device: Machine(1.25, 0.01))
    plain = measure(nn.ReLU(), [(1, 8)], CPU, seconds=0.01)
    assert plain.latency_ms == pytest.approx(12.5) and plain.speed is None
    told = measure(nn.ReLU(), [(1, 8)], CPU, seconds=0.01, usual=USUAL)
    assert told.latency_ms == pytest.approx(10.0) and told.speed == pytest.approx(0.8)
    assert told.spread_ms == pytest.approx(0.0)
    assert "speed of the calibration" in told.conditions["clock"]


def test_a_calibration_of_another_machine_changes_nothing(monkeypatch):
    monkeypatch.setattr(latency, "clock_for", lambda device: Machine(8.0, 0.01))
    found = measure(nn.ReLU(), [(1, 8)], CPU, seconds=0.01, usual=USUAL)
    assert found.latency_ms == pytest.approx(80.0) and found.speed is None


def test_a_coarse_clock_of_threads_is_not_used(monkeypatch):
    """As on Windows, where it ticks every 16 ms."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert isinstance(clock_for(CPU), ThreadClock)
        coarse = type("Info", (), {"resolution": 0.0156})
        monkeypatch.setattr("nas.costs.measuring.clocks.time.get_clock_info", lambda name: coarse)
        assert isinstance(clock_for(CPU), WallClock)
    finally:
        torch.set_num_threads(before)
