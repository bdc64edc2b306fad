"""The blocks against formulas written down once more, the slow and plain way, in float64."""

from __future__ import annotations

import math

import pytest
import torch
from nas_base_cases import BLOCKS, MAP, made, use
from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.activations import SquaredReLU, StarReLU

torch.set_num_threads(1)
TINY = Signature("image", 4, (5, 3))


def picture(signature: Signature = MAP) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn((2, *signature.shape), generator=generator, dtype=torch.float64)


def convolved(x: Tensor, weight: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """A padded convolution by loops over outputs and positions."""
    N, C, H, W = x.shape
    outputs, share, kernel, _ = weight.shape
    pad = kernel // 2
    padded = x.new_zeros((N, C, H + 2 * pad, W + 2 * pad))
    padded[:, :, pad : pad + H, pad : pad + W] = x
    y = x.new_zeros((N, outputs, math.ceil(H / stride), math.ceil(W / stride)))
    for o in range(outputs):
        start = o // (outputs // groups) * share
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                rows, columns = slice(i * stride, i * stride + kernel), slice(j * stride, j * stride + kernel)
                patch = padded[:, start : start + share, rows, columns]
                y[:, o, i, j] = (patch * weight[o]).sum((1, 2, 3))
    return y


def normed(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """A batch norm in eval."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    y = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    return y * norm.weight[:, None, None] + norm.bias[:, None, None]


def part(module: nn.Module, x: Tensor, stride: int = 1, groups: int = 1) -> Tensor:
    """Convolution and norm of a `ConvNormAct`, without its activation."""
    return normed(convolved(x, module.conv.weight, stride, groups), module.norm)


def relu6(x: Tensor) -> Tensor:
    return x.clamp(0, 6)


def matches(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_star_relu_and_squared_relu() -> None:
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)
    star = StarReLU().double()
    matches(star(x), 0.8944 * x.clamp(min=0) ** 2 - 0.4472 + 0 * x)
    matches(SquaredReLU()(x), x.clamp(min=0) ** 2)


def test_star_relu_gives_a_standard_normal_zero_mean_and_unit_variance() -> None:
    x = torch.randn(400_000, generator=torch.Generator().manual_seed(0))
    y = StarReLU()(x)
    assert abs(y.mean().item()) < 0.01
    assert abs(y.var().item() - 1) < 0.02


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_conv(stride: int) -> None:
    module = made("conv", TINY, width=6, stride=stride, kernel=5).eval()
    matches(module(picture(TINY)), part(module, picture(TINY), stride).clamp(min=0))


@pytest.mark.parametrize(("stride", "strides"), [(4, (2, 2)), (2, (1, 2)), (1, (1, 1)), (3, (3, 1))])
def test_the_pool_of_a_stem_takes_two_of_an_even_stride(stride: int, strides: tuple[int, int]) -> None:
    signature = Signature("image", 3, (11, 9))
    module = made("conv_stem", signature, width=4, stride=stride, pool=True).eval()
    convolution = part(module.conv, picture(signature), strides[0]).clamp(min=0)
    expected = torch.full((2, 4, math.ceil(11 / stride), math.ceil(9 / stride)), -1.0, dtype=torch.float64)
    for i in range(expected.shape[2]):
        for j in range(expected.shape[3]):
            top, left = i * strides[1] - 1, j * strides[1] - 1
            window = convolution[:, :, max(0, top) : top + 3, max(0, left) : left + 3]
            expected[:, :, i, j] = window.amax((2, 3))
    matches(module(picture(signature)), expected)


def test_a_stem_with_layer_norm() -> None:
    module = made("conv_stem", TINY, width=6, norm="layer", activation="identity").eval()
    y = convolved(picture(TINY), module.conv.conv.weight) + module.conv.conv.bias[:, None, None]
    centred = y - y.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
    matches(module(picture(TINY)), scaled * module.conv.norm.weight[:, None, None])


def gated(module: nn.Module, x: Tensor) -> Tensor:
    """The gate of squeeze-and-excitation with matrices."""
    means = x.flatten(2).mean(2)
    hidden = means @ module.reduce.weight[:, :, 0, 0].T + module.reduce.bias
    gate = torch.sigmoid(hidden.clamp(min=0) @ module.expand.weight[:, :, 0, 0].T + module.expand.bias)
    return x * gate[:, :, None, None]


@pytest.mark.parametrize("se", [0.0, 0.25, 0.5])
@pytest.mark.parametrize(("width", "stride"), [(4, 1), (4, 2), (6, 1)])
def test_inverted_residual(width: int, stride: int, se: float) -> None:
    module = made(
        "inverted_residual", TINY, width=width, stride=stride, expansion=3, se=se, activation="relu"
    )
    module.eval()
    x = picture(TINY)
    inner = part(module.expand, x).clamp(min=0)
    inner = part(module.depthwise, inner, stride, groups=12).clamp(min=0)
    y = part(module.project, gated(module.se, inner) if se else inner)
    matches(module(x), x + y if (width, stride) == (4, 1) else y)


def test_inverted_residual_without_expansion_has_no_expanding_convolution() -> None:
    module = made("inverted_residual", TINY, expansion=1).eval()
    x = picture(TINY)
    assert isinstance(module.expand, nn.Identity)
    matches(module(x), x + part(module.project, relu6(part(module.depthwise, x, groups=4))))


@pytest.mark.parametrize(("width", "stride"), [(4, 1), (6, 2)])
def test_fused_inverted_residual(width: int, stride: int) -> None:
    module = made("fused_inverted_residual", TINY, width=width, stride=stride, expansion=2, se=0.5).eval()
    module.se.act = nn.ReLU()
    x = picture(TINY)
    y = part(module.project, gated(module.se, relu6(part(module.expand, x, stride))))
    matches(module(x), x + y if stride == 1 else y)


def test_fused_is_the_inverted_residual_with_depthwise_and_expansion_merged() -> None:
    """With linear inner parts, a dense kernel that is the product of both gives the same map."""
    separate = made("inverted_residual", TINY, width=6, expansion=2, activation="identity").eval()
    merged = made("fused_inverted_residual", TINY, width=6, expansion=2, activation="identity").eval()
    for module in (separate.expand, separate.depthwise, merged.expand):
        nn.init.ones_(module.norm.weight)
        for tensor in (module.norm.bias, module.norm.running_mean):
            nn.init.zeros_(tensor)
        nn.init.constant_(module.norm.running_var, 1 - module.norm.eps)
    with torch.no_grad():
        pointwise, depthwise = separate.expand.conv.weight, separate.depthwise.conv.weight
        merged.expand.conv.weight.copy_(pointwise * depthwise)
    merged.project.load_state_dict(separate.project.state_dict())
    matches(merged(picture(TINY)), separate(picture(TINY)))


@pytest.mark.parametrize(("width", "stride"), [(16, 1), (24, 2)])
def test_tucker(width: int, stride: int) -> None:
    signature = Signature("image", 16, (4, 3))
    module = made("tucker", signature, width=width, stride=stride, compress=0.5, expand=0.5).eval()
    x = picture(signature)
    inner = relu6(part(module.dense, relu6(part(module.compress, x)), stride))
    y = part(module.expand, inner)
    matches(module(x), x + y if stride == 1 else y)


@pytest.mark.parametrize(("width", "stride"), [(4, 1), (8, 1), (8, 2)])
def test_bottleneck(width: int, stride: int) -> None:
    module = made("bottleneck", TINY, width=width, stride=stride, ratio=0.5, se=0.25).eval()
    x = picture(TINY)
    inner = part(module.conv, part(module.reduce, x).clamp(min=0), stride).clamp(min=0)
    y = gated(module.se, part(module.expand, inner))
    around = x if (width, stride) == (4, 1) else part(module.shortcut, x, stride)
    matches(module(x), (y + around).clamp(min=0))


@pytest.mark.parametrize(("width", "stride"), [(4, 1), (6, 2)])
def test_basic(width: int, stride: int) -> None:
    module = made("basic", TINY, width=width, stride=stride).eval()
    x = picture(TINY)
    y = part(module.second, part(module.first, x, stride).clamp(min=0))
    around = x if stride == 1 else part(module.shortcut, x, stride)
    matches(module(x), (y + around).clamp(min=0))


def test_basic_in_the_order_of_nas_bench_201() -> None:
    module = made("basic", TINY, width=6, stride=2, order="act_conv_norm").eval()
    x = picture(TINY)
    y = part(module.second, part(module.first, x.clamp(min=0), 2).clamp(min=0))
    means = torch.stack(
        [x[:, :, i : i + 2, j : j + 2].mean((2, 3)) for i in (0, 2, 4) for j in (0, 2)], 2
    ).reshape(2, 4, 3, 2)
    matches(module(x), y + convolved(means, module.shortcut[1].weight))


@pytest.mark.parametrize("kernel", [3, 5])
def test_pool_mixer_and_average_pool_count_only_what_lies_inside(kernel: int) -> None:
    x = picture(TINY)
    means = torch.empty_like(x)
    for i in range(5):
        for j in range(3):
            half = kernel // 2
            means[:, :, i, j] = x[
                :, :, max(0, i - half) : i + half + 1, max(0, j - half) : j + half + 1
            ].mean((2, 3))
    matches(made("pool_mixer", TINY, kernel=kernel)(x), means - x)
    matches(made("average_pool", TINY, kernel=kernel)(x), means)


def test_pooling_a_constant_map_gives_nothing() -> None:
    assert not made("pool_mixer", TINY)(torch.ones((1, 4, 5, 3), dtype=torch.float64)).any()


def test_separable_conv() -> None:
    module = made("separable_conv", TINY, kernel=3, expansion=1.5)
    x = picture(TINY)
    inner = convolved(x, module.expand.weight)
    inner = module.act.scale * inner.clamp(min=0) ** 2 + module.act.bias
    inner = convolved(inner, module.depthwise.weight, groups=6)
    matches(module(x), convolved(inner, module.project.weight))


def test_attention_is_the_explicit_softmax() -> None:
    module = made("attention", TINY, head_dim=2)
    x = picture(TINY)
    tokens = x.flatten(2).transpose(1, 2)
    q, k, v = (tokens @ module.qkv.weight[:, :, 0, 0].T).split(4, 2)
    mixed = torch.empty_like(tokens)
    for head in (slice(0, 2), slice(2, 4)):
        scores = q[..., head] @ k[..., head].transpose(1, 2) / math.sqrt(2)
        weights = scores.exp() / scores.exp().sum(2, keepdim=True)
        mixed[..., head] = weights @ v[..., head]
    expected = (mixed @ module.project.weight[:, :, 0, 0].T).transpose(1, 2).reshape(x.shape)
    matches(module(x), expected)


def test_attention_does_not_know_where_a_position_is() -> None:
    module = made("attention", TINY, head_dim=2)
    x = picture(TINY)
    matches(module(x.flip(2).transpose(2, 3)), module(x).flip(2).transpose(2, 3))


def test_mlp() -> None:
    module = made("mlp", TINY, ratio=2, activation="squared_relu")
    x = picture(TINY)
    inner = torch.einsum("oc,nchw->nohw", module.expand.weight[:, :, 0, 0], x).clamp(min=0) ** 2
    matches(module(x), torch.einsum("oc,nchw->nohw", module.project.weight[:, :, 0, 0], inner))


def layer_normed(x: Tensor, gain: Tensor, directions: tuple[int, ...]) -> Tensor:
    centred = x - x.mean(directions, keepdim=True)
    scaled = centred / (centred.square().mean(directions, keepdim=True) + 1e-6).sqrt()
    return scaled * gain[:, None, None]


@pytest.mark.parametrize(("norm", "directions"), [("layer", (1,)), ("group", (1, 2, 3))])
def test_metaformer(norm: str, directions: tuple[int, ...]) -> None:
    module = made(
        "metaformer",
        TINY,
        mixer=use("pool_mixer"),
        ffn=use("mlp", ratio=2),
        norm=norm,
        layer_scale=0.1,
        residual_scale=1.0,
    )
    x = picture(TINY)
    mixed = module.mixer(layer_normed(x, module.mixer_norm.weight, directions))
    x1 = (
        module.mixer_residual_scale.weight[:, None, None] * x
        + module.mixer_scale.weight[:, None, None] * mixed
    )
    forward = module.ffn(layer_normed(x1, module.ffn_norm.weight, directions))
    x2 = (
        module.ffn_residual_scale.weight[:, None, None] * x1
        + module.ffn_scale.weight[:, None, None] * forward
    )
    matches(module(x), x2)


def test_metaformer_with_nothing_to_add_is_the_identity() -> None:
    module = made("metaformer", TINY, mixer=use("identity_mixer"), norm="layer")
    nn.init.zeros_(module.mixer_norm.weight)
    nn.init.zeros_(module.ffn.project.weight)
    assert torch.equal(module(picture(TINY)), picture(TINY))


def test_metaformer_changes_width_and_size_in_front() -> None:
    module = made("metaformer", TINY, width=6, stride=2, mixer=use("identity_mixer"))
    x = picture(TINY)
    norm, conv = module.downsample
    y = convolved(layer_normed(x, norm.weight, (1,)), conv.weight, 2) + conv.bias[:, None, None]
    matches(module.downsample(x), y)
    assert module(x).shape == (2, 6, 3, 2)


@pytest.mark.parametrize(
    ("norm", "hidden"),
    [("none", 0), ("none", 7), ("layer", 0), ("layer", 7), ("batch", 0), ("batch", 7), ("hidden_layer", 7)],
)
def test_pool_linear(norm: str, hidden: int) -> None:
    module = made("pool_linear", TINY, hidden=hidden, norm=norm).eval()
    x = picture(TINY)
    y = (normed(x, module.before[0]).clamp(min=0) if norm == "batch" else x).flatten(2).mean(2)
    y = vector_normed(y, module.norm) if norm == "layer" else y
    if hidden:
        y = (y @ module.hidden[0].weight.T + module.hidden[0].bias).clamp(min=0)
        y = vector_normed(y, module.hidden[2]) if "layer" in norm else y
    matches(module(x), y @ module.classifier.weight.T + module.classifier.bias)


def test_pool_linear_needs_a_hidden_layer_for_its_norm() -> None:
    accepted = [
        BLOCKS["pool_linear"].accepts(
            TINY, None, 1, use("pool_linear", norm="hidden_layer", hidden=h).knob_values()
        )
        for h in (0, 1)
    ]
    assert accepted == [False, True]


@pytest.mark.parametrize(
    ("bias", "norm", "order", "expected"),
    [
        ("needed", "batch", "conv_norm", False),
        ("always", "batch", "conv_norm", True),
        ("needed", "batch", "norm_conv", True),
        ("needed", "layer", "conv_norm", True),
    ],
)
def test_downsample_leaves_out_the_bias_that_a_norm_undoes(
    bias: str, norm: str, order: str, expected: bool
) -> None:
    module = made("downsample", TINY, width=6, stride=2, bias=bias, norm=norm, order=order)
    assert (module.conv.bias is not None) is expected


def vector_normed(x: Tensor, norm: nn.Module) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    return centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias


def test_operations() -> None:
    x = picture(TINY)
    convolution = made("conv_operation", TINY).eval()
    matches(convolution(x), part(convolution.conv, x.clamp(min=0)))
    assert made("identity", TINY)(x) is x
    assert torch.equal(made("zero", TINY)(x), torch.zeros_like(x))
    assert torch.equal(made("zero", TINY, width=6, stride=2)(x), x.new_zeros((2, 6, 3, 2)))


def test_zero_passes_no_infinity() -> None:
    x = torch.full((1, 4, 5, 3), math.inf, dtype=torch.float64)
    assert torch.equal(made("zero", TINY)(x), torch.zeros_like(x))


def test_a_gate_that_is_saturated_is_the_identity() -> None:
    module = made("inverted_residual", TINY, se=0.25, activation="relu").eval()
    nn.init.constant_(module.se.expand.bias, 1e3)
    nn.init.zeros_(module.se.expand.weight)
    inner = picture(Signature("image", 24, (5, 3)))
    matches(module.se(inner), inner)


def test_a_gate_depends_on_the_channel_means_alone() -> None:
    module = made("inverted_residual", TINY, se=0.5).eval().se
    inner = picture(Signature("image", 24, (5, 3)))
    moved = inner.flip(2)
    matches(module(moved), module(inner).flip(2))
