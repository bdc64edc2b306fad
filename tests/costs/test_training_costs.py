"""Training steps: what autograd saves, counted against autograd itself, and what a step adds up to."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.costs import Cost, Operator, OperatorCost, Trace, resolve_target
from nas.costs.saved import saved_by
from nas.costs.trace import trace
from nas.costs.training import BACKWARD, HOLES_SHARE, OPTIMIZERS, estimate_training, training_cost
from nas.errors import CostError, UnknownNameError

BATCH = 2


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(16), nn.Linear(16, 16)

    def forward(self, x):
        return x + self.linear(nn.functional.gelu(self.norm(x)))


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.scale = nn.Linear(16, 32), nn.Parameter(torch.ones(16))

    def forward(self, x):
        a, b = self.linear(x).chunk(2, -1)
        return (a * b.sigmoid()) * self.scale


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x):
        q, k, v = self.qkv(x).reshape(x.shape[0], 8, 3, 2, 8).permute(2, 0, 3, 1, 4).unbind(0)
        weights = ((q * 0.3) @ k.transpose(-1, -2)).softmax(-1)
        return self.out((weights @ v).transpose(1, 2).reshape(x.shape))


CASES = {
    "perceptron": (nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)), (16,)),
    "in place": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 4, 1)),
        (3, 8, 8),
    ),
    "overwritten": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.SiLU(inplace=True), nn.Conv2d(8, 4, 1)),
        (3, 8, 8),
    ),
    "depthwise": (
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.Hardswish(), nn.Conv2d(8, 8, 3, groups=8), nn.AdaptiveAvgPool2d(1)
        ),
        (3, 8, 8),
    ),
    "pools": (nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Sigmoid(), nn.AvgPool2d(3)), (3, 8, 8)),
    "residual": (Residual(), (8, 16)),
    "gate": (Gate(), (8, 16)),
    "attention": (Attention(), (8, 16)),
}


def saved_by_autograd(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Bytes of the distinct memory that autograd keeps, weights left out."""
    weights = {t.untyped_storage()._cdata for t in (*module.parameters(), *module.buffers())}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module.train()(torch.randn(BATCH, *shape))
    return sum(storage.nbytes() for storage in kept.values())


def saved(module: nn.Module, shape: tuple[int, ...], precision="fp32") -> int:
    return sum(map(sum, saved_by(trace(module, shape, BATCH, precision).operators)))


@pytest.mark.parametrize("case", CASES)
def test_saved_memory_is_what_autograd_saves(case):
    module, shape = CASES[case]
    assert saved(module, shape) == saved_by_autograd(module, shape)


def test_fused_attention_saves_no_weights_of_its_pairs():
    class Fused(nn.Module):
        def forward(self, x):
            return nn.functional.scaled_dot_product_attention(x, x, x)

    assert saved(Fused(), (2, 8, 4)) == 4 * (BATCH * 2 * 8 * 4) * 2 + 4 * BATCH * 2 * 8


def test_casts_halve_what_is_saved():
    module = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    assert saved(module, (64,), "amp-fp16") == saved(module, (64,)) // 2


def test_an_unknown_operator_saves_all_it_touches():
    first = Operator("relu", "pointwise", "", 0, 0, 8, 8, 0)
    second = Operator("own::op", "custom", "", 0, 0, 8, 24, 0, ((0, 8),), known=False)
    assert saved_by([first, second]) == [[8], [24]]


MODULE = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.ReLU(), nn.Conv2d(16, 8, 1, bias=False))


@pytest.mark.parametrize(("optimizer", "numbers"), OPTIMIZERS.items())
def test_an_optimizer_keeps_so_many_numbers_for_each_weight(optimizer, numbers):
    cost = estimate_training(MODULE, (3, 16, 16), "cpu", 4, optimizer)
    assert cost.gradient_bytes == cost.weight_bytes == 4 * (432 + 128)
    assert cost.optimizer_bytes == numbers * cost.weight_bytes
    assert cost.optimizer == optimizer


