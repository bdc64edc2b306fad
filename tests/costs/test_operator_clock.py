"""Timing the operators of a module one by one while it runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.costs.measuring.clocks import Run
from nas.costs.measuring.latency import Ready, ready
from nas.costs.measuring.network_parts import Attending, ChannelNorm, Excitation, UNet
from nas.costs.measuring.operator_clock import TimedOperators
from nas.costs.trace import trace


class Counting:
    """A clock that runs what it times, and says one second more each time."""

    name = "counting"

    def __init__(self) -> None:
        self.calls = 0

    def seconds(self, run: Run, times: int) -> float:
        for _ in range(times):
            run()
        self.calls += 1
        return float(self.calls)


def placed(module: nn.Module, *shape: int) -> Ready:
    return ready(module, [(1, *shape)], torch.device("cpu"), "fp32")


@pytest.fixture(autouse=True)
def inference():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten()), (3, 8, 8)),
        (Excitation(8, 4, nn.Hardsigmoid), (8, 6, 6)),
        (Attending(32, 4, composed=True), (5, 32)),
        (UNet(8, "bilinear", nn.GELU, False), (3, 16, 16)),
        (nn.GRU(8, 16, batch_first=True), (5, 8)),
        (ChannelNorm(8), (8, 4, 4)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_every_operator_of_the_trace_has_its_time(module, shape):
    run = placed(module.eval(), *shape)
    found = TimedOperators(run, 1, "fp32")
    expected = trace(module, shape)
    assert [one.name for one in found.trace.operators] == [one.name for one in expected.operators]
    assert found.trace.macs == expected.macs and found.trace.bytes_moved == expected.bytes_moved
    clock = Counting()
    times = found.milliseconds(run, clock)
    assert times.shape == (len(expected.operators),)
    assert (times > 0).all() and (times[1:] > times[:-1]).all(), "in the order in which they ran"
    assert times[-1] <= 1e3 * clock.calls, "views have calls, and are no operators"


def test_another_module_that_is_made_alike_has_the_same_calls():
    run, other = (placed(Attending(32, 4), 5, 32) for _ in range(2))
    found = TimedOperators(run, 1, "fp32")
    first, second = Counting(), Counting()
    assert found.milliseconds(run, first).tolist() == found.milliseconds(other, second).tolist()
    assert first.calls == second.calls > len(found.trace.operators), "and some that are views"


class Fickle(nn.Module):
    """Runs another operator each time."""

    runs = 0

    def forward(self, x):
        self.runs += 1
        return x.relu() if self.runs % 2 else x.relu().exp()


def test_a_module_that_runs_other_operators_each_time_is_refused():
    run = placed(Fickle(), 4)
    found = TimedOperators(run, 1, "fp32")
    with pytest.raises(RuntimeError, match="2 calls of operators, where the trace has 1"):
        found.milliseconds(run, Counting())


def test_nothing_that_it_computes_changes():
    module = Attending(32, 4).eval()
    x, kept = torch.randn(1, 5, 32), []
    run = Ready(nn.Sequential(module, Keeping(kept)), [x])
    TimedOperators(run, 1, "fp32").milliseconds(run, Counting())
    assert all(torch.equal(one, module(x)) for one in kept) and len(kept) == 2


class Keeping(nn.Module):
    """Keeps what goes through it."""

    def __init__(self, kept: list[torch.Tensor]) -> None:
        super().__init__()
        self.kept = kept

    def forward(self, x):
        self.kept.append(x)
        return x
