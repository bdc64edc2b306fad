"""Constant group size: what the blocks compute, what they cost, and which group size a search takes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nas
from nas.blocks import build, fuse
from nas.costs.trace import trace
from nas.plugins.registry import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import Architecture, BlockUse, Network
from nas.spaces.signature import Signature
from nas_group_attention.group_size import GroupedBottleneck, GroupedSeparable, energy_price
from nas_group_attention.group_size_costs import (
    DRAM_JOULE,
    MAC_JOULE,
    divides,
    energy,
    grouped_conv_cost,
)

BLOCKS = default_registry().blocks
MAP = Signature("image", 16, (5, 4))
WIDE = Signature("image", 64, (14, 14))
SIZES = (1, 2, 4, 8, 16, 32, 64)

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def randomised(module: nn.Module) -> nn.Module:
    """Norm statistics, gains and biases away from where they start."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2.0)
    return module.double().eval()


def naive_grouped(x: Tensor, weight: Tensor, group_size: int, stride: int) -> Tensor:
    """Every output channel sums over the channels of its own group, tap by tap."""
    N, C, H, W = x.shape
    pad = weight.shape[-1] // 2
    rows, columns = -(-H // stride), -(-W // stride)
    y = torch.zeros((N, C, rows, columns), dtype=x.dtype)
    for out in range(C):
        first = out // group_size * group_size
        for i in range(rows):
            for j in range(columns):
                for a in range(weight.shape[-2]):
                    for b in range(weight.shape[-1]):
                        row, column = i * stride + a - pad, j * stride + b - pad
                        if 0 <= row < H and 0 <= column < W:
                            taps = x[:, first : first + group_size, row, column] * weight[out, :, a, b]
                            y[:, out, i, j] += taps.sum(1)
    return y


def naive_norm(x: Tensor, norm: nn.Module) -> Tensor:
    mean, var, gain, bias = (
        value.detach().reshape(1, -1, 1, 1)
        for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + norm.eps).sqrt() * gain + bias


def naive_pointwise(x: Tensor, weight: Tensor) -> Tensor:
    return torch.einsum("nchw,oc->nohw", x, weight[:, :, 0, 0])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    ("knobs", "size"), [({}, 1), ({"group_size": 4}, 4), ({"groups": 2}, 8), ({"groups": 1}, 16)]
)
def test_separable_is_its_formula(knobs: dict[str, Any], size: int, stride: int) -> None:
    module = randomised(GroupedSeparable(MAP, width=6, stride=stride, **knobs))
    x = torch.randn(2, *MAP.shape, dtype=torch.float64)
    y = naive_grouped(x, module.grouped.conv.weight.detach(), size, stride)
    y = naive_norm(y, module.grouped.norm).clamp(0, 6)
    y = naive_norm(naive_pointwise(y, module.pointwise.conv.weight.detach()), module.pointwise.norm)
    with torch.no_grad():
        assert (module(x) - y.clamp(0, 6)).abs().max() < 1e-10


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("knobs", "size"), [({"group_size": 2}, 2), ({"groups": 2}, 4)])
def test_bottleneck_is_its_formula(knobs: dict[str, Any], size: int, stride: int) -> None:
    module = randomised(GroupedBottleneck(MAP, width=16, stride=stride, ratio=0.5, **knobs))
    x = torch.randn(2, *MAP.shape, dtype=torch.float64)
    y = naive_norm(naive_pointwise(x, module.reduce.conv.weight.detach()), module.reduce.norm).relu()
    y = naive_grouped(y, module.grouped.conv.weight.detach(), size, stride)
    y = naive_norm(y, module.grouped.norm).relu()
    y = naive_norm(naive_pointwise(y, module.expand.conv.weight.detach()), module.expand.norm)
    around = x
    if stride == 2:
        thinned = x[:, :, ::2, ::2]
        around = naive_pointwise(thinned, module.shortcut.conv.weight.detach())
        around = naive_norm(around, module.shortcut.norm)
    with torch.no_grad():
        assert (module(x) - (y + around).relu()).abs().max() < 1e-10


@pytest.mark.parametrize("made", [GroupedSeparable, GroupedBottleneck])
def test_merged_norms_change_nothing(made: type[nn.Module]) -> None:
    module = randomised(made(MAP, width=24, stride=2, group_size=4))
    deployed = fuse(module)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    x = torch.randn(3, *MAP.shape, dtype=torch.float64)
    with torch.no_grad():
        assert (deployed(x) - module(x)).abs().max() < 1e-9


