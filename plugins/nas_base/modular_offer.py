"""Skeletons and what goes into them, heads, and the operations of cells."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.spaces.knobs import Choice
from nas_base.offer import METAFORMER, NAS_BENCH_201, NORMS, activation, block, kernels


def modular() -> list[Block]:
    """All of them."""
    return [*_skeletons(), *_mixers(), *_feed_forward(), *_downsampling(), *_heads(), *_operations()]


def _skeletons() -> list[Block]:
    return [
        block(
            "metaformer",
            "block",
            "metaformer:MetaFormer",
            "norm, token mixer, residual; norm, feed-forward, residual",
            METAFORMER,
            mixer=Choice(role="mixer"),
            ffn=Choice("mlp", role="ffn"),
            norm=Choice("layer", "layer_bias", "group", "batch"),
            layer_scale=Choice(0.0, 1e-6, 1e-5, 0.1, 1.0),
            residual_scale=Choice(0.0, 1.0),
        ),
        block(
            "metanext",
            "block",
            "metanext:MetaNext",
            "mixer, norm and feed-forward in one residual branch, as in ConvNeXt",
            "arXiv:2303.16900",
            mixer=Choice("depthwise_conv", role="mixer"),
            ffn=Choice("mlp", role="ffn"),
            norm=Choice(*NORMS),
            layer_scale=Choice(1e-6, 0.0, 1e-5, 0.1, 1.0),
        ),
    ]


def _mixers() -> list[Block]:
    return [
        block("identity_mixer", "mixer", "mixers:IdentityMixer", "mixes nothing", METAFORMER),
        block(
            "pool_mixer",
            "mixer",
            "mixers:PoolMixer",
            "average pooling minus its input",
            "arXiv:2111.11418",
            kernel=Choice(3, 5, 7, 9),
        ),
        block(
            "depthwise_conv",
            "mixer",
            "mixers:DepthwiseConv",
            "a depthwise convolution",
            "arXiv:2201.03545",
            kernel=Choice(7, 3, 5, 9, 11, 13, 31),
            bias=Choice(True, False),
        ),
        block(
            "separable_conv",
            "mixer",
            "mixers:SeparableConv",
            "1x1 expansion, StarReLU, depthwise convolution, 1x1 projection",
            METAFORMER,
            kernel=Choice(7, 3, 5, 9, 11),
            expansion=Choice(2, 1, 1.5, 3, 4),
        ),
        block(
            "attention",
            "mixer",
            "mixers:Attention",
            "multi-head self-attention over all positions",
            "arXiv:1706.03762",
            head_dim=Choice(32, 8, 16, 64),
        ),
    ]


def _feed_forward() -> list[Block]:
    return [
        block(
            "mlp",
            "ffn",
            "mlp:Mlp",
            "1x1 expansion, activation, 1x1 projection",
            METAFORMER,
            ratio=Choice(4, 0.5, 1, 2, 3, 8),
            activation=activation("star_relu"),
            bias=Choice(False, True),
        ),
    ]


def _heads() -> list[Block]:
    return [
        block(
            "pool_linear",
            "head",
            "heads:PoolLinear",
            "global average pooling and a linear classifier, with a hidden layer where hidden is not 0",
            hidden=Choice(0, 128, 256, 512, 1024, 1280, 2048, 4096),
            activation=activation("relu"),
            norm=Choice("none", "batch", "layer", "hidden_layer"),
        )
    ]


def _downsampling() -> list[Block]:
    return [
        block(
            "downsample",
            "downsample",
            "downsampling:Downsample",
            "one strided convolution with a norm in front or behind, between stages or as a stem",
            "arXiv:2201.03545",
            overlap=Choice(False, True),
            norm=Choice(*NORMS),
            order=Choice("norm_conv", "conv_norm"),
            bias=Choice("needed", "always"),
        )
    ]


def _operations() -> list[Block]:
    return [
        block("zero", "operation", "operations:Zero", "nothing passes", NAS_BENCH_201),
        block("identity", "operation", "operations:Identity", "everything passes", NAS_BENCH_201),
        block(
            "conv_operation",
            "operation",
            "operations:ConvOperation",
            "ReLU, convolution, batch norm",
            NAS_BENCH_201,
            kernel=kernels(),
        ),
        block(
            "average_pool",
            "operation",
            "operations:AveragePool",
            "average pooling that does not count the padding",
            NAS_BENCH_201,
            kernel=Choice(3, 5, 7),
        ),
    ]
