"""Measuring: what a figure is made of, and what disturbs it. No test looks at how long anything takes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest
import torch
from torch import nn

from nas.costs.measuring import Measurement, measure
from nas.costs.measuring import conditions as conditions_room
from nas.costs.measuring.chains import CHAINS, chains
from nas.costs.measuring.clocks import ThreadClock, WallClock, clock_for
from nas.costs.measuring.conditions import busy_with, conditions, exclusive, on_cores, pinned
from nas.costs.measuring.kernels import FAMILIES, designed_kernels
from nas.costs.measuring.latency import ready
from nas.costs.measuring.measurement import NORMAL_90, is_noisy, spread
from nas.costs.measuring.timing import SAMPLES, time_call
from nas.costs.trace import trace
from nas.errors import CostError

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def own_locks(tmp_path, monkeypatch):
    """No test waits for another process that measures."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


class Played:
    """A clock that gives out prepared seconds for a call, the last one for ever."""

    name = "played"

    def __init__(self, *seconds: float) -> None:
        self.left = list(seconds)
        self.asked = 0

    def seconds(self, run: object, times: int) -> float:
        self.asked += 1
        one = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return one * times


def test_a_figure_is_the_median_with_its_spread():
    found = time_call(lambda: None, Played(1.0, 1.0, 3.0, 1.0, 2.0, 2.0, 2.0), 0.0)
    assert found.samples == SAMPLES[0]
    assert found.latency_ms == 2000.0
    assert found.spread_ms == 0.0
    assert not found.noisy


def test_an_outlier_is_done_again():
    clock = Played(1.0, 1.0, *[1.0] * 9, 50.0, 1.0)
    found = time_call(lambda: None, clock, 0.0)
    assert found.latency_ms == 1000.0
    assert clock.asked == 2 + SAMPLES[0] + 1, "two to begin with, the samples, the outlier"


def test_what_scatters_is_noisy():
    assert is_noisy([1.0, 2.0, 3.0, 4.0])
    assert not is_noisy([1.0, 1.01, 1.02, 9.0])
    assert spread([5.0]) == 0.0


def test_short_calls_are_repeated_within_a_sample_but_not_single_ones():
    calls = []
    time_call(lambda: calls.append(1), ThreadClock(), 0.0)
    repeated = len(calls)
    calls.clear()
    time_call(lambda: calls.append(1), ThreadClock(), 0.0, single=True)
    assert repeated > 10 * len(calls)


def test_what_prepares_does_not_count():
    order = []
    time_call(lambda: order.append("run"), Played(1.0), 0.0, prepare=lambda: order.append("prepare"))
    assert order.count("prepare") == SAMPLES[0]


def test_the_interval_of_a_measurement():
    found = Measurement(10.0, 1.0, 20)
    assert (found.low_ms, found.high_ms) == (10 - NORMAL_90, 10 + NORMAL_90)
    assert Measurement(1.0, 10.0, 20).low_ms == 0.0


def test_one_thread_is_timed_by_itself():
    with pinned(1):
        assert isinstance(clock_for(CPU), ThreadClock)
        assert torch.is_inference_mode_enabled()
    with pinned(2):
        assert isinstance(clock_for(CPU), WallClock)
    assert not torch.is_inference_mode_enabled()


def test_pinning_gives_threads_back():
    before = torch.get_num_threads()
    with pytest.raises(ValueError), pinned(before + 1):
        raise ValueError
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system keeps no process on a core")
def test_one_thread_stays_on_one_core_and_so_do_its_processes():
    before = os.sched_getaffinity(0)
    with pinned(1):
        assert len(os.sched_getaffinity(0)) == 1
        told = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
        assert subprocess.run(told, capture_output=True, text=True, check=True).stdout == "1\n"
        with on_cores(1):
            assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize("number", [None, 10_000])
def test_as_many_threads_as_cores_go_where_they_like(number):
    before = os.sched_getaffinity(0)
    with on_cores(number):
        assert os.sched_getaffinity(0) == before


def test_where_no_core_can_be_kept_nothing_is(monkeypatch):
    def forbidden(*_):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", forbidden, raising=False)
    with pinned(1):
        assert torch.get_num_threads() == 1
    monkeypatch.delattr(os, "sched_setaffinity")
    with pinned(1):
        assert torch.get_num_threads() == 1


def test_one_at_a_time_measures_a_device():
    with exclusive(CPU), pytest.raises(CostError, match="being measured by process"), exclusive(CPU):
        pass
    with exclusive(CPU):
        pass


