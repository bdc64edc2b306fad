"""Mixed depthwise convolutions (arXiv:1907.09595), their block, the space `mixnet` and its three networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from nas_base_cases import made, randomised, use
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import build, fuse, parameter_count
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces import Layer, Network, Space, load_space
from nas.spaces.signature import Signature
from nas_base.mixed_convolution import MixedConv, MixedConvNormAct, mixed_conv
from nas_base.mixed_convolution_costs import group_channels, kernel_sizes

torch.set_num_threads(1)
REGISTRY = default_registry()
BLOCK = REGISTRY.blocks["mixed_inverted_residual"]
SPLITS = ("equal", "exponential")


def image(channels: int, height: int = 9, breadth: int = 7) -> Signature:
    return Signature("image", channels, (height, breadth))


def picture(channels: int, height: int = 9, breadth: int = 7, batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((batch, channels, height, breadth), generator=generator, dtype=torch.float64)


def block(signature: Signature, **knobs: Any) -> nn.Module:
    module: nn.Module = made("mixed_inverted_residual", signature, **knobs)
    return module.eval()


def accepts(channels: int, width: int | None = None, stride: int = 1, **knobs: Any) -> bool:
    defaults = {knob: choice.default for knob, choice in BLOCK.knobs.items()}
    return BLOCK.accepts(image(channels), width, stride, {**defaults, **knobs})


# How channels are shared out


@pytest.mark.parametrize(
    ("channels", "groups", "split", "shares"),
    [
        (32, 4, "equal", (8, 8, 8, 8)),
        (32, 4, "exponential", (16, 8, 4, 4)),
        (240, 5, "exponential", (120, 60, 30, 15, 15)),
        (32, 3, "equal", (12, 10, 10)),
        (7, 3, "exponential", (5, 1, 1)),
        (720, 5, "equal", (144,) * 5),
        (13, 1, "equal", (13,)),
        (13, 1, "exponential", (13,)),
    ],
)
def test_the_channels_of_the_groups(channels: int, groups: int, split: str, shares: tuple[int, ...]) -> None:
    assert group_channels(channels, groups, split) == shares


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("groups", [1, 2, 3, 4, 5])
def test_every_channel_is_in_one_group_and_the_first_group_is_the_largest(groups: int, split: str) -> None:
    for channels in range(1, 70):
        shares = group_channels(channels, groups, split)
        assert (len(shares), sum(shares)) == (groups, channels)
        assert list(shares) == sorted(shares, reverse=True)


def test_kernels_grow_by_two() -> None:
    assert [kernel_sizes(groups) for groups in (1, 2, 5)] == [(3,), (3, 5), (3, 5, 7, 9, 11)]


# The operator against its formula


def by_loops(x: Tensor, weights: list[Tensor], stride: int, dilated: bool) -> Tensor:
    """Every output of every channel, tap by tap: tap t reads ``stride * position + reach * (t - middle)``."""
    batch, _, height, breadth = x.shape
    y = torch.zeros((batch, x.shape[1], -(-height // stride), -(-breadth // stride)), dtype=x.dtype)
    channel = 0
    for group, weight in enumerate(weights):
        side, reach = weight.shape[-1], group + 1 if dilated else 1
        for taps in weight[:, 0]:
            for i, j in np.ndindex(y.shape[2:]):
                for a, b in np.ndindex(side, side):
                    row = stride * i + reach * (a - side // 2)
                    column = stride * j + reach * (b - side // 2)
                    if 0 <= row < height and 0 <= column < breadth:
                        y[:, channel, i, j] += taps[a, b] * x[:, channel, row, column]
            channel += 1
    return y


@pytest.mark.parametrize("dilated", [False, True])
@pytest.mark.parametrize(
    ("channels", "groups", "split", "stride"),
    [(5, 1, "equal", 1), (7, 3, "equal", 2), (9, 3, "exponential", 1), (16, 5, "exponential", 2)],
)
def test_parity_with_loops(channels: int, groups: int, split: str, stride: int, dilated: bool) -> None:
    conv = randomised(mixed_conv(channels, groups, stride=stride, split=split, dilated=dilated).double())
    assert isinstance(conv, MixedConv)
    x = picture(channels, 5, 4, batch=1)
    expected = by_loops(x, [part.weight for part in conv.convs], stride, dilated)
    assert (conv(x) - expected).abs().max() <= 1e-10


@pytest.mark.parametrize("stride", [1, 2])
def test_a_dilated_convolution_is_a_dense_one_with_zeros_between_its_taps(stride: int) -> None:
    dilated = randomised(mixed_conv(12, 4, stride=stride, dilated=True).double())
    dense = mixed_conv(12, 4, stride=stride).double()
    with torch.no_grad():
        for group, (few, many) in enumerate(zip(dilated.convs, dense.convs, strict=True)):
            assert few.weight.shape[-2:] == (3, 3)
            many.weight.zero_()
            many.weight[:, :, :: group + 1, :: group + 1] = few.weight
    x = picture(12)
    assert (dilated(x) - dense(x)).abs().max() <= 1e-10


def test_a_group_reads_its_own_channels_only() -> None:
    conv = randomised(mixed_conv(12, 3).double())
    x = picture(12)
    changed = x.clone()
    changed[:, 4:8] += 1
    moved = (conv(changed) - conv(x)).abs().amax((0, 2, 3))
    assert (moved[4:8] > 0).all()
    assert (moved[:4] == 0).all()
    assert (moved[8:] == 0).all()


@pytest.mark.parametrize("dilated", [False, True])
def test_how_far_each_group_reaches(dilated: bool) -> None:
    conv = mixed_conv(5, 5, dilated=dilated).double()
    with torch.no_grad():
        for part in conv.convs:
            part.weight.fill_(1.0)
    x = torch.zeros(1, 5, 15, 15, dtype=torch.float64)
    x[:, :, 7, 7] = 1
    for group, plane in enumerate(conv(x)[0]):
        rows = plane.sum(1).nonzero().flatten()
        assert (int(rows[0]), int(rows[-1])) == (7 - group - 1, 7 + group + 1)
        assert int(plane.sum()) == (9 if dilated else (2 * group + 3) ** 2)


def test_weights_are_drawn_by_the_taps_of_their_kernel() -> None:
    torch.manual_seed(0)
    for part, kernel in zip(mixed_conv(4000, 4).convs, (3, 5, 7, 9), strict=True):
        assert float(part.weight.detach().std()) == pytest.approx(2**0.5 / kernel, rel=0.05)
        assert part.bias is None


def test_norms_are_folded_into_every_group() -> None:
    module = randomised(MixedConvNormAct(mixed_conv(13, 4, split="exponential"), "silu").double()).eval()
    fused = fuse(module)
    x = picture(13)
    assert (fused(x) - module(x)).abs().max() <= 1e-9
    assert not any(isinstance(part, nn.BatchNorm2d) for part in fused.modules())
    assert all(part.bias is not None for part in fused.modules() if isinstance(part, nn.Conv2d))
    assert all(part.bias is None for part in module.modules() if isinstance(part, nn.Conv2d))


# The block


def block_by_steps(module: Any, x: Tensor, kernel_groups: int, expand_groups: int) -> Tensor:
    """The block with every group of every convolution on its own."""

    def norm(y: Tensor, part: nn.BatchNorm2d) -> Tensor:
        y = (y - part.running_mean[:, None, None]) / (part.running_var[:, None, None] + part.eps).sqrt()
        return y * part.weight[:, None, None] + part.bias[:, None, None]

    def pointwise(y: Tensor, weight: Tensor, groups: int) -> Tensor:
        parts = zip(y.chunk(groups, 1), weight.flatten(1).chunk(groups), strict=True)
        return torch.cat([torch.einsum("oi,nihw->nohw", w, part) for part, w in parts], 1)

    y = pointwise(x, module.expand.conv.weight, expand_groups)
    y = F.silu(norm(y, module.expand.norm))
    mixed = []
    for part, conv in zip(y.chunk(kernel_groups, 1), module.depthwise.conv.convs, strict=True):
        reach = conv.weight.shape[-1] // 2
        patches = F.unfold(part, conv.weight.shape[-1], padding=reach).unflatten(1, (part.shape[1], -1))
        mixed.append(torch.einsum("nctp,ct->ncp", patches, conv.weight.flatten(1)).reshape(part.shape))
    y = F.silu(norm(torch.cat(mixed, 1), module.depthwise.norm))
    squeezed = F.silu(F.conv2d(y.mean((2, 3), keepdim=True), module.se.reduce.weight, module.se.reduce.bias))
    y = y * torch.sigmoid(F.conv2d(squeezed, module.se.expand.weight, module.se.expand.bias))
    return norm(pointwise(y, module.project.conv.weight, 2), module.project.norm)


@pytest.mark.parametrize(("kernel_groups", "expand_groups"), [(1, 1), (2, 2), (4, 4)])
def test_the_block_step_by_step(kernel_groups: int, expand_groups: int) -> None:
    knobs = {"kernel_groups": kernel_groups, "expand_groups": expand_groups, "project_groups": 2}
    module = block(image(8), width=12, expansion=3, se=0.5, **knobs)
    x = picture(8)
    assert (module(x) - block_by_steps(module, x, kernel_groups, expand_groups)).abs().max() <= 1e-10


def test_one_kernel_and_one_group_make_the_plain_inverted_residual() -> None:
    knobs: dict[str, Any] = {"width": 24, "stride": 2, "expansion": 4, "se": 0.25, "activation": "relu6"}
    mixed = block(image(16), kernel_groups=1, **knobs)
    plain = made("inverted_residual", image(16), kernel=3, **knobs).eval()
    assert [t.shape for t in mixed.state_dict().values()] == [t.shape for t in plain.state_dict().values()]
    plain.load_state_dict(dict(zip(plain.state_dict(), mixed.state_dict().values(), strict=True)))
    assert (mixed(picture(16)) - plain(picture(16))).abs().max() <= 1e-10


@pytest.mark.parametrize(
    ("width", "stride", "is_added"), [(None, 1, True), (16, 1, True), (24, 1, False), (16, 2, False)]
)
def test_the_input_is_added_where_the_shape_is_kept(width: int | None, stride: int, is_added: bool) -> None:
    module = block(image(16), width=width, stride=stride)
    with torch.no_grad():
        module.project.norm.weight.zero_()
        module.project.norm.bias.zero_()
    x = picture(16)
    y = module(x)
    assert torch.equal(y, x if is_added else torch.zeros_like(y))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (8, 8), (9, 7)])
def test_maps_smaller_than_the_largest_kernel(size: tuple[int, int], stride: int) -> None:
    module = block(image(16, *size), kernel_groups=5, stride=stride)
    y = module(picture(16, *size))
    assert y.shape[2:] == tuple(-(-extent // stride) for extent in size)
    assert (fuse(module)(picture(16, *size)) - y).abs().max() <= 1e-9


@pytest.mark.parametrize(
    ("channels", "width", "knobs", "fits"),
    [
        (16, 24, {}, True),
        (1, None, {"expansion": 4, "kernel_groups": 5}, False),
        (1, None, {"expansion": 6, "kernel_groups": 5}, True),
        (2, None, {"expansion": 4, "kernel_groups": 5, "split": "exponential"}, False),
        (4, None, {"expansion": 4, "kernel_groups": 5, "split": "exponential"}, True),
        (15, 16, {"expand_groups": 2}, False),
        (15, 16, {"expand_groups": 2, "expansion": 1}, True),
        (15, 16, {"project_groups": 2, "expansion": 6}, True),
        (16, 15, {"project_groups": 2}, False),
        (15, 16, {"project_groups": 2, "expansion": 1}, False),
        (18, None, {"expand_groups": 4}, False),
    ],
)
def test_what_fits(channels: int, width: int | None, knobs: dict[str, Any], fits: bool) -> None:
    assert accepts(channels, width, **knobs) is fits
    if fits:
        signature = image(channels)
        assert block(signature, width=width, **knobs)(picture(channels)).shape[1] == (width or channels)


@pytest.mark.parametrize(
    "knobs",
    [
        {},
        {"kernel_groups": 5, "split": "exponential", "se": 0.25, "stride": 2, "width": 40},
        {"kernel_groups": 4, "dilated": True, "expand_groups": 2, "project_groups": 4, "width": 24},
        {"kernel_groups": 2, "expansion": 1, "se": 1.0, "activation": "star_relu"},
        {"kernel_groups": 1, "expansion": 1.5, "activation": "star_relu", "stride": 2},
    ],
)
def test_hand_formulas(knobs: dict[str, Any]) -> None:
    signature = image(20, 10, 7)
    module = block(signature, **knobs)
    place = {"width": None, "stride": 1, **knobs}
    width, stride = place.pop("width"), place.pop("stride")
    values = {**{knob: choice.default for knob, choice in BLOCK.knobs.items()}, **place}
    assert BLOCK.params is not None
    assert BLOCK.macs is not None
    assert parameter_count(module) == BLOCK.params(signature, width, stride, **values)
    assert trace(fuse(module).float(), signature.shape).macs == BLOCK.macs(signature, width, stride, **values)


def test_parameters_written_out() -> None:
    module = block(image(16), width=24, expansion=6, expand_groups=2, project_groups=2, se=0.5)
    depthwise = 32 * (9 + 25 + 49) + 2 * 96
    gate = 2 * 96 * 8 + 8 + 96
    assert parameter_count(module) == 16 * 48 + 2 * 96 + depthwise + gate + 48 * 24 + 2 * 24


def test_the_whole_block_is_exported() -> None:
    module = fuse(block(image(16), kernel_groups=4, se=0.25)).float()
    x = picture(16).float()
    program = torch.export.export(module, (x,))
    torch.testing.assert_close(program.module()(x), module(x))


# MixNet-S, -M and -L

KERNELS = {
    "s": ["3 3", "357 35 35 35", "357 35 35", "357 3579 3579", "3579B 3579 3579"],
    "m": ["357 3", "3579 35 35 35", "357 3579 3579 3579", "3 3579 3579 3579", "3579 3579 3579 3579"],
}
"""The kernels of every layer of every stage behind the first, B for 11 pixels."""
KERNELS["l"] = KERNELS["m"]
EXPANSIONS = ("63", "666", "666", "633", "666")
"""How much the first layers of a stage expand; the last one stands for those that follow."""


def published(name: str) -> Network:
    space = load_space(f"published/mixnet_{name}", REGISTRY)
    assert space.size() == 1
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    return network


def mixed_layers(network: Network) -> list[Layer]:
    return [e for e in network if isinstance(e, Layer) and e.block.use == "mixed_inverted_residual"]


@pytest.mark.parametrize(
    ("name", "parameters", "macs"),
    [("s", 4_134_606, 239_173_360), ("m", 5_014_382, 339_172_672), ("l", 7_329_252, 555_251_792)],
)
def test_the_published_networks(name: str, parameters: int, macs: int) -> None:
    with torch.device("meta"):
        module = build(published(name), REGISTRY.blocks).eval()
    assert parameter_count(module) == parameters
    assert trace(module, (3, 224, 224)).macs == macs


@pytest.mark.parametrize("name", ["s", "m", "l"])
def test_the_kernels_and_expansions_of_the_published_networks(name: str) -> None:
    layers = mixed_layers(published(name))
    found = [tuple(kernel_sizes(layer.block.knob_values()["kernel_groups"])) for layer in layers]
    assert found == [
        tuple(int(kernel, 12) for kernel in layer) for stage in KERNELS[name] for layer in stage.split()
    ]
    expected = [
        int(expansions[min(i, len(expansions) - 1)])
        for stage, expansions in zip(KERNELS[name], EXPANSIONS, strict=True)
        for i in range(len(stage.split()))
    ]
    assert [layer.block.knob_values()["expansion"] for layer in layers] == expected


def calibrated(module: nn.Module, x: Tensor) -> nn.Module:
    """Norms with gains of their own and the statistics of a batch: a picture is felt in the scores."""
    generator = torch.Generator().manual_seed(3)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
            with torch.no_grad():
                part.weight.copy_(torch.rand(part.weight.shape, generator=generator) + 0.5)
                part.bias.copy_(torch.rand(part.bias.shape, generator=generator) - 0.5)
    with torch.no_grad():
        module.train()(x)
    return module.eval()


def test_the_deployed_form_of_a_network() -> None:
    torch.manual_seed(0)
    module = calibrated(build(published("s"), REGISTRY.blocks).double(), picture(3, 32, 32, batch=8))
    deployed = fuse(module)
    x = picture(3, 32, 32, batch=1)
    with torch.no_grad():
        expected = module(x)
        assert (module(-x) - expected).abs().max() > 0.1
        assert (deployed(x) - expected).abs().max() <= 1e-9
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())


# The spaces that search for it


def genotype(space: Space, network: Network, depths: list[int]) -> list[int]:
    """The vector of a network in the space `mixnet`, its stages behind the first being so deep."""
    layers = [element for element in network if isinstance(element, Layer)]
    mixed = iter(mixed_layers(network))
    values: dict[str, Any] = {"stem.width": layers[0].width, "stages.0.width": layers[1].width}
    for stage, depth in enumerate(depths, 1):
        values[f"stages.{stage}.depth"] = depth
        for i in range(depth):
            layer = next(mixed)
            values[f"stages.{stage}.width"] = layer.width
            for knob, value in layer.block.knobs:
                values[f"stages.{stage}.layers.{i}.{knob}"] = value
    assert next(mixed, None) is None
    return [
        decision.options.index(values[decision.name]) if decision.name in values else 0
        for decision in space.decisions
    ]


@pytest.mark.parametrize("name", ["s", "m", "l"])
def test_the_published_networks_are_points_of_their_space(name: str) -> None:
    space = load_space("mixnet", REGISTRY)
    network = published(name)
    depths = [len(stage.split()) for stage in KERNELS[name]]
    vector = genotype(space, network, depths)
    found = space.decode(vector)
    assert found.network == network
    assert list(space.encode(found)) == vector


def test_a_searcher_can_choose_every_mixture_in_every_stage() -> None:
    space = load_space("mixnet", REGISTRY)
    choices = [d for d in space.decisions if d.name.endswith(".kernel_groups")]
    assert {d.name.split(".")[1] for d in choices} == {"1", "2", "3", "4", "5"}
    assert all(tuple(d.options) == (1, 2, 3, 4, 5) for d in choices)


def test_the_mobile_space_offers_mixed_kernels_in_every_stage() -> None:
    space = load_space("mobile", REGISTRY)
    blocks = [d for d in space.decisions if d.name.endswith(".block")]
    assert blocks
    assert all("mixed_inverted_residual" in d.options for d in blocks)
    used = {
        (element.slot.split(".")[1], element.block.knob_values()["kernel_groups"])
        for vector in space.sample_vectors(300, np.random.default_rng(0))
        for element in space.decode(vector).network or ()
        if isinstance(element, Layer) and element.block.use == "mixed_inverted_residual"
    }
    assert used == {(str(stage), groups) for stage in range(5) for groups in (2, 3, 4, 5)}


def test_a_mixed_block_is_named_by_all_its_knobs() -> None:
    assert dict(use("mixed_inverted_residual").knobs) == {
        "kernel_groups": 3,
        "split": "equal",
        "dilated": False,
        "expansion": 6,
        "expand_groups": 1,
        "project_groups": 1,
        "se": 0.0,
        "activation": "silu",
    }
