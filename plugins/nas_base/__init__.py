"""The first-party building blocks for images: what each one is, without importing torch.

The modules beside this file hold the blocks themselves; they are imported when one is built.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature
from nas_base import mixed_convolution_costs as mixed

ACTIVATIONS = (
    "relu",
    "relu6",
    "hard_swish",
    "silu",
    "gelu",
    "star_relu",
    "squared_relu",
    "identity",
)


def _activation(default: str) -> Choice:
    """The knob of an activation, its default first."""
    return Choice(default, *(name for name in ACTIVATIONS if name != default))


def _fits_kernel(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> bool:
    """Kernels are odd, so that padding keeps the size."""
    return kernel % 2 == 1


def _keeps(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """An operation without weights changes neither channels nor size."""
    return stride == 1 and width in (None, signature.channels)


def _fits_average_pool(signature: Signature, width: int | None, stride: int, *, kernel: int) -> bool:
    return kernel % 2 == 1 and width in (None, signature.channels)


def _fits_attention(signature: Signature, width: int | None, stride: int, *, head_dim: int) -> bool:
    """The heads split the channels evenly."""
    return signature.channels % head_dim == 0


def _fits_head(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """The norm of a hidden layer asks for one."""
    return bool(knobs["norm"] != "hidden_layer" or knobs["hidden"])


def _block(name: str, role: str, build: str, description: str, source: str = "", **knobs: Choice) -> Block:
    """A block for images; one with a kernel asks for an odd one."""
    valid: Callable[..., bool] | None = _RULES.get(name, _fits_kernel if "kernel" in knobs else None)
    return Block(
        name, role, "image", f"nas_base.{build}", knobs, valid, source=source, description=description
    )


_RULES: dict[str, Callable[..., bool]] = {
    "attention": _fits_attention,
    "average_pool": _fits_average_pool,
    "identity": _keeps,
    "pool_linear": _fits_head,
}

_NORMS = ("layer_bias", "layer", "group", "batch", "none")
_METAFORMER = "arXiv:2210.13452"
_MOBILEDETS = "arXiv:2004.14525"
_RESNET = "arXiv:1512.03385"
_NAS_BENCH_201 = "arXiv:2001.00326"


def _kernels(default: int = 3) -> Choice:
    return Choice(default, *(size for size in (1, 3, 5, 7) if size != default))


def _expansions() -> Choice:
    return Choice(6, 1, 1.5, 2, 3, 4, 8)


def _squeezes() -> Choice:
    return Choice(0.0, 0.0625, 0.125, 0.25, 0.5, 1.0)


def _convolutions() -> list[Block]:
    return [
        _block(
            "conv_stem",
            "stem",
            "convolution:ConvStem",
            "convolution, norm and activation on the input; with pool a max-pool takes a half of the stride",
            kernel=_kernels(),
            activation=_activation("relu"),
            norm=Choice("batch", "layer"),
            pool=Choice(False, True),
        ),
        _block(
            "conv",
            "block",
            "convolution:Conv",
            "convolution, batch norm, activation",
            kernel=_kernels(),
            activation=_activation("relu"),
        ),
    ]


def _inverted_residuals() -> list[Block]:
    return [
        _block(
            "inverted_residual",
            "block",
            "inverted_residual:InvertedResidual",
            "1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection",
            "arXiv:1801.04381",
            kernel=_kernels(),
            expansion=_expansions(),
            se=_squeezes(),
            activation=_activation("relu6"),
        ),
        _block(
            "fused_inverted_residual",
            "block",
            "inverted_residual:FusedInvertedResidual",
            "one dense convolution that expands, squeeze-and-excitation, 1x1 projection",
            _MOBILEDETS,
            kernel=_kernels(),
            expansion=_expansions(),
            se=_squeezes(),
            activation=_activation("relu6"),
        ),
        _mixed_inverted_residual(),
    ]


def _mixed_inverted_residual() -> Block:
    return Block(
        "mixed_inverted_residual",
        "block",
        "image",
        "nas_base.mixed_convolution:MixedInvertedResidual",
        {
            "kernel_groups": Choice(3, 1, 2, 4, 5),
            "split": Choice(*mixed.SPLITS),
            "dilated": Choice(False, True),
            "expansion": _expansions(),
            "expand_groups": Choice(1, 2, 4),
            "project_groups": Choice(1, 2, 4),
            "se": _squeezes(),
            "activation": _activation("silu"),
        },
        mixed.fits,
        params=mixed.params,
        macs=mixed.macs,
        source="arXiv:1907.09595",
        description="an inverted residual whose depthwise convolution mixes kernels of 3 to 11 pixels",
    )


def _bottlenecks() -> list[Block]:
    return [
        _block(
            "tucker",
            "block",
            "tucker:Tucker",
            "1x1 compression, dense convolution between few channels, 1x1 expansion",
            _MOBILEDETS,
            kernel=_kernels(),
            compress=Choice(0.25, 0.125, 0.5, 0.75, 1.0),
            expand=Choice(0.75, 0.125, 0.25, 0.5, 1.0, 1.5),
            activation=_activation("relu6"),
        ),
        _block(
            "bottleneck",
            "block",
            "residual:Bottleneck",
            "the bottleneck of ResNet-50: 1x1 down, 3x3 with the stride, 1x1 up, shortcut",
            _RESNET,
            ratio=Choice(0.25, 0.125, 0.5, 1.0),
            se=_squeezes(),
            activation=_activation("relu"),
        ),
        _block(
            "basic",
            "block",
            "residual:Basic",
            "two 3x3 convolutions and a shortcut; the order act_conv_norm is that of NAS-Bench-201",
            _RESNET,
            order=Choice("conv_norm_act", "act_conv_norm"),
            activation=_activation("relu"),
        ),
    ]


def _metaformer() -> list[Block]:
    return [
        _block(
            "metaformer",
            "block",
            "metaformer:MetaFormer",
            "norm, token mixer, residual; norm, feed-forward, residual",
            _METAFORMER,
            mixer=Choice(role="mixer"),
            ffn=Choice("mlp", role="ffn"),
            norm=Choice("layer", "layer_bias", "group", "batch"),
            layer_scale=Choice(0.0, 1e-6, 1e-5, 0.1, 1.0),
            residual_scale=Choice(0.0, 1.0),
        ),
        _block(
            "metanext",
            "block",
            "metanext:MetaNext",
            "mixer, norm and feed-forward in one residual branch, as in ConvNeXt",
            "arXiv:2303.16900",
            mixer=Choice("depthwise_conv", role="mixer"),
            ffn=Choice("mlp", role="ffn"),
            norm=Choice(*_NORMS),
            layer_scale=Choice(1e-6, 0.0, 1e-5, 0.1, 1.0),
        ),
        _block("identity_mixer", "mixer", "mixers:IdentityMixer", "mixes nothing", _METAFORMER),
        _block(
            "pool_mixer",
            "mixer",
            "mixers:PoolMixer",
            "average pooling minus its input",
            "arXiv:2111.11418",
            kernel=Choice(3, 5, 7, 9),
        ),
        _block(
            "depthwise_conv",
            "mixer",
            "mixers:DepthwiseConv",
            "a depthwise convolution",
            "arXiv:2201.03545",
            kernel=Choice(7, 3, 5, 9, 11, 13, 31),
            bias=Choice(True, False),
        ),
        _block(
            "separable_conv",
            "mixer",
            "mixers:SeparableConv",
            "1x1 expansion, StarReLU, depthwise convolution, 1x1 projection",
            _METAFORMER,
            kernel=Choice(7, 3, 5, 9, 11),
            expansion=Choice(2, 1, 1.5, 3, 4),
        ),
        _block(
            "attention",
            "mixer",
            "mixers:Attention",
            "multi-head self-attention over all positions",
            "arXiv:1706.03762",
            head_dim=Choice(32, 8, 16, 64),
        ),
        _block(
            "mlp",
            "ffn",
            "mlp:Mlp",
            "1x1 expansion, activation, 1x1 projection",
            _METAFORMER,
            ratio=Choice(4, 0.5, 1, 2, 3, 8),
            activation=_activation("star_relu"),
            bias=Choice(False, True),
        ),
    ]


def _heads() -> list[Block]:
    return [
        _block(
            "pool_linear",
            "head",
            "heads:PoolLinear",
            "global average pooling and a linear classifier, with a hidden layer where hidden is not 0",
            hidden=Choice(0, 128, 256, 512, 1024, 1280, 2048, 4096),
            activation=_activation("relu"),
            norm=Choice("none", "batch", "layer", "hidden_layer"),
        )
    ]


def _downsampling() -> list[Block]:
    return [
        _block(
            "downsample",
            "downsample",
            "downsampling:Downsample",
            "one strided convolution with a norm in front or behind, between stages or as a stem",
            "arXiv:2201.03545",
            overlap=Choice(False, True),
            norm=Choice(*_NORMS),
            order=Choice("norm_conv", "conv_norm"),
            bias=Choice("needed", "always"),
        )
    ]


def _operations() -> list[Block]:
    return [
        _block("zero", "operation", "operations:Zero", "nothing passes", _NAS_BENCH_201),
        _block("identity", "operation", "operations:Identity", "everything passes", _NAS_BENCH_201),
        _block(
            "conv_operation",
            "operation",
            "operations:ConvOperation",
            "ReLU, convolution, batch norm",
            _NAS_BENCH_201,
            kernel=_kernels(),
        ),
        _block(
            "average_pool",
            "operation",
            "operations:AveragePool",
            "average pooling that does not count the padding",
            _NAS_BENCH_201,
            kernel=Choice(3, 5, 7),
        ),
    ]


@hookimpl
def nas_blocks() -> list[Block]:
    """The first-party blocks."""
    return [
        *_convolutions(),
        *_inverted_residuals(),
        *_bottlenecks(),
        *_metaformer(),
        *_downsampling(),
        *_heads(),
        *_operations(),
    ]
