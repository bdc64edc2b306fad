"""InceptionNeXt (arXiv:2303.16900): its mixer, what that costs, and its published networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from metanext_cases import (
    BLOCKS,
    REGISTRY,
    count,
    gigamacs,
    image,
    made,
    matches,
    on_meta,
    picture,
    published,
    use,
)
from torch import Tensor, nn

from nas.blocks import fuse
from nas.costs import estimate, estimate_architecture, resolve_target
from nas.costs.trace import trace
from nas.spaces import parse_space
from nas_base.mixers import DepthwiseConv
from nas_large_kernels.inception_costs import ORDERS, branch_channels
from nas_large_kernels.inception_depthwise import InceptionDepthwise

NAME = "inception_depthwise"
LARGE = image(96, 56, 56)


def spread(values: Tensor, side: int) -> Tensor:
    """A kernel in the middle of a square one of `side` pixels, zeros around it."""
    kernel = values.new_zeros((side, side))
    top, left = ((side - extent) // 2 for extent in values.shape)
    kernel[top : top + values.shape[0], left : left + values.shape[1]] = values
    return kernel


def as_one_kernel(module: Any, channels: int, side: int) -> tuple[Tensor, Tensor]:
    """The kernels and biases of the depthwise convolution that a module is: one kernel per channel."""
    kernels, biases = [], []
    for part, branch in zip(module.parts, module.branches.values(), strict=True):
        is_identity = isinstance(branch, nn.Identity)
        for channel in range(part):
            one = torch.ones((1, 1), dtype=torch.float64)
            kernels.append(spread(one if is_identity else branch.weight[channel, 0], side))
            biases.append(torch.zeros_like(one[0, 0]) if is_identity else branch.bias[channel])
    assert len(kernels) == channels
    return torch.stack(kernels), torch.stack(biases)


def convolved(x: Tensor, kernels: Tensor, biases: Tensor) -> Tensor:
    """A depthwise convolution by loops over channels and positions."""
    side = kernels.shape[-1]
    reach = side // 2
    padded = x.new_zeros((*x.shape[:2], x.shape[2] + 2 * reach, x.shape[3] + 2 * reach))
    padded[:, :, reach : reach + x.shape[2], reach : reach + x.shape[3]] = x
    y = torch.zeros_like(x)
    for c in range(x.shape[1]):
        for i in range(x.shape[2]):
            for j in range(x.shape[3]):
                patch = padded[:, c, i : i + side, j : j + side]
                y[:, c, i, j] = (patch * kernels[c]).sum((1, 2)) + biases[c]
    return y


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    ("size", "knobs"),
    [
        ((5, 7), {"ratio": 0.125, "square_kernel": 3, "band_kernel": 11}),
        ((6, 4), {"ratio": 0.25, "square_kernel": 5, "band_kernel": 7}),
        ((1, 1), {"ratio": 0.0625, "square_kernel": 3, "band_kernel": 21}),
    ],
)
def test_it_is_the_formula(order: str, size: tuple[int, int], knobs: dict[str, Any]) -> None:
    signature = image(16, *size)
    module = made(NAME, signature, order=order, **knobs)
    x = picture(signature)
    matches(module(x), convolved(x, *as_one_kernel(module, 16, knobs["band_kernel"])))


@pytest.mark.parametrize("band", [7, 11, 21])
def test_it_is_a_depthwise_convolution_whose_kernel_is_masked(band: int) -> None:
    signature = image(24, 13, 9)
    module = made(NAME, signature, band_kernel=band)
    whole: Any = made("depthwise_conv", signature, kernel=band)
    kernels, biases = as_one_kernel(module, 24, band)
    with torch.no_grad():
        whole.conv.weight.copy_(kernels.unsqueeze(1))
        whole.conv.bias.copy_(biases)
    x = picture(signature)
    matches(module(x), whole(x))
    assert int((kernels != 0).sum()) == 15 + 3 * (9 + 2 * band)


def test_the_branches_take_the_channels_in_the_order_of_the_paper() -> None:
    module: Any = made(NAME, image(32, 8, 8))
    assert list(module.branches) == ["identity", "square", "row", "column"]
    assert module.parts == [20, 4, 4, 4]
    assert [tuple(module.branches[b].kernel_size) for b in ("square", "row", "column")] == [
        (3, 3),
        (1, 11),
        (11, 1),
    ]


@pytest.mark.parametrize("order", ORDERS[1:])
def test_another_order_is_another_numbering_of_the_channels(order: str) -> None:
    signature = image(20, 6, 5)
    module: Any = made(NAME, signature, ratio=0.25)
    other: Any = made(NAME, signature, ratio=0.25, order=order)
    other.load_state_dict(module.state_dict())
    x = picture(signature)
    parts = dict(zip(module.branches, x.split(module.parts, 1), strict=True))
    turned = other(torch.cat([parts[name] for name in order.split("_")], 1))
    back = dict(zip(order.split("_"), turned.split(other.parts, 1), strict=True))
    matches(torch.cat([back[name] for name in module.branches], 1), module(x))


def test_each_order_names_every_branch_once_and_every_branch_comes_first_in_one() -> None:
    orders = [order.split("_") for order in ORDERS]
    assert all(sorted(order) == ["column", "identity", "row", "square"] for order in orders)
    assert all(len({order[place] for order in orders}) == 4 for place in range(4))


@pytest.mark.parametrize(
    ("channel", "rows", "columns"), [(0, 0, 0), (10, 1, 1), (12, 0, 3), (14, 3, 0), (15, 3, 0)]
)
def test_what_a_branch_reaches(channel: int, rows: int, columns: int) -> None:
    """A change at one position is seen within the kernel of its channel and nowhere else."""
    signature = image(16, 15, 15)
    module = made(NAME, signature, band_kernel=7)
    x = picture(signature, batch=1)
    moved = x.clone()
    moved[0, channel, 7, 7] += 1
    seen = (module(moved) - module(x))[0].abs() > 1e-12
    expected = torch.zeros_like(seen)
    expected[channel, 7 - rows : 8 + rows, 7 - columns : 8 + columns] = True
    assert torch.equal(seen, expected)


@pytest.mark.parametrize(
    ("channels", "ratio", "expected"), [(96, 0.125, 12), (40, 0.25, 10), (20, 0.125, 2), (15, 0.0625, 0)]
)
def test_the_channels_of_a_branch_are_rounded_down(channels: int, ratio: float, expected: int) -> None:
    assert branch_channels(channels, ratio) == expected


@pytest.mark.parametrize(
    ("channels", "knobs", "fits"),
    [
        (8, {"ratio": 0.125}, True),
        (7, {"ratio": 0.125}, False),
        (15, {"ratio": 0.0625}, False),
        (4, {"ratio": 0.25}, True),
        (16, {"square_kernel": 4}, False),
        (16, {"band_kernel": 8}, False),
        (16, {"band_kernel": 21}, True),
        (16, {"ratio": 0.5}, False),
    ],
)
def test_what_fits(channels: int, knobs: dict[str, Any], fits: bool) -> None:
    values = use(NAME, **knobs).knob_values()
    assert BLOCKS[NAME].accepts(image(channels, 1, 3), None, 1, values) is fits


def test_a_space_never_samples_a_ratio_without_channels() -> None:
    space = parse_space(
        """
