"""Large kernels: what each block is, without importing torch."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas_large_kernels import inception_costs, response_norm_costs

_INCEPTION_NEXT = "arXiv:2303.16900"
_CONVNEXT_V2 = "arXiv:2301.00808"


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


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return [*_metanext()]
