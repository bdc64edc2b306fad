"""UniRepLKNet (arXiv:2311.15599): the block, the stem, the published networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from dilated_reparam_cases import convolved, normalised, summed
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
)
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import build, fuse
from nas.costs import estimate_architecture, resolve_target
from nas.costs.trace import trace
from nas.errors import SpaceError
from nas.spaces import parse_space
from nas_large_kernels.response_norm import ResponseNorm

# The block.


def responded(x: Tensor, norm: Any) -> Tensor:
    """Global response normalisation by loops over samples and channels."""
    y = torch.zeros_like(x)
    for n in range(x.shape[0]):
        norms = x[n].square().sum((1, 2)).sqrt()
        for c in range(x.shape[1]):
            relative = norms[c] / (norms.mean() + 1e-6)
            y[n, c] = x[n, c] + norm.weight[c] * x[n, c] * relative + norm.bias[c]
    return y


def gated(x: Tensor, gate: Any) -> Tensor:
    """Squeeze-and-excitation."""
    means = x.mean((2, 3))
    hidden = (means @ gate.reduce.weight[..., 0, 0].T + gate.reduce.bias).relu()
    return x * (hidden @ gate.expand.weight[..., 0, 0].T + gate.expand.bias).sigmoid()[..., None, None]


def linear(x: Tensor, convolution: Any) -> Tensor:
    """A 1x1 convolution."""
    y = torch.einsum("nchw,oc->nohw", x, convolution.weight[..., 0, 0])
    return y if convolution.bias is None else y + convolution.bias.reshape(-1, 1, 1)


def of_block(x: Tensor, module: Any) -> Tensor:
    """The formula of the block in eval, what is switched off left out."""
    is_plain = isinstance(module.mixer, nn.Conv2d)
    y = convolved(x, module.mixer.weight, 1) if is_plain else summed(x, module.mixer)
    y = normalised(y, module.mixer_norm)
    y = y if isinstance(module.gate, nn.Identity) else gated(y, module.gate)
    y = F.gelu(linear(y, module.expand))
    y = responded(y, module.response_norm) if isinstance(module.response_norm, ResponseNorm) else y
    y = normalised(linear(y, module.project), module.project_norm)
    return x + (y if isinstance(module.scale, nn.Identity) else y * module.scale.weight.reshape(-1, 1, 1))


FORMS = [
    {},
    {"kernel": 3},
    {"kernel": 7, "ratio": 2, "se": 0.5},
    {"kernel": 17, "se": 0.0},
    {"kernel": 9, "response_norm": False},
    {"kernel": 5, "layer_scale": 0.0, "ratio": 1},
    {"kernel": 3, "se": 0.0, "response_norm": False, "layer_scale": 0.0},
]


@pytest.mark.parametrize("knobs", FORMS)
def test_the_block_is_the_formula_and_its_deployed_form_too(knobs: dict[str, Any]) -> None:
    signature = image(8, 5, 4)
    module = made("unireplknet", signature, **knobs)
    x = picture(signature)
    expected = of_block(x, module)
    matches(module(x), expected)
    assert float((expected - x).detach().abs().max()) > 0.1
    deployed = fuse(module)
    matches(deployed(x), expected)
    matches(fuse(deployed)(x), expected)


@pytest.mark.parametrize("knobs", FORMS)
def test_nothing_that_can_be_merged_is_left_in_the_deployed_form(knobs: dict[str, Any]) -> None:
    deployed = fuse(made("unireplknet", image(8, 5, 4), **knobs))
    parts = [part for part in deployed.modules() if not list(part.children())]
    assert not any(isinstance(part, nn.BatchNorm2d | nn.Identity) for part in parts)
    convolutions = [part for part in parts if isinstance(part, nn.Conv2d)]
    assert len(convolutions) == (3 if knobs.get("se") == 0.0 else 5)
    assert sum(part.groups == 8 for part in convolutions) == 1
    assert all(part.bias is not None for part in convolutions)
    assert all(part.bias is None for part in parts if isinstance(part, ResponseNorm))


def test_deploying_gives_no_weights_away() -> None:
    """The training form keeps its values where the deployed one is changed."""
    module = made("unireplknet", image(8, 5, 4))
    x = picture(image(8, 5, 4))
    expected = module(x).clone()
    deployed = fuse(module)
    with torch.no_grad():
        for parameter in deployed.parameters():
            parameter.mul_(3)
    assert torch.equal(module(x), expected)


@pytest.mark.parametrize(("width", "stride"), [(8, 2), (16, 1), (12, 2), (None, 3)])
def test_a_change_of_width_or_size_is_a_layer_of_its_own_in_front(width: int | None, stride: int) -> None:
    signature = image(8, 7, 5)
    module: Any = made("unireplknet", signature, width=width, stride=stride, kernel=7)
    front = made(
        "downsample", signature, width=width, stride=stride, overlap=True, order="conv_norm", initial=True
    )
    front.load_state_dict(module.downsample.state_dict())
    x = picture(signature)
    expected = of_block(front(x), module)
    assert expected.shape[1:] == signature.after(width, stride).shape
    matches(module(x), expected)
    matches(fuse(module)(x), expected)


@pytest.mark.parametrize(("se", "squeezed"), [(0.25, 2), (0.0625, 1), (0.5, 5), (0.0, None)])
def test_the_gate_squeezes_to_a_share_rounded_down(se: float, squeezed: int | None) -> None:
    module: Any = made("unireplknet", image(10, 2, 2), se=se)
    assert (module.gate.reduce.out_channels if squeezed else None) == squeezed
    assert isinstance(module.gate, nn.Identity) is (squeezed is None)


def test_a_new_block_is_nearly_the_identity() -> None:
    x = picture(image(8, 5, 4))
    module = made("unireplknet", image(8, 5, 4), initial=True)
    assert float((module(x) - x).detach().abs().max()) < 1e-4
    assert not torch.equal(module(x), x)


def test_the_parameters_of_the_block_by_hand() -> None:
    """At C = 40, kernel 13: kernels, six norms and one behind, the gate, two 1x1, GRN, a norm, a scale."""
    kernels = 13**2 + 5**2 + 7**2 + 3 * 3**2
    hand = 40 * (kernels + 6 * 2 + 2) + (2 * 40 * 10 + 10 + 40) + (2 * 40 * 160 + 160) + 2 * 160 + 3 * 40
    module = made("unireplknet", image(40, 2, 2))
    assert count(module) == hand
    deployed = 40 * (13**2 + 1) + (2 * 40 * 10 + 10 + 40) + (2 * 40 * 160 + 160 + 40) + 160
    assert count(fuse(module)) == deployed


@pytest.mark.parametrize(("kernel", "is_plain"), [(3, True), (5, True), (7, False)])
def test_a_small_kernel_has_no_branches_in_the_block(kernel: int, is_plain: bool) -> None:
    """5 has them as a mixer alone."""
    module: Any = made("unireplknet", image(8, 5, 4), kernel=kernel)
    assert isinstance(module.mixer, nn.Conv2d) is is_plain
    assert len([part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]) == (
        2 if is_plain else 2 + 4
    )


# The stem.


def of_stem(x: Tensor, module: Any) -> Tensor:
    """Two convolutions, the norm over the channels of each position written out."""
    for convolution, norm in ((module.first, module.first_norm), (module.second, module.second_norm)):
        x = x if convolution is module.first else F.gelu(x)
        x = F.conv2d(
            x, convolution.weight, convolution.bias, convolution.stride, convolution.kernel_size[0] // 2
        )
        mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True, correction=0)
        gain, bias = norm.weight.reshape(-1, 1, 1), norm.bias.reshape(-1, 1, 1)
        x = (x - mean) / (var + 1e-6).sqrt() * gain + bias
    return x


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6, 8])
@pytest.mark.parametrize("size", [(16, 16), (9, 7), (1, 1)])
def test_the_stem_is_the_formula_at_any_stride(stride: int, size: tuple[int, int]) -> None:
    signature = image(3, *size)
    module = made("unireplknet_stem", signature, width=10, stride=stride)
    x = picture(signature)
    y = module(x)
    assert y.shape[1:] == signature.after(10, stride).shape
    matches(y, of_stem(x, module))


def test_the_stem_of_the_paper() -> None:
    module: Any = made("unireplknet_stem", image(3, 16, 16), width=40, stride=4)
    shapes = [(c.in_channels, c.out_channels, c.kernel_size, c.stride) for c in (module.first, module.second)]
    assert shapes == [(3, 20, (3, 3), (2, 2)), (20, 40, (3, 3), (2, 2))]
    assert count(module) == 20 * (27 + 3) + 40 * (180 + 3)


@pytest.mark.parametrize("stride", range(1, 9))
def test_the_stem_passes_no_pixel_by(stride: int) -> None:
    signature = image(1, 16, 16)
    module = made("unireplknet_stem", signature, width=6, stride=stride)
    x = picture(signature, batch=1).requires_grad_()
    weights = picture(signature.after(6, stride), batch=1)
    (module(x) * weights).sum().backward()
    assert x.grad is not None
    assert bool((x.grad != 0).all())


# The published networks.

PUBLISHED = {
    "a": (4_649_060, 4_437_300, 0.640),
    "f": (6_489_328, 6_235_216, 0.905),
    "p": (11_080_520, 10_741_704, 1.573),
    "n": (18_818_880, 18_318_560, 2.767),
    "t": (31_693_420, 31_037_980, 4.899),
    "s": (56_456_704, 55_645_984, 9.094),
    "b": (99_089_416, 98_008_456, 16.057),
    "l": (220_076_056, 218_454_616, 35.882),
    "xl": (388_690_984, 386_529_064, 63.570),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    """Parameters of both forms; the deployed one has no bias in GRN, no layer scale and no batch norm."""
    params, deployed_params, expected = PUBLISHED[name]
    module = on_meta(f"unireplknet_{name}")
    assert count(module) == params
    deployed = fuse(module)
    assert count(deployed) == deployed_params
    assert gigamacs(deployed) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "third"),
    [("a", [13] * 6), ("n", [13] * 8), ("t", [13, 3] * 9), ("s", [13, 3, 3] * 9), ("xl", [13, 3, 3] * 9)],
)
def test_large_and_small_kernels_take_turns_in_deep_third_stages(name: str, third: list[int]) -> None:
    network = published(f"unireplknet_{name}").network
    assert network is not None
    found = [
        layer.block.knob_values()["kernel"] for layer in network.layers if layer.block.use == "unireplknet"
    ]
    ends = 2 if len(third) < 9 else 3
    assert found == [*[3] * ends, *[13] * ends, *third, *[13] * ends]


def calibrated(module: nn.Module, x: Tensor) -> nn.Module:
    """Gains, biases and scales away from their start, and norms with the statistics of a batch.

    Random statistics would let a deep network forget its picture, and with it most mistakes of a merge.
    """
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.squeeze().ndim <= 1:
                noise = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(noise - 0.3)
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.momentum = 1.0
        module.train()(x)
    return module.eval()


def test_the_deployed_network_gives_the_scores_of_the_trained_one() -> None:
    """UniRepLKNet-A with everything moved that training moves, in single precision too."""
    network = published("unireplknet_a").network
    assert network is not None
    torch.manual_seed(0)
    x = picture(image(3, 48, 64))
    module = calibrated(build(network, BLOCKS).double(), x)
    deployed = fuse(module)
    with torch.no_grad():
        expected = module(x)
        assert (module(-x) - expected).abs().max() > 0.1 * expected.abs().max()
        matches(deployed(x), expected)
        single = deployed.float()(x.float()).double()
    torch.testing.assert_close(single, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_costs_are_those_of_the_deployed_form() -> None:
    target = resolve_target("a100", REGISTRY)
    found = estimate_architecture(published("unireplknet_a"), target, REGISTRY)
    assert found.macs == trace(fuse(on_meta("unireplknet_a")), (3, 224, 224)).macs
    assert found.macs < trace(on_meta("unireplknet_a"), (3, 224, 224)).macs
    assert not found.unknown_operators


@pytest.mark.parametrize(("channels", "size"), [(1, (128, 40)), (8, (7, 96)), (3, (8, 8))])
def test_other_maps_than_pictures(channels: int, size: tuple[int, int]) -> None:
    """A spectrogram, a series of several variables on a plane, a tiny picture: the same network."""
    network = published("unireplknet_a").network
    assert network is not None
    narrow = [replace(layer, width=8 if layer.width else None) for layer in network.layers]
    module = build(replace(network, input=image(channels, *size), layers=tuple(narrow), classes=5), BLOCKS)
    scores = module.eval()(torch.zeros(2, channels, *size))
    assert scores.shape == (2, 5)
    assert bool(torch.isfinite(scores).all())


SMALL = """
name = "digits"
input = {{ domain = "image", channels = 1, size = [8, 8] }}
classes = 10
[stem]
use = "unireplknet_stem"
width = 8
stride = 1
[[stages]]
depth = 2
width = [8, 16]
stride = 2
blocks = [{{ use = "unireplknet", kernel = {kernel}, se = [0.0, 0.25] }}]
[head]
use = "pool_linear"
"""


def test_a_space_of_kernels() -> None:
    space = parse_space(SMALL.format(kernel="[3, 7, 13, 17]"), BLOCKS)
    assert space.size() == 2 * (4 * 2) ** 2


def test_a_space_of_an_even_kernel_is_refused() -> None:
    with pytest.raises(SpaceError, match="nothing listed for"):
        parse_space(SMALL.format(kernel="12"), BLOCKS).size()