def test_conditions_say_what_a_figure_depends_on():
    found = conditions(CPU, "a clock")
    assert {"host", "torch", "clock", "processor", "threads", "governor", "load"} <= set(found)
    assert all(isinstance(value, str) and value for value in found.values())


@pytest.mark.parametrize(("load", "busy"), [(0.9, False), (9.0, True)])
def test_a_busy_host_is_named(monkeypatch, load, busy):
    monkeypatch.setattr(conditions_room.os, "getloadavg", lambda: (load, load, load))
    monkeypatch.setattr(conditions_room.os, "cpu_count", lambda: 2)
    with pinned(1):
        assert (busy_with(CPU) is not None) is busy
        found = measure(nn.ReLU(), [(1, 4)], CPU, seconds=0.0)
    assert ("busy" in found.conditions) is busy
    assert found.noisy or not busy


def test_a_module_is_measured_and_stays_as_it_was():
    module = nn.Sequential(nn.Linear(8, 8), nn.Dropout()).train()
    found = measure(module, [(2, 8)], CPU, precision="bf16", seconds=0.0)
    assert found.latency_ms > 0 and found.samples >= SAMPLES[0]
    assert found.peak_memory_bytes is None, "a processor does not tell"
    assert module.training and module[0].weight.dtype is torch.float32


def test_indices_are_given_to_an_embedding():
    assert measure(nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)), [(1, 4)], CPU, seconds=0.0).samples


def test_what_cannot_run_is_said_in_one_line():
    with pytest.raises(CostError, match="Linear cannot run eager in fp32 on cpu") as raised:
        measure(nn.Linear(3, 2), [(1, 4)], CPU, seconds=0.0)
    assert "\n" not in str(raised.value)


def test_without_a_compiler_eager_is_offered(monkeypatch):
    def broken(module: nn.Module, mode: str) -> nn.Module:
        assert mode == "reduce-overhead"  # CUDA graphs, where there is CUDA

        def run(*inputs: torch.Tensor) -> None:
            raise RuntimeError("no compiler\nat all")

        return run  # type: ignore[return-value]

    monkeypatch.setattr(torch, "compile", broken)
    with pytest.raises(CostError, match="--runtime eager: no compiler at all"):
        measure(nn.ReLU(), [(1, 4)], CPU, runtime="compiled", seconds=0.0)


def test_designed_kernels_are_the_same_every_time_and_of_many_kinds():
    first, again = designed_kernels(60), designed_kernels(200)
    assert [kernel.name for kernel in first] == [kernel.name for kernel in again[:60]]
    assert len({kernel.name for kernel in again}) > 180
    kinds = set()
    for kernel in designed_kernels(len(FAMILIES)):
        found = trace(kernel.make(), [shape[1:] for shape in kernel.shapes], kernel.shapes[0][0])
        kinds |= {operator.kind for operator in found.operators}
        assert not found.unknown_operators
    wanted = {"conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "sdpa", "rnn", "norm", "pointwise"}
    assert wanted | {"reduce", "softmax", "pool", "copy", "gather", "resample"} <= kinds


def test_kernels_of_a_batch():
    for kernel in designed_kernels(len(FAMILIES), batch=3):
        assert all(shape[0] == 3 for shape in kernel.shapes)
        with torch.device("meta"), torch.inference_mode():
            kernel.make().eval()(*(torch.empty(shape) for shape in kernel.shapes))


def test_chains_run():
    found = list(chains(2))
    assert len(found) == CHAINS == len({chain.name for chain in found})
    with torch.device("meta"), torch.inference_mode():
        for chain in found:
            assert chain.make().eval()(*(torch.empty(shape) for shape in chain.shapes)).shape[0] == 2


@pytest.mark.parametrize(
    ("module", "shape", "innermost"),
    [
        (nn.Conv2d(3, 8, 3), (2, 3, 8, 8), True),
        (nn.Conv3d(3, 8, 3), (2, 3, 8, 8, 8), False),
        (nn.Conv1d(3, 8, 3), (2, 3, 8), False),
    ],
    ids=["conv2d", "conv3d", "conv1d"],
)
def test_images_alone_are_measured_with_the_channels_innermost(module, shape, innermost):
    run = ready(module, [shape], torch.device("cpu"), "fp32", layout="nhwc")
    found = run()
    assert found.is_contiguous() != innermost
    assert module.weight.is_contiguous()
