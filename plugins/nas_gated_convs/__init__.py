"""Gated convolutions: what each block is, without importing torch."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas_gated_convs import global_filter_costs, gnconv_widths, pde_costs

_HORNET = "arXiv:2207.14284"


def _recursive() -> list[Block]:
    """HorNet: products of a chosen order between positions."""
    return [
        Block(
            "gnconv",
            "mixer",
            "image",
            "nas_gated_convs.gnconv:GnConv",
            {
                "order": Choice(3, 1, 2, 4, 5),
                "spatial": Choice("depthwise_conv", role="mixer"),
                "scale": Choice(1 / 3, 0.1, 0.5, 1.0),
            },
            gnconv_widths.fits,
            inside=gnconv_widths.inside,
            source=_HORNET,
            description="recursive gated convolution: gates of doubling width, one product after another",
        ),
        Block(
            "global_filter",
            "mixer",
            "image",
            "nas_gated_convs.global_filter:GlobalFilter",
            valid=global_filter_costs.fits,
            params=global_filter_costs.params,
            macs=global_filter_costs.macs,
            source=_HORNET,
            description="half of the channels through a 3x3 depthwise convolution, half by frequency",
        ),
    ]


def _symmetric() -> list[Block]:
    """A network whose weights can be given in any coordinates of its channels."""
    return [
        Block(
            "pde",
            "block",
            "image",
            "nas_gated_convs.pde:PDEBlock",
            {
                "expansion": Choice(4, 2),
                "depthwise_multiplier": Choice(2, 1),
                "activation_placement": Choice("transition", "none", "all"),
            },
            params=pde_costs.params,
            macs=pde_costs.macs,
            source="arXiv:2308.01621",
            description="product of two 1x1 convolutions, depthwise, 1x1 convolution; no activation",
        ),
    ]


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return [*_recursive(), *_symmetric()]
