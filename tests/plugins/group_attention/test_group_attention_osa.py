"""One-shot aggregation (arXiv:1904.09730): the block, the published networks, and what it moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import build, build_element, fuse, parameter_count
from nas.costs import estimate
from nas.costs.trace import Trace, trace
from nas.plugins import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.signature import Signature
from nas_group_attention.osa import Gate, OneShotAggregation, VoVNetStem
from nas_group_attention.osa_costs import stem_strides

torch.set_num_threads(1)
REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks


def image(channels: int, height: int = 8, breadth: int = 8) -> Signature:
    return Signature("image", channels, (height, breadth))


def ready(module: nn.Module) -> nn.Module:
    """In float64 and eval, with norms that are not the identity."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
    return module.double().eval()


def noise(channels: int, height: int = 8, breadth: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((2, channels, height, breadth), generator=generator, dtype=torch.float64)


def norm_relu(part: Any, y: Tensor) -> Tensor:
    bn = part.norm
    return F.batch_norm(y, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps).clamp(min=0)


class TestBlock:
    @pytest.mark.parametrize("layers", [1, 3, 5])
    def test_it_is_its_definition(self, layers: int) -> None:
        block = ready(OneShotAggregation(image(16), width=24, layers=layers, ratio=0.5))
        x = noise(16)
        y, found = x, [x]
        for part in block.chain:
            y = norm_relu(part, F.conv2d(y, part.conv.weight, padding=1))
            found.append(y)
        expected = norm_relu(block.mix, F.conv2d(torch.cat(found, 1), block.mix.conv.weight))
        assert torch.equal(block(x), expected)

    def test_residual_and_gate_are_what_they_say(self) -> None:
        block = ready(OneShotAggregation(image(16), layers=3, residual=True, gate=True))
        x = noise(16)
        y = block.mix(torch.cat([x, *chain(block, x)], 1))
        means = y.mean((2, 3))
        gate = F.hardsigmoid(F.linear(means, block.gate.linear.weight[:, :, 0, 0], block.gate.linear.bias))
        torch.testing.assert_close(block(x), x + y * gate[:, :, None, None], rtol=1e-12, atol=1e-12)

    def test_a_separable_chain_reduces_first(self) -> None:
        block = ready(OneShotAggregation(image(16), width=24, layers=3, ratio=0.25, separable=True))
        x = noise(16)
        y = norm_relu(block.reduce, F.conv2d(x, block.reduce.conv.weight))
        found = [x]
        for part in block.chain:
            y = F.conv2d(y, part.depthwise.weight, padding=1, groups=6)
            y = norm_relu(part.pointwise, F.conv2d(y, part.pointwise.conv.weight))
            found.append(y)
        torch.testing.assert_close(block(x), block.mix(torch.cat(found, 1)), rtol=1e-12, atol=1e-12)

    def test_a_separable_chain_of_the_same_channels_reduces_nothing(self) -> None:
        assert isinstance(OneShotAggregation(image(16), ratio=1.0, separable=True).reduce, nn.Identity)

    @pytest.mark.parametrize("size", [(8, 8), (7, 7), (7, 8), (1, 1), (2, 2)])
    def test_the_pool_halves_every_size(self, size: tuple[int, int]) -> None:
        block = ready(OneShotAggregation(image(16, *size), stride=2, layers=3))
        assert block(noise(16, *size)).shape == (2, 16, -(-size[0] // 2), -(-size[1] // 2))

    def test_the_pool_of_even_sizes_is_that_of_the_published_networks(self) -> None:
        block = OneShotAggregation(image(16, 14, 14), stride=2, layers=3)
        x = noise(16, 14, 14)
        assert torch.equal(block.pool(x)[..., 0, 0], x[..., :3, :3].amax((2, 3)))

    def test_a_gate_at_its_middle_halves(self) -> None:
        gate = Gate(4).double()
        nn.init.zeros_(gate.linear.weight)
        nn.init.zeros_(gate.linear.bias)
        x = noise(4)
        assert torch.equal(gate(x), x / 2)

    def test_a_residual_must_be_possible(self) -> None:
        knobs = {name: choice.default for name, choice in BLOCKS["osa"].knobs.items()} | {"residual": True}
        assert BLOCKS["osa"].accepts(image(16), 16, 1, knobs)
        assert not BLOCKS["osa"].accepts(image(16), 24, 1, knobs)
        assert not BLOCKS["osa"].accepts(image(16), 16, 2, knobs)
        assert not BLOCKS["osa"].accepts(image(16), 16, 4, knobs | {"residual": False})


def chain(block: Any, x: Tensor) -> list[Tensor]:
    found = []
    for part in block.chain:
        x = part(x)
        found.append(x)
    return found


@pytest.mark.parametrize(("stride", "shares"), [(1, (1, 1)), (2, (2, 1)), (4, (2, 2)), (3, (1, 3))])
def test_the_stem_shares_its_stride(stride: int, shares: tuple[int, int]) -> None:
    stem = VoVNetStem(image(3, 12, 12), width=16, stride=stride)
    assert stem_strides(stride) == shares
    assert stem(torch.zeros(1, 3, 12, 12)).shape == (1, 16, -(-12 // stride), -(-12 // stride))


# --- published networks ---


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("vovnet39", 22_600_296, 7_072_227_328),
        ("vovnet57", 36_640_296, 8_930_144_256),
        ("vovnet39_ese", 24_568_936, 7_074_193_408),
        ("vovnet57_ese", 38_608_936, 8_932_110_336),
    ],
)
def test_published_counts(name: str, params: int, macs: int) -> None:
    network = load_space(f"published/{name}", REGISTRY).sample(np.random.default_rng(0)).network
    assert network is not None
    with torch.device("meta"):
        module = build(network, BLOCKS)
    found = trace(module, network.input.shape)
    assert (found.params, found.macs) == (params, macs)


def test_the_space_is_searchable() -> None:
    space = load_space("vovnet", REGISTRY)
    assert space.size() > 10**9
    vectors = space.sample_vectors(20, np.random.default_rng(0))
    lengths = {
        layer.block.knob_values()["layers"]
        for vector in vectors
        for layer in space.decode(vector).network.layers
        if layer.block.use == "osa"
    }
    assert lengths == {3, 4, 5}


# --- what is moved ---


class Dense(nn.Module):
    """A dense block: every convolution takes the input and all outputs before it (arXiv:1608.06993)."""

    def __init__(self, channels: int, growth: int, layers: int) -> None:
        super().__init__()
        widths = range(channels, channels + layers * growth, growth)
        self.convs = nn.ModuleList(nn.Conv2d(width, growth, 3, padding=1, bias=False) for width in widths)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = torch.cat([x, conv(x).relu()], 1)
        return x


def one_shot(channels: int, layers: int, ratio: float = 1.0) -> nn.Module:
    layer = Layer(
        BlockUse("osa", (("layers", layers), ("ratio", ratio))),
        channels,
    )
    return fuse(build_element(layer, image(channels, 28, 28), BLOCKS).eval())


def traced(module: nn.Module, channels: int = 64) -> Trace:
    return trace(module.eval(), (channels, 28, 28))


def conv_bytes(found: Trace) -> int:
    """What the 3x3 convolutions of a trace move."""
    return sum(op.bytes_moved for op in found.operators if op.kind == "conv" and op.dim("kernel_0") == 3)


def test_a_convolution_moves_its_weights_and_both_maps() -> None:
    found = trace(nn.Conv2d(24, 40, 3, padding=1, bias=False), (24, 28, 28))
    assert found.bytes_moved == 4 * (9 * 24 * 40 + 28 * 28 * (24 + 40))


def test_traffic_is_linear_in_the_length_of_a_chain_and_quadratic_in_that_of_a_dense_block() -> None:
    lengths = range(1, 8)
    aggregated = [conv_bytes(traced(one_shot(64, layers))) for layers in lengths]
    dense = [conv_bytes(traced(Dense(64, 64, layers))) for layers in lengths]
    assert set(np.diff(aggregated, 2)) == {0}
    (second,) = set(np.diff(dense, 2))
    assert second == 4 * (28 * 28 * 64 + 9 * 64 * 64)


@pytest.mark.parametrize("layers", [5, 8, 12])
def test_a_dense_block_of_equal_work_moves_more_and_takes_more_energy(layers: int) -> None:
    growth = max(g for g in range(1, 65) if dense_work(64, g, layers) <= layers * 64 * 64)
    aggregated, dense = traced(one_shot(64, layers)), traced(Dense(64, growth, layers))
    work = sum(op.macs for op in aggregated.operators if op.dim("kernel_0") == 3)
    assert dense.macs == pytest.approx(work, rel=0.05)
    assert dense.bytes_moved > aggregated.bytes_moved
    for target in ("a100", "t4"):
        energies = [
            estimate(module, (64, 28, 28), target, model="roofline").energy_mj
            for module in (one_shot(64, layers), Dense(64, growth, layers))
        ]
        assert energies[0] < energies[1]


def dense_work(channels: int, growth: int, layers: int) -> int:
    """Multiply-adds of a dense block for one position and tap."""
    return sum((channels + index * growth) * growth for index in range(layers))


def test_weights_by_hand() -> None:
    """Five 3x3 convolutions, one 1x1 of 64 + 5 * 32 channels, norms and a gate with its bias."""
    block = OneShotAggregation(image(64), layers=5, ratio=0.5, gate=True)
    chain_weights = 9 * 32 * (64 + 4 * 32)
    mix = (64 + 5 * 32) * 64
    assert parameter_count(block) == chain_weights + mix + 2 * (5 * 32 + 64) + 64 * 65
