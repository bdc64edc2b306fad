"""Patches down to single pixels (arXiv:2406.09415): what attention costs there, and what no memory holds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nas_base_cases import randomised, use
from torch import Tensor, nn

from nas.blocks import build
from nas.costs import Device, Figure, Target, estimate
from nas.costs.summary import warnings
from nas.costs.trace import Trace, trace
from nas.plugins import default_registry
from nas.spaces import Layer, Network
from nas.spaces.signature import Signature

torch.set_num_threads(1)
BLOCKS = default_registry().blocks
LINEAR = {"conv", "gemm"}
DEPTH, WIDTH, SIDE = 2, 32, 32


def network(patch: int, side: int = SIDE) -> Network:
    """Patches of so many pixels, then blocks of attention and feed-forward."""
    block = use("metaformer", mixer=use("attention", head_dim=16), norm="layer")
    layers = (
        Layer(use("downsample"), WIDTH, patch),
        *[Layer(block)] * DEPTH,
        Layer(use("pool_linear", norm="layer")),
    )
    return Network(Signature("image", 3, (side, side)), layers, 10)


def traced(patch: int) -> Trace:
    with torch.device("meta"):
        module = build(network(patch), BLOCKS)
    return trace(module.eval(), (3, SIDE, SIDE))


def work(found: Trace, kinds: set[str]) -> int:
    """The multiply-adds of the blocks, without patches and classifier."""
    inside = (op for op in found.operators if op.module.startswith(("layers.1_", "layers.2_")))
    return sum(op.macs for op in inside if op.kind in kinds)


@pytest.mark.parametrize("patch", [1, 2, 4, 8])
def test_there_is_a_token_for_each_patch(patch: int) -> None:
    queries = {op.dim("queries") for op in traced(patch).operators if op.kind == "sdpa"}
    assert queries == {(SIDE // patch) ** 2}


@pytest.mark.parametrize("patch", [2, 4, 8])
def test_half_the_patch_is_sixteen_times_the_attention_and_four_times_the_rest(patch: int) -> None:
    coarse, fine = traced(patch), traced(patch // 2)
    assert work(fine, {"sdpa"}) == 16 * work(coarse, {"sdpa"}) > 0
    assert work(fine, LINEAR) == 4 * work(coarse, LINEAR) > 0


def test_attention_by_hand() -> None:
    """Two products of tokens by tokens by channels."""
    assert work(traced(1), {"sdpa"}) == DEPTH * 2 * (SIDE * SIDE) ** 2 * WIDTH


def test_without_positions_pixels_may_be_shuffled() -> None:
    small = network(1, side=8)
    module = randomised(build(small, BLOCKS).double()).eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn((2, 3, 8, 8), generator=generator, dtype=torch.float64)
    order = torch.randperm(64, generator=generator)
    shuffled = x.flatten(2)[..., order].unflatten(2, (8, 8))
    torch.testing.assert_close(module(shuffled), module(x), rtol=0, atol=1e-10)


class Scores(nn.Module):
    """Attention that writes down all of its scores."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return (tokens @ tokens.transpose(1, 2)).softmax(-1) @ tokens


def board(memory_gb: float) -> Target:
    values = {"fp32_tflops": 10.0, "memory_bandwidth_gbs": 500.0, "memory_gb": memory_gb}
    sheet = {name: Figure(value, "a test") for name, value in values.items()}
    return Target("board", Device("board", "gpu", "none", sheet), "fp32", runtime="eager")


@pytest.mark.parametrize(("patch", "is_feasible"), [(16, True), (4, True), (1, False)])
def test_memory_says_what_cannot_run_before_it_runs(patch: int, is_feasible: bool) -> None:
    """At one pixel the scores of one 224-pixel picture take 50,176² numbers."""
    target = board(8.0)
    cost = estimate(Scores(patch), (3, 224, 224), target)
    tokens = (224 // patch) ** 2
    assert cost.peak_memory_bytes >= 4 * tokens**2
    assert any("does not fit" in note for note in warnings(cost, target)) != is_feasible


def test_attention_that_writes_no_scores_grows_with_the_tokens_alone() -> None:
    peaks: list[Any] = [traced(patch).peak_activation_bytes for patch in (4, 2, 1)]
    assert peaks[2] / peaks[1] == pytest.approx(4, rel=0.02)
    assert peaks[1] / peaks[0] == pytest.approx(4, rel=0.05)
