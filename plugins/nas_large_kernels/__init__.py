"""Large kernels: what each block is, without importing torch."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas_large_kernels import (
    dilated_reparam_costs,
    inception_costs,
    response_norm_costs,
    smp_costs,
    unireplknet_costs,
)

_INCEPTION_NEXT = "arXiv:2303.16900"
_CONVNEXT_V2 = "arXiv:2301.00808"
_SMP_CONV = "arXiv:2304.02330"
_REP_LK_NET = "arXiv:2203.06717"
_UNIREPLKNET = "arXiv:2311.15599"


def _metanext() -> list[Block]:
    """InceptionNeXt and ConvNeXt V2: parts for the skeleton `metanext`."""
    return [
        Block(
            "inception_depthwise",
            "mixer",
            "image",
            "nas_large_kernels.inception_depthwise:InceptionDepthwise",
            {
                "ratio": Choice(0.125, 0.0625, 0.25),
                "square_kernel": Choice(3, 5),
                "band_kernel": Choice(11, 7, 9, 13, 15, 17, 21),
                "order": Choice(*inception_costs.ORDERS),
            },
            inception_costs.fits,
            params=inception_costs.params,
            macs=inception_costs.macs,
            source=_INCEPTION_NEXT,
            description="square, row and column depthwise convolutions on few channels, the rest passes",
        ),
        Block(
            "response_norm_mlp",
            "ffn",
            "image",
            "nas_large_kernels.response_norm_mlp:ResponseNormMlp",
            {
                "ratio": Choice(4, 0.5, 1, 2, 3, 8),
                "activation": Choice("gelu", "relu", "silu", "hard_swish", "star_relu"),
                "bias": Choice(True, False),
            },
            params=response_norm_costs.mlp_params,
            macs=response_norm_costs.mlp_macs,
            source=_CONVNEXT_V2,
            description="1x1 expansion, activation, global response normalisation (GRN), 1x1 projection",
        ),
        Block(
            "global_response_norm",
            "norm",
            "image",
            "nas_large_kernels.response_norm_mlp:GlobalResponseNorm",
            params=response_norm_costs.norm_params,
            macs=response_norm_costs.norm_macs,
            source=_CONVNEXT_V2,
            description="global response normalisation (GRN): channels compete by their norms over the map",
        ),
    ]


def _reparameterised() -> list[Block]:
    """UniRepLKNet: several branches in training, one convolution deployed."""
    kernel = Choice(13, 3, 5, 7, 9, 11, 15, 17)
    return [
        Block(
            "dilated_reparam",
            "mixer",
            "image",
            "nas_large_kernels.dilated_reparam:DilatedReparam",
            {"kernel": kernel},
            dilated_reparam_costs.fits,
            params=dilated_reparam_costs.params,
            macs=dilated_reparam_costs.macs,
            source=_UNIREPLKNET,
            description="large depthwise convolution beside dilated ones, deployed as one convolution",
        ),
        Block(
            "unireplknet",
            "block",
            "image",
            "nas_large_kernels.unireplknet:UniRepLKNetBlock",
            {
                "kernel": kernel,
                "se": Choice(0.25, 0.0, 0.0625, 0.125, 0.5),
                "ratio": Choice(4, 1, 2, 3, 6),
                "response_norm": Choice(True, False),
                "layer_scale": Choice(1e-6, 0.0, 1.0),
            },
            dilated_reparam_costs.fits,
            params=unireplknet_costs.block_params,
            macs=unireplknet_costs.block_macs,
            source=_UNIREPLKNET,
            description="dilated_reparam, squeeze-and-excitation, 1x1 expansion, GELU, GRN, 1x1 projection",
        ),
        Block(
            "unireplknet_stem",
            "stem",
            "image",
            "nas_large_kernels.unireplknet:UniRepLKNetStem",
            params=unireplknet_costs.stem_params,
            macs=unireplknet_costs.stem_macs,
            source=_UNIREPLKNET,
            description="two 3x3 convolutions with layer norms and GELU in between, half the stride each",
        ),
    ]


def _generated() -> list[Block]:
    """SMPConv: kernels of any size that points span."""
    return [
        Block(
            "smp_conv",
            "mixer",
            "image",
            "nas_large_kernels.smp_conv:SmpConv",
            {
                "kernel": Choice(13, 7, 9, 11, 17, 21, 27, 29, 31),
                "points_divisor": Choice(4, 2, 8, 16),
                "small_kernel": Choice(5, 3),
            },
            smp_costs.fits,
            params=smp_costs.params,
            macs=smp_costs.macs,
            source=_SMP_CONV,
            description="a large depthwise kernel spanned by moving points; deployed as a plain one",
        ),
        Block(
            "series_smp_conv",
            "mixer",
            "series",
            "nas_large_kernels.smp_conv:SeriesSmpConv",
            {
                "kernel": Choice(0, 7, 15, 31, 63, 127),
                "points_divisor": Choice(4, 2, 8, 16),
                "small_kernel": Choice(5, 3),
            },
            smp_costs.series_fits,
            params=smp_costs.series_params,
            macs=smp_costs.series_macs,
            source=_SMP_CONV,
            description="a kernel as long as the series, spanned by moving points; deployed as a plain one",
        ),
    ]


def _replk() -> list[Block]:
    """RepLKNet: the skeleton around a large kernel, its stem and what stands between its stages."""
    return [
        Block(
            "large_kernel",
            "block",
            "image",
            "nas_large_kernels.large_kernel_block:LargeKernelBlock",
            {"mixer": Choice("smp_conv", role="mixer"), "ratio": Choice(4, 1, 2, 3, 6)},
            source=_REP_LK_NET,
            description="a large kernel between 1x1 convolutions, then a convolutional feed-forward part",
        ),
        Block(
            "large_kernel_downsample",
            "downsample",
            "image",
            "nas_large_kernels.large_kernel_block:LargeKernelDownsample",
            source=_REP_LK_NET,
            description="1x1 convolution that widens, depthwise 3x3 that strides",
        ),
        Block(
            "large_kernel_stem",
            "stem",
            "image",
            "nas_large_kernels.large_kernel_block:LargeKernelStem",
            source=_REP_LK_NET,
            description="dense 3x3, depthwise 3x3, 1x1 and depthwise 3x3 convolutions",
        ),
    ]


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return [*_metanext(), *_generated(), *_replk(), *_reparameterised()]
