"""Gated convolutions: what each block is, without importing torch."""

from __future__ import annotations

from typing import Any

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature
from nas_gated_convs import cas_vit_costs, global_filter_costs, gnconv_widths, pde_costs

_HORNET = "arXiv:2207.14284"
_CAS_VIT = "arXiv:2408.03703"


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


def _additive() -> list[Block]:
    """CAS-ViT: attention by sums, for phones."""
    return [
        Block(
            "additive_mixer",
            "mixer",
            "image",
            "nas_gated_convs.cas_vit:AdditiveMixer",
            {
                "kernel": Choice(3, 5, 7),
                "spatial_gate": Choice(True, False),
                "channel_gate": Choice(True, False),
            },
            _is_odd,
            params=cas_vit_costs.mixer_params,
            macs=cas_vit_costs.mixer_macs,
            source=_CAS_VIT,
            description="additive attention: gated queries plus gated keys, times values",
        ),
        Block(
            "cas_vit",
            "block",
            "image",
            "nas_gated_convs.cas_vit:CasVit",
            {
                "mixer": Choice("additive_mixer", role="mixer"),
                "kernel": Choice(3, 5, 7),
                "ratio": Choice(4, 1, 2, 3, 6),
                "activation": Choice("gelu", "relu", "silu", "hard_swish"),
            },
            _is_odd,
            source=_CAS_VIT,
            description="local convolutions, additive mixer and feed-forward, each with a residual",
        ),
    ]


def _additive_frame() -> list[Block]:
    """What stands in front of and behind the blocks of CAS-ViT."""
    return [
        Block(
            "cas_vit_stem",
            "stem",
            "image",
            "nas_gated_convs.cas_vit:CasVitStem",
            source=_CAS_VIT,
            description="two 3x3 convolutions with batch norm and ReLU",
        ),
        Block(
            "distilled_linear",
            "head",
            "image",
            "nas_gated_convs.cas_vit:DistilledLinear",
            source="arXiv:2012.12877",
            description="batch norm, average pooling and the mean of two classifiers",
        ),
    ]


def _is_odd(signature: Signature, width: int | None, stride: int, *, kernel: int, **knobs: Any) -> bool:
    return kernel % 2 == 1


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return [*_recursive(), *_symmetric(), *_additive(), *_additive_frame()]
