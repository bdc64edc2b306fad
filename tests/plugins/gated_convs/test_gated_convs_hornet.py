"""HorNet (arXiv:2207.14284): the recursive gated convolution, the filter, the published networks."""

from __future__ import annotations

import cmath
import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.blocks import Block, build, build_element, fuse
from nas.costs.trace import trace
from nas.errors import BlockError, SpaceError
from nas.plugins import default_registry
from nas.spaces import load_space, parse_space
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.fitting import fit
from nas.spaces.signature import Signature
from nas.testing.modules import randomised
from nas_gated_convs.global_filter import GlobalFilter, SpectralFilter
from nas_gated_convs.gnconv import GnConv
from nas_gated_convs.gnconv_widths import spatial_channels, widths

REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks
DEPTHWISE = BlockUse("depthwise_conv", (("bias", True), ("kernel", 3)))
FILTER = BlockUse("global_filter")


def image(channels: int, *size: int) -> Signature:
    return Signature("image", channels, size)


def gnconv_use(order: int = 3, spatial: BlockUse = DEPTHWISE, scale: float = 1 / 3) -> BlockUse:
    return BlockUse("gnconv", (("order", order), ("scale", scale), ("spatial", spatial)))


def made(use: BlockUse, signature: Signature) -> Any:
    """The module in float64, in eval, every parameter away from its start."""
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = build_element(Layer(use, None, 1), signature, BLOCKS)
    return randomised(module.double()).eval()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_the_channels_of_all_gates_and_the_first_factor_are_twice_those_of_the_map(order: int) -> None:
    for channels in (16, 48, 64, 96):
        cut = widths(channels, order)
        assert cut[0] + sum(cut) == 2 * channels
        assert spatial_channels(channels, order) == sum(cut)
        assert cut[-1] == channels
        assert all(2 * narrow == wide for narrow, wide in itertools.pairwise(cut))


def linear(conv: nn.Conv2d, vector: Tensor) -> Tensor:
    """A 1x1 convolution at one position."""
    assert conv.bias is not None
    return torch.stack([row @ vector for row in conv.weight[:, :, 0, 0]]) + conv.bias


def naive_gnconv(module: Any, x: Tensor, order: int, scale: float) -> Tensor:
    """The formula, position by position, around the spatial operator."""
    N, C, H, W = x.shape
    projected = torch.empty(N, 2 * C, H, W, dtype=x.dtype)
    for n, h, w in np.ndindex(N, H, W):
        projected[n, :, h, w] = linear(module.project_in, x[n, :, h, w])
    start = C // 2 ** (order - 1)
    gates = module.spatial(projected[:, start:])
    y = torch.empty_like(x)
    for n, h, w in np.ndindex(N, H, W):
        p, gate, position = projected[n, :start, h, w], gates[n, :, h, w], 0
        for k in range(order):
            if k:
                p = linear(module.widen[k - 1], p)
            extent = C // 2 ** (order - 1 - k)
            p = p * scale * gate[position : position + extent]
            position += extent
        y[n, :, h, w] = linear(module.project_out, p)
    return y


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("spatial", [DEPTHWISE, FILTER], ids=["depthwise", "filter"])
def test_the_recursion_is_the_formula(order: int, spatial: BlockUse) -> None:
    module = made(gnconv_use(order, spatial, 0.4), image(16, 3, 2))
    x = numbers(2, 16, 3, 2)
    with torch.no_grad():
        torch.testing.assert_close(module(x), naive_gnconv(module, x, order, 0.4), rtol=0, atol=1e-10)