name = "narrow"
input = { domain = "image", channels = 3, size = [8, 8] }
classes = 10
[stem]
use = "conv_stem"
width = 8
stride = 1
[[stages]]
depth = 1
width = [8, 16]
blocks = [{ use = "metanext", mixer = { use = "inception_depthwise", ratio = [0.0625, 0.125] } }]
[head]
use = "pool_linear"
""",
        BLOCKS,
    )
    assert space.size() == 3


@pytest.mark.parametrize("knobs", [{}, {"ratio": 0.25, "square_kernel": 5, "band_kernel": 21}])
def test_the_formulas_of_its_costs(knobs: dict[str, Any]) -> None:
    signature = image(40, 9, 6)
    values = use(NAME, **knobs).knob_values()
    module = InceptionDepthwise(signature, **values)
    g = int(40 * values["ratio"])
    taps = values["square_kernel"] ** 2 + 2 * values["band_kernel"]
    block = BLOCKS[NAME]
    assert block.params is not None
    assert block.macs is not None
    assert block.params(signature, None, 1, **values) == g * (taps + 3) == count(module)
    assert block.macs(signature, None, 1, **values) == 54 * g * taps == trace(module, signature.shape).macs


# What it costs: multiply-accumulates mislead, bytes tell.


def test_it_is_estimated_below_the_depthwise_convolution_that_it_is() -> None:
    for target in ("a100", "rtx3090", "t4", "jetson-orin-nano-8gb", "rpi4", "cpu-avx2"):
        split, whole = (
            estimate(module, LARGE.shape, target, batch_size=128)
            for module in (InceptionDepthwise(LARGE), DepthwiseConv(LARGE, kernel=11))
        )
        assert split.latency_ms < whole.latency_ms, target
        assert not split.unknown_operators


def test_work_misleads_and_bytes_tell() -> None:
    """Where memory bounds all three, their times are in the order of their bytes, not of their work."""
    modules = {
        "inception": InceptionDepthwise(LARGE),
        "depthwise": DepthwiseConv(LARGE, kernel=3),
        "pointwise": nn.Conv2d(96, 96, 1),
    }
    costs = {
        name: estimate(module, LARGE.shape, "rtx3090", batch_size=128, model="roofline")
        for name, module in modules.items()
    }
    assert {operator.bound for cost in costs.values() for operator in cost.operators} == {"memory"}
    assert costs["inception"].macs * 24 < costs["pointwise"].macs
    assert costs["inception"].macs * 2 < costs["depthwise"].macs
    for other in ("depthwise", "pointwise"):
        share = costs["inception"].latency_ms / costs[other].latency_ms
        assert share == pytest.approx(costs["inception"].bytes_moved / costs[other].bytes_moved, rel=0.05)
        assert share > 1.3


def test_a_network_with_nearly_equal_work_is_faster() -> None:
    """The paper trains InceptionNeXt-T 1.6 times as fast as ConvNeXt-T, with 6 % less work."""
    target = resolve_target("a100", REGISTRY, batch_size=128)
    ours, theirs = (
        estimate_architecture(published(name), target, REGISTRY)
        for name in ("inceptionnext_t", "convnext_tiny")
    )
    assert 0.93 < ours.macs / theirs.macs < 0.95
    assert ours.latency_ms < 0.8 * theirs.latency_ms


# The published networks.


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("atto", 4_156_520, 0.503),
        ("t", 28_055_680, 4.189),
        ("s", 49_374_016, 8.356),
        ("b", 86_672_136, 14.841),
    ],
)
def test_published_counts(name: str, params: int, expected: float) -> None:
    module = on_meta(f"inceptionnext_{name}")
    assert count(module) == params
    assert gigamacs(module) == pytest.approx(expected, abs=5e-4)


def test_the_published_head_is_pool_linear_gelu_norm_linear() -> None:
    shapes = [tuple(parameter.shape) for parameter in on_meta("inceptionnext_t").parameters()][-6:]
    assert shapes == [(2304, 768), (2304,), (2304,), (2304,), (1000, 2304), (1000,)]


def test_every_batch_norm_of_the_network_is_folded() -> None:
    network = published("inceptionnext_atto").network
    assert network is not None
    small = [replace(layer, width=8 if layer.width else None) for layer in network.layers[:4]]
    signature = image(3, 16, 16)
    x = picture(signature)
    parts = []
    for layer in small:
        parts.append(
            made(
                layer.block.use,
                signature,
                width=layer.width,
                stride=layer.stride,
                **layer.block.knob_values(),
            )
        )
        signature = signature.after(layer.width, layer.stride)
    module = nn.Sequential(*parts)
    assert sum(isinstance(part, nn.BatchNorm2d) for part in module.modules()) == 4
    deployed = fuse(module)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())
    matches(deployed(x), module(x))