def test_the_peak_is_on_the_way_back():
    cost = estimate_training(MODULE, (3, 16, 16), "cpu", 4)
    image, wide, narrow = (4 * 4 * 256 * channels for channels in (3, 16, 8))
    assert cost.saved_bytes == image + wide
    backward = (
        cost.saved_bytes + 2 * (wide + narrow) + 4 * 128
    )  # gradients, a workspace, those of the weights
    assert cost.peak_memory_bytes >= cost.weight_bytes + cost.optimizer_bytes + backward
    everything = cost.saved_bytes + 2 * (image + wide + narrow + wide) + cost.gradient_bytes
    most = round(everything * (1 + HOLES_SHARE))
    assert cost.peak_memory_bytes <= cost.weight_bytes + cost.optimizer_bytes + most


def test_more_samples_take_more_and_weights_stay():
    few, many = (estimate_training(MODULE, (3, 16, 16), "a100", batch) for batch in (1, 64))
    assert many.saved_bytes == 64 * few.saved_bytes
    assert many.peak_memory_bytes > few.peak_memory_bytes
    assert (many.gradient_bytes, many.optimizer_bytes) == (few.gradient_bytes, few.optimizer_bytes)


def test_half_precision_is_trained_by_autocast():
    assert "/eager/amp-fp16/b4/" in estimate_training(MODULE, (3, 16, 16), "a100", 4).target
    assert "/eager/fp16/b4/" in estimate_training(MODULE, (3, 16, 16), "a100", 4, precision="fp16").target


def forward_cost(*operators: OperatorCost, low=0.5, high=2.0) -> Cost:
    total = sum(operator.latency_ms for operator in operators)
    return Cost("t", "predicted", "T0", "m", total, low * total, high * total, 0, 6.0, 0, 0, 0, 0, operators)


def taking(kind: str, latency: float) -> OperatorCost:
    return OperatorCost(kind, kind, "", 0, 0, 0, latency, "compute")


def test_a_step_is_forward_backward_and_optimizer():
    on = resolve_target("a100")
    forward = forward_cost(taking("gemm", 1.0), taking("pointwise", 2.0), taking("norm", 1.0))
    empty = Trace((), 0, 0, 0, 0)
    step = 4 + 1 * BACKWARD["gemm"] + 2 * 1.5 + 1 * BACKWARD["norm"]
    assert training_cost(empty, forward, on).step_ms == pytest.approx(step)
    weights = replace(empty, params=10**9)
    moved = 4e9 * (3 + 2 * OPTIMIZERS["adamw"])
    taken = training_cost(weights, forward, on, "adamw").step_ms - step
    assert taken == pytest.approx(moved / (0.8 * on.figures["memory_bandwidth_gbs"].value * 1e6))


def test_bounds_are_wider_than_those_of_the_forward_pass():
    cost = training_cost(Trace((), 0, 0, 0, 0), forward_cost(taking("gemm", 1.0)), resolve_target("a100"))
    assert cost.low_ms < 0.5 * cost.step_ms < 2 * cost.step_ms < cost.high_ms
    assert cost.energy_mj == pytest.approx(6.0 * cost.step_ms)
    exact = forward_cost(taking("gemm", 1.0), low=1.0, high=1.0)
    alone = training_cost(Trace((), 0, 0, 0, 0), exact, resolve_target("a100"))
    assert (alone.low_ms / alone.step_ms, alone.high_ms / alone.step_ms) == pytest.approx((0.73, 1.43))


def test_a_step_of_nothing():
    cost = training_cost(Trace((), 0, 0, 0, 0), forward_cost(), resolve_target("a100"))
    assert (cost.step_ms, cost.low_ms, cost.high_ms, cost.energy_mj, cost.peak_memory_bytes) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert all(map(math.isfinite, (cost.low_ms, cost.high_ms)))


def test_mistakes_are_named():
    with pytest.raises(UnknownNameError, match="unknown optimizer"):
        estimate_training(MODULE, (3, 16, 16), "cpu", 4, "adamv")
    with pytest.raises(CostError, match="cannot run"):
        estimate_training(MODULE, (4, 16, 16), "cpu", 4)