def test_of_order_one_it_is_a_plain_gated_convolution() -> None:
    module = made(gnconv_use(1, scale=1.0), image(5, 4, 3))
    x = numbers(2, 5, 4, 3)
    p, q = module.project_in(x).chunk(2, 1)
    assert not module.widen
    torch.testing.assert_close(module(x), module.project_out(p * module.spatial.conv(q)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_its_degree_in_the_input_is_one_more_than_its_order(order: int) -> None:
    """Without biases and with a linear spatial operator, g^n Conv is homogeneous of degree n + 1."""
    module = made(gnconv_use(order), image(16, 3, 3))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
        x = numbers(1, 16, 3, 3)
        expected = module(x) * 2 ** (order + 1)
        torch.testing.assert_close(module(2 * x), expected, rtol=1e-12, atol=0)
    assert expected.abs().max() > 0


@pytest.mark.parametrize("spatial", [DEPTHWISE, FILTER], ids=["depthwise", "filter"])
@pytest.mark.parametrize("order", [1, 4])
def test_deployed_the_scale_is_in_the_weights(order: int, spatial: BlockUse) -> None:
    module = made(gnconv_use(order, spatial, 0.3), image(16, 5, 4))
    deployed = fuse(module)
    x = numbers(2, 16, 5, 4)
    assert isinstance(deployed, GnConv)
    assert (module.scale, deployed.scale) == (0.3, 1.0)
    with torch.no_grad():
        torch.testing.assert_close(deployed(x), module(x), rtol=0, atol=1e-9)
        torch.testing.assert_close(fuse(deployed)(x), module(x), rtol=0, atol=1e-9)
    plain, merged = (trace(form.float(), (16, 5, 4)) for form in (module, deployed))
    assert len(merged.operators) < len(plain.operators)
    assert merged.macs == plain.macs


def naive_filter(module: SpectralFilter, x: Tensor) -> Tensor:
    """The sums of the two-dimensional Fourier transform, written out; x of one sample and channel."""
    H, W = x.shape
    weight = torch.view_as_complex(module.weight_for((H, W)).detach().contiguous())[0]
    scale = 1 / math.sqrt(H * W)
    spectrum = np.zeros((H, W), complex)
    for u, v in np.ndindex(H, W):
        for h, w in np.ndindex(H, W):
            angle = -2j * math.pi * (u * h / H + v * w / W)
            spectrum[u, v] += scale * x[h, w].item() * cmath.exp(angle)
    for u, v in np.ndindex(H, W):
        if v < W // 2 + 1:
            spectrum[u, v] *= weight[u, v].item()
    for u, v in np.ndindex(H, W):
        if v >= W // 2 + 1:  # the half that a real map has twice
            spectrum[u, v] = spectrum[-u % H, -v % W].conjugate()
    for edge in {0, W // 2} if W % 2 == 0 else {0}:  # columns that are their own other half: what is real
        column = spectrum[:, edge].copy()
        for u in range(H):
            spectrum[u, edge] = (column[u] + column[-u % H].conjugate()) / 2
    y = torch.zeros(H, W, dtype=torch.float64)
    for h, w in np.ndindex(H, W):
        for u, v in np.ndindex(H, W):
            angle = 2j * math.pi * (u * h / H + v * w / W)
            y[h, w] += scale * (spectrum[u, v] * cmath.exp(angle)).real
    return y


@pytest.mark.parametrize("size", [(4, 4), (3, 5), (5, 4), (1, 1), (1, 3), (2, 1)])
@pytest.mark.parametrize("built", [None, (3, 3)], ids=["bound", "interpolated"])
def test_the_filter_is_the_product_in_the_frequency_domain(
    size: tuple[int, int], built: tuple[int, int] | None
) -> None:
    module = randomised(SpectralFilter(1, built or size).double())
    x = numbers(1, 1, *size)
    with torch.no_grad():
        torch.testing.assert_close(module(x)[0, 0], naive_filter(module, x[0, 0]), rtol=0, atol=1e-10)


def test_the_filter_is_a_circular_convolution_over_all_of_the_map() -> None:
    module = randomised(SpectralFilter(2, (5, 4)).double())
    x, impulse = numbers(1, 2, 5, 4), torch.zeros(1, 2, 5, 4, dtype=torch.float64)
    impulse[..., 0, 0] = 1
    with torch.no_grad():
        kernel = module(impulse)
        expected = torch.zeros_like(x)
        for dh, dw in np.ndindex(5, 4):
            expected += kernel[..., dh, dw, None, None] * torch.roll(x, (dh, dw), (2, 3))
        torch.testing.assert_close(module(x), expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(module(x.roll(3, 3)), module(x).roll(3, 3), rtol=0, atol=1e-10)


def test_a_weight_of_one_passes_everything() -> None:
    module = SpectralFilter(3, (4, 6)).double()
    with torch.no_grad():
        module.weight.copy_(torch.tensor([1.0, 0.0]).expand_as(module.weight))
        for size in ((4, 6), (7, 3), (9, 12)):
            x = numbers(2, 3, *size)
            torch.testing.assert_close(module(x), x, rtol=0, atol=1e-12)


def test_interpolation_keeps_the_corners_and_what_is_linear() -> None:
    module = SpectralFilter(1, (3, 4)).double()
    with torch.no_grad():
        rows, columns = torch.meshgrid(torch.arange(3.0), torch.arange(3.0), indexing="ij")
        module.weight.copy_(torch.stack((rows + 2 * columns, rows - columns), -1))
        found = module.weight_for((5, 8))
    rows, columns = torch.meshgrid(torch.arange(5) / 2, torch.arange(5) / 2, indexing="ij")
    expected = torch.stack((rows + 2 * columns, rows - columns), -1)[None].double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert module.weight_for((3, 5)) is module.weight  # 5 // 2 + 1 = 4 // 2 + 1


@pytest.mark.parametrize("channels", [4, 7])
def test_the_halves_of_the_filter_leave_in_turns(channels: int) -> None:
    module = made(FILTER, image(channels, 4, 3))
    assert isinstance(module, GlobalFilter)
    x = numbers(2, channels, 4, 3)
    near = channels - channels // 2
    with torch.no_grad():
        inside = module.before(x)
        local, spectral = module.local(inside[:, :near]), module.spectral(inside[:, near:])
        order = [part[:, i] for i in range(channels // 2) for part in (local, spectral)]
        order += [local[:, -1]] * (channels % 2)
        torch.testing.assert_close(module(x), module.behind(torch.stack(order, 1)), rtol=0, atol=1e-12)


def test_the_filter_runs_where_the_map_is_half_precise() -> None:
    module = made(FILTER, image(4, 5, 5))
    x = numbers(2, 4, 5, 5)
    expected = module(x)
    narrow = module.bfloat16()(x.bfloat16())
    assert narrow.dtype == torch.bfloat16
    assert (narrow.double() - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize(
    ("order", "channels", "fits"),
    [(1, 3, True), (2, 3, False), (3, 12, True), (4, 12, False), (5, 16, True), (5, 24, False)],
)
def test_the_channels_must_halve_often_enough(order: int, channels: int, fits: bool) -> None:
    use, signature = gnconv_use(order), image(channels, 5, 3)
    assert (fit(use, signature, None, 1, BLOCKS) == signature) is fits
    assert not fits or made(use, signature)(numbers(1, channels, 5, 3)).shape == (1, channels, 5, 3)


def test_the_filter_needs_two_channels() -> None:
    assert fit(FILTER, image(1, 4, 4), None, 1, BLOCKS) is None
    assert fit(FILTER, image(2, 1, 1), None, 1, BLOCKS) is not None


def test_a_spatial_operator_that_changes_the_map_is_refused() -> None:
    class Wrong(nn.Module):
        def __init__(self, signature: Signature) -> None:
            super().__init__()

        def forward(self, x: Tensor) -> Tensor:
            return x[:, 1:]

    blocks = {**BLOCKS.unique(), "wrong": Block("wrong", "mixer", "image", Wrong)}
    with pytest.raises(BlockError, match="wrong"):
        build_element(Layer(gnconv_use(spatial=BlockUse("wrong")), None, 1), image(8, 4, 4), blocks)


@pytest.mark.parametrize("order", [1, 2, 5])
@pytest.mark.parametrize("kernel", [3, 7])
def test_the_costs_of_the_recursion_by_hand(order: int, kernel: int) -> None:
    C, H, W = 32, 6, 5
    spatial = BlockUse("depthwise_conv", (("bias", True), ("kernel", kernel)))
    module = made(gnconv_use(order, spatial), image(C, H, W)).float()
    inside = 2 * C - C // 2 ** (order - 1)
    widening = sum((C >> k) * (C >> (k - 1)) for k in range(1, order))
    weights = 3 * C * C + inside * kernel**2 + widening
    biases = 3 * C + inside + sum(C >> k for k in range(order - 1))
    assert count(module) == weights + biases
    assert trace(fuse(module), (C, H, W)).macs == weights * H * W


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1)])
def test_the_costs_of_the_filter_by_hand(size: tuple[int, int]) -> None:
    H, W = size
    module = made(FILTER, image(10, H, W)).float()
    assert count(module) == 5 * 9 + 5 * H * (W // 2 + 1) * 2 + 4 * 10
    traced = trace(fuse(module), (10, H, W))
    assert not traced.unknown_operators
    transforms = [operator for operator in traced.operators if operator.kind == "fft"]
    assert len(transforms) == 2
    for transform in transforms:
        assert transform.flops == round(2.5 * 5 * H * W * math.log2(max(2, H * W)))
    others = traced.macs - sum(transform.macs for transform in transforms)
    assert others == 5 * 9 * H * W


HORNETS = [  # parameters and multiply-accumulates of the authors' code, those of the transforms left out
    ("hornet_t", 22_409_512, 3_968_389_312),
    ("hornet_s", 49_528_264, 8_813_970_720),
    ("hornet_b", 87_256_680, None),
    ("hornet_l", 194_542_504, None),
    ("hornet_t_gf", 22_991_848, 3_888_705_120),
    ("hornet_s_gf", 50_401_768, None),
    ("hornet_b_gf", 88_421_352, None),
    ("hornet_l_gf", 196_289_512, None),
]


def published(name: str) -> nn.Module:
    space = load_space(f"published/{name}", REGISTRY)
    assert space.size() == 1
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    with torch.device("meta"):
        return build(network, BLOCKS).eval()


@pytest.mark.parametrize(("name", "parameters", "macs"), HORNETS)
def test_the_published_networks(name: str, parameters: int, macs: int | None) -> None:
    module = published(name)
    assert count(module) == parameters
    if macs is not None:  # the others differ in their widths alone
        operators = trace(module, (3, 224, 224)).operators
        assert sum(operator.macs for operator in operators if operator.kind != "fft") == macs


@pytest.mark.parametrize(("size", "stages"), [(224, ((14, 8), (7, 4))), (384, ((24, 13), (12, 7)))])
def test_the_filters_are_bound_to_the_size_of_the_input(
    size: int, stages: tuple[tuple[int, int], ...]
) -> None:
    space = load_space("published/hornet_t_gf", REGISTRY)
    network = space.sample(np.random.default_rng(0)).network
    assert network is not None
    network = replace(network, input=image(3, size, size))
    with torch.device("meta"):
        module = build(network, BLOCKS)
    found = {tuple(p.weight.shape[1:3]) for p in module.modules() if isinstance(p, SpectralFilter)}
    assert found == set(stages)


SPACE = """
name = "nested"
input = { domain = "image", channels = 3, size = [20, 12] }
classes = 7
[stem]
use = "conv_stem"
width = WIDTHS
stride = 2
[[stages]]
depth = [1, 2]
width = WIDTHS
stride = 2
[[stages.blocks]]
use = "metaformer"
norm = "layer_bias"
layer_scale = 1e-6
ffn = { use = "mlp", ratio = [1, 2], activation = "gelu", bias = true }
[[stages.blocks.mixer]]
use = "gnconv"
order = [2, 3, 4, 5]
[[stages.blocks.mixer.spatial]]
use = "depthwise_conv"
kernel = [3, 7]
[[stages.blocks.mixer.spatial]]
use = "global_filter"
[head]
use = "pool_linear"
norm = "layer"
"""


def gnconvs(network: Any) -> list[tuple[int, int, str]]:
    """Width, order and spatial operator of every recursive gated convolution of a network."""
    found = []
    for layer in network.layers:
        if layer.block.use == "metaformer":
            mixer = layer.block.knob_values()["mixer"].knob_values()
            found.append((layer.width, mixer["order"], mixer["spatial"].use))
    return found


def test_a_space_of_nested_knobs_gives_only_what_can_be_built() -> None:
    space = parse_space(SPACE.replace("WIDTHS", "[6, 8, 12, 16, 20]"), BLOCKS)
    rng = np.random.default_rng(0)
    seen: set[tuple[int, int, str]] = set()
    for number, vector in enumerate(space.sample_vectors(200, rng)):
        network = space.decode(vector).network
        seen |= set(gnconvs(network))
        if number < 12:
            assert network is not None
            with torch.device("meta"):
                assert build(network, BLOCKS)(torch.empty(2, 3, 20, 12)).shape == (2, 7)
    assert all(width % 2 ** (order - 1) == 0 for width, order, _ in seen)
    orders = {6: {2}, 8: {2, 3, 4}, 12: {2, 3}, 16: {2, 3, 4, 5}, 20: {2, 3}}
    assert {width: {o for w, o, _ in seen if w == width} for width in orders} == orders
    assert {spatial for *_, spatial in seen} == {"depthwise_conv", "global_filter"}


@pytest.mark.parametrize(("order", "fits"), [(1, True), (2, True), (3, True), (4, False), (5, False)])
def test_the_spatial_operator_is_asked_about_its_own_channels(order: int, fits: bool) -> None:
    """Heads of 16 channels divide 64, but not the 120 or 124 channels of four or five gates."""
    attention = BlockUse("attention", (("head_dim", 16),))
    use, signature = gnconv_use(order, attention), image(64, 4, 4)
    assert (fit(use, signature, None, 1, BLOCKS) is not None) is fits
    assert not fits or made(use, signature)(numbers(1, 64, 4, 4)).shape == (1, 64, 4, 4)


def test_a_space_with_attention_as_spatial_operator_gives_only_what_can_be_built() -> None:
    text = SPACE.replace("WIDTHS", "[16, 32, 48]").replace(
        'use = "global_filter"', 'use = "attention"\nhead_dim = [8, 16]'
    )
    space = parse_space(text, BLOCKS)
    seen = set()
    for number, vector in enumerate(space.sample_vectors(100, np.random.default_rng(0))):
        network = space.decode(vector).network
        seen |= set(gnconvs(network))
        if number < 12:
            assert network is not None
            with torch.device("meta"):
                build(network, BLOCKS)
    for channels, orders in {16: {2}, 32: {2, 3}, 48: {2}}.items():  # 8 divides 24; 48 and 56; 72
        assert {order for width, order, use in seen if (width, use) == (channels, "attention")} == orders


def test_a_space_in_which_no_order_fits_is_refused() -> None:
    with pytest.raises(SpaceError):
        space = parse_space(SPACE.replace("WIDTHS", "[5, 7]"), BLOCKS)
        space.sample(np.random.default_rng(0))


def test_a_child_of_any_two_networks_can_be_built() -> None:
    space = parse_space(SPACE.replace("WIDTHS", "[6, 8, 16]"), BLOCKS)
    rng = np.random.default_rng(1)
    parents = [space.decode(vector) for vector in space.sample_vectors(12, rng)]
    for one, other in itertools.pairwise(parents):
        network = space.mutate(space.crossover(one, other, rng), rng).network
        assert network is not None
        assert all(width % 2 ** (order - 1) == 0 for width, order, _ in gnconvs(network))
        with torch.device("meta"):
            build(network, BLOCKS)