@pytest.mark.parametrize("group_size", SIZES)
def test_group_size_and_its_number_of_groups_are_one_network(group_size: int) -> None:
    one = GroupedSeparable(WIDE, group_size=group_size)
    other = GroupedSeparable(WIDE, groups=64 // group_size)
    other.load_state_dict(one.state_dict())
    x = torch.randn(1, *WIDE.shape)
    assert torch.equal(one.eval()(x), other.eval()(x))


@pytest.mark.parametrize(
    ("channels", "group_size", "groups", "expected"),
    [
        (24, 8, 0, True),
        (24, 16, 0, False),
        (24, 1, 8, True),
        (24, 1, 16, False),
        (24, 8, 3, False),  # said twice
        (8, 16, 0, False),
    ],
)
def test_groups_must_be_equal_and_said_once(
    channels: int, group_size: int, groups: int, expected: bool
) -> None:
    assert divides(channels, group_size, groups) is expected
    block = BLOCKS["grouped_separable"]
    knobs = {"group_size": group_size, "groups": groups, "kernel": 3, "activation": "relu"}
    assert block.accepts(replace(WIDE, channels=channels), 32, 1, knobs) is expected


def test_the_bottleneck_groups_its_inner_channels() -> None:
    block = BLOCKS["grouped_bottleneck"]
    knobs = {"group_size": 32, "groups": 0, "kernel": 3, "ratio": 0.5, "activation": "relu"}
    assert block.accepts(WIDE, 64, 1, knobs)
    assert not block.accepts(WIDE, 48, 1, knobs)
    assert not block.accepts(WIDE, 64, 1, {**knobs, "kernel": 4})


# --- costs ---


def conv_trace(group_size: int, stride: int = 1, kernel: int = 3) -> Any:
    conv = nn.Conv2d(64, 64, kernel, stride, kernel // 2, groups=64 // group_size, bias=False)
    return trace(conv, WIDE.shape)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("group_size", SIZES)
def test_hand_formula_is_the_trace(group_size: int, kernel: int, stride: int) -> None:
    cost = grouped_conv_cost(WIDE, 64, stride, kernel=kernel, group_size=group_size)
    found = conv_trace(group_size, stride, kernel)
    assert cost.macs == found.macs
    assert cost.weights == found.params
    assert cost.data == found.bytes_moved / 4


def test_work_is_linear_in_the_group_size_and_intensity_rises() -> None:
    costs = [grouped_conv_cost(WIDE, group_size=size) for size in SIZES]
    assert [cost.macs for cost in costs] == [costs[0].macs * size for size in SIZES]
    assert [cost.weights for cost in costs] == [costs[0].weights * size for size in SIZES]
    assert all(before.intensity < after.intensity for before, after in pairwise(costs))
    per_mac = [cost.energy() / cost.macs for cost in costs]
    assert all(before > after for before, after in pairwise(per_mac))


def test_energy_is_work_and_data_at_their_prices() -> None:
    cost = grouped_conv_cost(WIDE, group_size=4)
    assert cost.energy(2.0, 0.0) == 2 * cost.macs
    assert cost.energy(0.0, 3.0) == 3 * cost.data
    assert cost.energy() == pytest.approx(MAC_JOULE * cost.macs + DRAM_JOULE * cost.data)
    assert energy(10, 4, 1.0, 0.5) == 12


def test_a_series_has_one_side() -> None:
    cost = grouped_conv_cost(Signature("series", 8, (10,)), 8, 2, kernel=5, group_size=2)
    assert (cost.weights, cost.macs, cost.data) == (5 * 2 * 8, 5 * 2 * 8 * 5, 80 + 40 + 80)


# --- published networks ---


def network_of(name: str) -> Network:
    space = load_space(f"published/{name}", default_registry())
    assert space.size() == 1
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    return network


def counted(network: Network) -> tuple[int, int]:
    with torch.device("meta"):
        module = build(network, BLOCKS)
    found = trace(module.eval(), network.input.shape)
    return found.params, found.macs


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("mobilenet_v1", 4_231_976, 568_740_352),
        ("resnext50_32x4d", 25_028_904, 4_230_479_872),
        ("resnext101_32x8d", 88_791_336, 16_414_015_488),
        ("resnext101_64x4d", 83_455_272, 15_460_270_080),
    ],
)
def test_published_counts(name: str, params: int, macs: int) -> None:
    assert counted(network_of(name)) == (params, macs)


def with_group_size(network: Network, block: str, group_size: int) -> Network:
    """The network with one group size in every block of a name."""
    layers = []
    for layer in network.layers:
        knobs = layer.block.knob_values()
        if layer.block.use == block:
            knobs |= {"group_size": group_size, "groups": 0}
        layers.append(replace(layer, block=BlockUse(layer.block.use, tuple(sorted(knobs.items())))))
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("mobilenet_v1", "grouped_separable"),
        ("resnext50_32x4d", "grouped_bottleneck"),
    ],
)
def test_a_network_of_constant_group_size_grows_linearly(name: str, block: str) -> None:
    network = network_of(name)
    found = np.array([counted(with_group_size(network, block, size)) for size in (1, 2, 4, 8, 16, 32)])
    steps = np.diff(found, axis=0)
    assert (steps == steps[0] * np.array([[1], [2], [4], [8], [16]])).all()


# --- which group size a search takes ---

SPACE = """
name = "toy"
input = { domain = "image", channels = 64, size = [14, 14] }
classes = 10
[[stages]]
width = [64, 128]
blocks = [{ use = "conv", kernel = 1 }]
[[stages]]
width = [64, 128]
blocks = [{ use = "grouped_separable", group_size = [1, 2, 4, 8, 16, 32, 64] }]
[head]
use = "pool_linear"
"""


@cache
def params_of(architecture: Architecture) -> float:
    with torch.device("meta"):
        return float(sum(p.numel() for p in build(architecture.network, BLOCKS).parameters()))


@cache
def macs_of(architecture: Architecture) -> float:
    return float(counted(architecture.network)[1])


def test_a_search_takes_another_group_size_for_energy_than_for_work(tmp_path: Path) -> None:
    """Of all networks of a given capacity, few wide groups move less data than many narrow channels."""
    path = tmp_path / "toy.toml"
    path.write_text(SPACE)
    size = load_space(path, default_registry()).size()
    prices = {"macs": macs_of, "energy": energy_price(BLOCKS)}
    taken = {}
    for objective, price in prices.items():
        result = nas.search(
            path,
            lambda architecture: {"score": 0.0},
            {objective: "min"},
            known={objective: price, "params": params_of},
            constraints=["params>=24000"],
            trials=size,
            searcher="random",
        )
        network = result.best.architecture.network
        taken[objective] = network.layers[1].block.knob_values()["group_size"]
    assert taken["macs"] < taken["energy"]
