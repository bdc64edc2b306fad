"""The convolutional blocks: stems, bottlenecks and residual blocks."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.spaces.knobs import Choice
from nas_base import conv_first_costs
from nas_base import mixed_convolution_costs as mixed
from nas_base.offer import MOBILEDETS, RESNET, activation, block, expansions, kernels, squeezes


def convolutional() -> list[Block]:
    """All of them."""
    return [*_convolutions(), *_inverted_residuals(), *_bottlenecks()]


def _convolutions() -> list[Block]:
    return [
        block(
            "conv_stem",
            "stem",
            "convolution:ConvStem",
            "convolution, norm and activation on the input; with pool a max-pool takes a half of the stride",
            kernel=kernels(),
            activation=activation("relu"),
            norm=Choice("batch", "layer"),
            pool=Choice(False, True),
        ),
        block(
            "conv",
            "block",
            "convolution:Conv",
            "convolution, batch norm, activation",
            kernel=kernels(),
            activation=activation("relu"),
        ),
    ]


def _inverted_residuals() -> list[Block]:
    return [
        block(
            "inverted_residual",
            "block",
            "inverted_residual:InvertedResidual",
            "1x1 expansion, depthwise convolution, squeeze-and-excitation, 1x1 projection",
            "arXiv:1801.04381",
            kernel=kernels(),
            expansion=expansions(),
            se=squeezes(),
            activation=activation("relu6"),
        ),
        block(
            "fused_inverted_residual",
            "block",
            "inverted_residual:FusedInvertedResidual",
            "one dense convolution that expands, squeeze-and-excitation, 1x1 projection",
            MOBILEDETS,
            kernel=kernels(),
            expansion=expansions(),
            se=squeezes(),
            activation=activation("relu6"),
        ),
        _mixed_inverted_residual(),
        _conv_first(),
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
            "expansion": expansions(),
            "expand_groups": Choice(1, 2, 4),
            "project_groups": Choice(1, 2, 4),
            "se": squeezes(),
            "activation": activation("silu"),
        },
        mixed.fits,
        params=mixed.params,
        macs=mixed.macs,
        source="arXiv:1907.09595",
        description="an inverted residual whose depthwise convolution mixes kernels of 3 to 11 pixels",
    )


def _conv_first() -> Block:
    return Block(
        "conv_first",
        "block",
        "image",
        "nas_base.conv_first:ConvFirst",
        {
            "group_width": Choice(8, 1, 16, 32),
            "kernel": Choice(3, 5, 7),
            "expansion": Choice(4, 2, 3, 5, 6),
            "activation": activation("relu"),
        },
        conv_first_costs.fits,
        params=conv_first_costs.params,
        macs=conv_first_costs.macs,
        source="arXiv:2404.03617",
        description="grouped convolution, 1x1 expansion, activation, 1x1 projection: made to be one kernel",
    )


def _bottlenecks() -> list[Block]:
    return [
        block(
            "tucker",
            "block",
            "tucker:Tucker",
            "1x1 compression, dense convolution between few channels, 1x1 expansion",
            MOBILEDETS,
            kernel=kernels(),
            compress=Choice(0.25, 0.125, 0.5, 0.75, 1.0),
            expand=Choice(0.75, 0.125, 0.25, 0.5, 1.0, 1.5),
            activation=activation("relu6"),
        ),
        block(
            "bottleneck",
            "block",
            "residual:Bottleneck",
            "the bottleneck of ResNet-50: 1x1 down, 3x3 with the stride, 1x1 up, shortcut",
            RESNET,
            ratio=Choice(0.25, 0.125, 0.5, 1.0),
            se=squeezes(),
            activation=activation("relu"),
        ),
        block(
            "basic",
            "block",
            "residual:Basic",
            "two 3x3 convolutions and a shortcut; the order act_conv_norm is that of NAS-Bench-201",
            RESNET,
            order=Choice("conv_norm_act", "act_conv_norm"),
            activation=activation("relu"),
        ),
    ]
