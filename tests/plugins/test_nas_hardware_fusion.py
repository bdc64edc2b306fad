"""What a runtime makes of operators that follow each other: joined, folded into weights, or kernels."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from nas.costs import estimate
from nas.costs.trace import trace
from nas_hardware.fusion import FOLDING, JOINED, executed

SHAPE = (8, 14, 14)
DEPLOYED = sorted(FOLDING)
OTHERS = sorted(set(JOINED) - FOLDING)


class Normed(nn.BatchNorm2d):
    """A norm that is no module of torch's own, as libraries have them; with an activation of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(
            functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)
        )


class Skipping(nn.Module):
    """A convolution that is read once more behind its norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), Normed(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        return self.norm(x) + x


def plain() -> nn.Module:
    return nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), Normed(8))


def steps(module: nn.Module, runtime: str) -> dict[str, tuple[int, bool, int]]:
    """Bytes, whether it is a kernel, and arithmetic, by the name of each operator."""
    found = executed(trace(module, SHAPE).operators, runtime)
    return {
        step.operator.name.rstrip("_"): (step.bytes_moved, step.is_kernel, step.operator.flops)
        for step in found
    }


@pytest.mark.parametrize("runtime", DEPLOYED)
def test_of_a_norm_behind_weights_nothing_is_left(runtime):
    found = steps(plain(), runtime)
    assert found["batch_norm"] == (0, False, 0)
    assert found["convolution"][1]
    assert found["relu"][:2] == (0, False)


@pytest.mark.parametrize("runtime", OTHERS)
def test_other_runtimes_run_it(runtime):
    moved, is_kernel, flops = steps(plain(), runtime)["batch_norm"]
    assert is_kernel
    assert moved > 0
    assert flops > 0


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 3, groups=2)]
)
def test_every_convolution_takes_its_norm_in(layer):
    assert not steps(nn.Sequential(layer, Normed(8)), "tensorrt")["batch_norm"][1]


def test_a_linear_layer_takes_its_norm_in():
    found = executed(trace(nn.Sequential(nn.Linear(16, 8), Normed(8)), (16,)).operators, "onnxruntime")
    assert [step.is_kernel for step in found] == [True, False, False]


@pytest.mark.parametrize("module", [nn.Sequential(nn.ReLU(), Normed(8)), Normed(8), Skipping()])
def test_a_norm_behind_something_else_or_beside_another_reader_is_run(module):
    moved, _, flops = steps(module, "tensorrt")["batch_norm"]
    assert flops > 0
    assert moved > 0


@pytest.mark.parametrize("target", ["a100", "pixel6", "iphone12"])
def test_a_norm_of_a_library_costs_what_one_of_torch_does(target):
    """But for the bias of the merged module; compilers make one kernel of the norm and what follows."""
    own = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    times = [estimate(module, SHAPE, target).latency_ms for module in (plain(), own)]
    assert times[0] == pytest.approx(times[1], rel=1e-2)


CHAINS = [
    [nn.ReLU()],
    [nn.ReLU(), nn.Sigmoid()],
    [nn.GELU(), nn.Conv2d(8, 8, 1)],
    [nn.Softmax(1), nn.ReLU()],
    [Normed(8)],
    [Normed(8), nn.Conv2d(8, 8, 1), nn.ReLU()],
    [nn.MaxPool2d(1), nn.ReLU()],
]
FRONTS = [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(8), nn.Softmax(1), nn.AvgPool2d(1)]


@pytest.mark.parametrize("runtime", sorted(JOINED))
@pytest.mark.parametrize("front", FRONTS, ids=lambda module: type(module).__name__)
@pytest.mark.parametrize("chain", CHAINS, ids=lambda parts: "-".join(type(part).__name__ for part in parts))
def test_a_part_joins_what_made_its_input_as_in_the_whole(runtime, front, chain):
    """Told the kind of the kernel in front, what runs behind it alone is what runs behind it in one."""
    first, second = trace(front, SHAPE), trace(nn.Sequential(*chain), SHAPE)
    whole = executed(trace(nn.Sequential(front, *chain), SHAPE).operators, runtime)
    parts = executed(first.operators, runtime) + executed(second.operators, runtime, first.output_kind)
    found = [(step.operator.name, step.bytes_moved, step.is_kernel) for step in parts]
    assert found == [(step.operator.name, step.bytes_moved, step.is_kernel) for step in whole]


def test_what_is_read_twice_is_still_written():
    class Gate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * x.sigmoid()

    alone, behind = (executed(trace(Gate(), SHAPE).operators, "compiled", kind) for kind in ("", "pointwise"))
    assert [step.is_kernel for step in alone] == [True, False]
    assert [step.is_kernel for step in behind] == [False, False]
    assert behind[0].bytes_moved == alone[0].bytes_moved - 4 * 8 * 14 * 14
