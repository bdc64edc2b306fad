"""Micro-kernels in rounds: the middle figure counts, time is held to, caches are as networks leave them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nas.costs import Device, Figure, Target
from nas.costs.measuring import micro
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.micro import (
    EVICTING_BYTES,
    EVICTING_TIMES,
    LEAST_BESIDE_WEIGHTS,
    ROUNDS,
    MeasuredKernel,
    drift,
    evicting_bytes,
    in_rounds,
    measure_all,
    measure_chain,
    measure_kernels,
)
from nas.costs.trace import trace

KERNELS = [MicroKernel(name, nn.ReLU, ((1, 8),)) for name in "abc"]
TRACE = trace(nn.ReLU(), (8,))


def board() -> Target:
    figures = {name: Figure(1.0, "test") for name in ("fp32_tflops", "memory_bandwidth_gbs")}
    return Target("board", Device("board", "x86-cpu", "Somebody", figures), "fp32", 1, "eager")


class Taking:
    """Measures made-up milliseconds, one after the other for each kernel."""

    def __init__(self, **times: list[float]) -> None:
        self.left = {name: iter(each) for name, each in times.items()}
        self.order: list[str] = []

    def __call__(self, kernel: MicroKernel) -> MeasuredKernel:
        self.order.append(kernel.name)
        return MeasuredKernel(kernel.name, TRACE, next(self.left[kernel.name]), 0.0)


def test_the_middle_figure_of_each_kernel_counts():
    found = in_rounds(KERNELS, Taking(a=[1.0, 9.0, 2.0], b=[5.0, 5.0, 5.0], c=[3.0, 1.0, 2.0]))
    assert {one.name: one.latency_ms for one in found} == {"a": 2.0, "b": 5.0, "c": 2.0}


def test_kernels_take_turns_so_that_one_disturbance_hits_one_round():
    measured = Taking(**{name: [1.0] * ROUNDS for name in "abc"})
    told: list[tuple[int, int]] = []
    in_rounds(KERNELS, measured, on_progress=lambda done, number: told.append((done, number)))
    assert measured.order == list("abc") * ROUNDS
    assert told == [(done + 1, 3 * ROUNDS) for done in range(3 * ROUNDS)]


def test_what_there_is_no_time_for_is_left_out(monkeypatch):
    """Time for one round and a kernel: of two figures the lower one counts."""
    now = iter(range(100))
    monkeypatch.setattr(micro.time, "monotonic", lambda: next(now))
    found = in_rounds(KERNELS, Taking(a=[2.0, 1.0], b=[4.0], c=[5.0]), seconds=4)
    assert {one.name: one.latency_ms for one in found} == {"a": 1.0, "b": 4.0, "c": 5.0}
    now = iter(range(100))
    assert [one.name for one in in_rounds(KERNELS, Taking(a=[2.0], b=[4.0]), seconds=2)] == ["a", "b"]


def test_kernels_and_chains_are_measured_as_they_are():
    linear = MicroKernel("linear", lambda: nn.Linear(64, 32), ((1, 64),))
    for one in (
        *measure_kernels([linear], board(), torch.device("cpu"), 0.1),
        measure_chain(linear, board(), torch.device("cpu"), 0.1),
    ):
        assert one.name == "linear"
        assert one.trace.macs == 64 * 32
        assert 0 < one.latency_ms < math.inf and one.spread >= 0


def test_chains_are_measured_among_the_kernels(monkeypatch: pytest.MonkeyPatch):
    """A slow minute hits both, and each as it is measured: kernels behind other work, chains as networks."""
    order: list[str] = []

    def measured(one: MicroKernel, *_: object) -> MeasuredKernel:
        order.append(one.name)
        return MeasuredKernel(one.name, TRACE, 1.0, 0.0)

    monkeypatch.setattr(micro, "_measured", measured)
    monkeypatch.setattr(micro, "measure_chain", measured)
    kernels = [MicroKernel(f"kernel {number}", nn.ReLU, ((1, 8),)) for number in range(6)]
    chains = [MicroKernel(f"chain {number}", nn.ReLU, ((1, 8),)) for number in range(2)]
    found = measure_all(kernels, chains, board(), torch.device("cpu"), 5.0)
    assert [one.name for one in found.kernels] == [kernel.name for kernel in kernels]
    assert [one.name for one in found.chains] == [chain.name for chain in chains]
    assert found.drift == 0.0
    assert len(order) == 8 * ROUNDS
    assert order[:8] == [
        *("kernel 0", "kernel 1", "chain 0", "kernel 2"),
        *("kernel 3", "kernel 4", "chain 1", "kernel 5"),
    ]


@pytest.mark.parametrize(
    ("module", "shape", "read"),
    [
        (nn.ReLU(), (8,), EVICTING_BYTES[0]),
        (nn.ReLU(), (1 << 20,), EVICTING_TIMES * 2 * (4 << 20)),
        (nn.ReLU(), (1 << 24,), EVICTING_BYTES[1]),
        (nn.Linear(64, 64), (64,), LEAST_BESIDE_WEIGHTS),
        (nn.Linear(64, 64), (64, 64), EVICTING_BYTES[0]),
        (nn.Linear(1024, 2048, bias=False), (1024,), EVICTING_TIMES * 4 * (1024 * 2048 + 3072)),
    ],
    ids=["small", "large", "larger", "few weights", "and tokens", "many weights"],
)
def test_what_passes_through_the_caches_before_a_sample(module, shape, read):
    """As much as the rest of a network, which is as large as its kernels are."""
    assert evicting_bytes(trace(module, shape)) == read


def test_a_kernel_meets_other_numbers_each_time():
    call = micro._AsInNetwork(micro.Ready(nn.ReLU(), [torch.ones(4)]), 1 << 22)
    assert 4 * len(call._ballast) == 1 << 22
    call.prepare()
    first = call._run.inputs[0]
    call.prepare()
    assert call._run.inputs[0].shape == (4,)
    assert not torch.equal(call._run.inputs[0], first), "the numbers are others each time"
    assert call().shape == (4,)


def test_every_chain_is_measured_where_no_time_is_left():
    chain = MicroKernel("chain", nn.ReLU, ((1, 8),))
    found = measure_all(KERNELS, [chain], board(), torch.device("cpu"), -1.0)
    assert found.kernels == []
    assert [one.name for one in found.chains] == ["chain"]
    assert found.drift == 0.0


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        ([[1.0, 1.0, 1.0]] * 5, 0.0),
        ([[1.0, 1.3, 1.0]] * 4 + [[1.0, 9.0, 1.0]], 0.3),
        ([[2.0, 1.0, 2.0]] * 3, 1.0),
        ([[1.0, 2.0]] * 3, 0.0),
        ([], 0.0),
    ],
    ids=["steady", "one disturbed kernel", "one quick round", "no full round", "nothing"],
)
def test_drift_is_what_all_kernels_took_longer_in_a_round(rounds, expected):
    assert drift(rounds) == pytest.approx(expected)


def test_inputs_larger_than_the_ballast_are_written_anew_as_they_are():
    """A batch of 64 large pictures is one."""
    given = torch.ones(EVICTING_BYTES[1] // 4 + 1)
    call = micro._AsInNetwork(micro.Ready(nn.ReLU(), [given]), 0)
    call.prepare()
    assert call._run.inputs[0] is not given
    assert torch.equal(call._run.inputs[0], given)


def test_new_numbers_lie_as_the_old_ones_did():
    given = torch.ones(1, 3, 4, 4).to(memory_format=torch.channels_last)
    call = micro._AsInNetwork(micro.Ready(nn.ReLU(), [given]), 0)
    call.prepare()
    assert call._run.inputs[0].stride() == given.stride()
