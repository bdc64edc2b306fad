"""Networks of a space: each measured in a process of its own, for as long as there is time."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from made_up_measurements import blank, board
from torch import nn

from nas.costs.cost import DEFAULT_MODEL
from nas.costs.measuring import space_networks
from nas.costs.measuring.conditions import pinned
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.measurement import Measurement
from nas.costs.measuring.networks import sampled_networks
from nas.costs.measuring.reference import Usual
from nas.costs.measuring.space_networks import measure_networks
from nas.costs.reading import Reading
from nas.errors import CostError
from nas.plugins import default_registry
from nas.spaces import load_space

CPU = torch.device("cpu")
MODEL = default_registry().cost_models[DEFAULT_MODEL]
HERE = board(device_class="x86-cpu")
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system forks no processes")


def network(width: int = 8) -> MicroKernel:
    return MicroKernel(f"{width} wide", partial(nn.Conv2d, width, width, 3), ((1, width, 8, 8),))


class WhereItRuns(nn.Module):
    """Raises where it runs, and says in which process."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.device.type == "cpu":
            raise RuntimeError(f"in process {os.getpid()}")
        return x.relu()


@pytest.fixture
def measured(monkeypatch) -> list[Usual | None]:
    """Each network takes 2 ms, without being run; these are the speeds at which they are to be told."""
    found: list[Usual | None] = []

    def latency(network, target, device, usual, threads) -> Measurement:
        found.append(usual)
        return Measurement(2.0, 0.1, 5, False)

    monkeypatch.setattr(space_networks, "_latency", latency)
    monkeypatch.setattr(space_networks, "can_watch", lambda target, device: False)
    return found


def test_each_is_told_with_what_it_executes(measured):
    (one,) = measure_networks([network()], HERE, MODEL, CPU, 60.0)
    assert (one.name, one.latency_ms, one.spread) == ("8 wide", 2.0, 0.05)
    assert [operator.kind for operator in one.trace.operators] == ["conv"]
    assert measured == [None], "nobody knows the usual speed of this machine"


def test_they_are_told_at_the_usual_speed_of_the_calibration(measured):
    reading = Reading(0.05, 0.1)
    target = replace(HERE, calibration=replace(blank(), reference=reading))
    measure_networks([network(), network(16)], target, MODEL, CPU, 60.0)
    assert measured == [Usual(reading, 1.0)] * 2, "a convolution is matrix work alone"


def test_they_share_the_time(measured, monkeypatch):
    """Each look at the clock is a second: behind the beginning there are three in three seconds."""
    now = iter(np.arange(100.0))
    monkeypatch.setattr(space_networks.time, "monotonic", lambda: next(now))
    shares: list[float] = []
    found = measure_networks(
        [network(8 * width) for width in range(1, 9)], HERE, MODEL, CPU, 3.0, shares.append
    )
    assert [one.name for one in found] == ["8 wide", "16 wide", "24 wide"]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])


def test_without_networks_nothing_is_started(monkeypatch):
    monkeypatch.setattr(space_networks, "FreshProcesses", None)
    assert measure_networks([], HERE, MODEL, CPU, 1.0) == []


@needs_fork
def test_each_runs_in_a_process_of_its_own():
    with space_networks._processes(network(), HERE, CPU) as call:
        assert len({os.getpid(), call(os.getpid), call(os.getpid)}) == 3


def test_what_cannot_be_sent_runs_in_this_one():
    here = MicroKernel("one", lambda: WhereItRuns(), ((1, 8),))
    with pytest.raises(CostError, match=f"in process {os.getpid()}"):
        measure_networks([here], HERE, MODEL, CPU, 60.0)


@pytest.mark.parametrize("change", [{"runtime": "compiled"}, {"precision": "int8"}])
def test_other_runtimes_stay_in_this_one(change):
    caller = space_networks._processes(network(), replace(HERE, **change), CPU)
    with caller as call:
        assert call(os.getpid) == os.getpid()


def test_what_is_forked_later_is_prepared_by_one_thread(monkeypatch):
    """The processes of a server that ran something in more threads than one wait for ever."""
    threads: list[int] = []
    monkeypatch.setattr(space_networks, "prepare", lambda target: None)
    one = MicroKernel("one", lambda: threads.append(torch.get_num_threads()) or nn.ReLU(), ((1, 8),))
    with pinned(2):
        space_networks._prepare(one, HERE)
        assert torch.get_num_threads() == 2
    assert threads == [1]


@needs_fork
def test_networks_of_a_real_space():
    registry = default_registry()
    networks = sampled_networks(load_space("tiny", registry), registry)
    found = measure_networks(networks, HERE, MODEL, CPU, 0.2)
    assert found and all(0 < one.latency_ms < 1e4 and one.spread >= 0 for one in found)
    assert all(one.trace.operators for one in found)
