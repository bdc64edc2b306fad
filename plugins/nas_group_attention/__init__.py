"""Attention within groups and regions: what each block is, without importing torch."""

from __future__ import annotations

from dataclasses import replace

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas.training.task import Task
from nas_group_attention import bilevel_routing_costs, group_size_costs, halo_costs, osa_costs, series_costs

ACTIVATIONS = ("relu", "silu", "gelu", "hard_swish", "squared_relu", "relu6", "identity")
_BIFORMER = "arXiv:2303.08810"
_HALONET = "arXiv:2103.12731"
_E2GC = "arXiv:2006.15100"
_VOVNET = "arXiv:1904.09730"
_RITA = "arXiv:2306.01926"


def _activation(default: str) -> Choice:
    """The knob of an activation, its default first."""
    return Choice(default, *(name for name in ACTIVATIONS if name != default))


def _routed() -> list[Block]:
    """BiFormer: attention between the regions of a map that are most alike."""
    heads = Choice(32, 8, 16, 64)
    return [
        Block(
            "bilevel_routing_attention",
            "mixer",
            "image",
            "nas_group_attention.bilevel_routing:BilevelRoutingAttention",
            {
                "regions": Choice(7, 4, 8),
                "topk": Choice(4, 1, 2, 8, 16, 32, 64),
                "head_dim": heads,
                "local_kernel": Choice(5, 0, 3),
                "soft_routing": Choice(False, True),
            },
            bilevel_routing_costs.fits,
            params=bilevel_routing_costs.routing_params,
            macs=bilevel_routing_costs.routing_macs,
            source=_BIFORMER,
            description="attention of each region of the map to the k regions most like it",
        ),
        Block(
            "locally_enhanced_attention",
            "mixer",
            "image",
            "nas_group_attention.bilevel_routing:LocallyEnhancedAttention",
            {"head_dim": Choice(32, 8, 16, 64, 96), "local_kernel": Choice(5, 0, 3)},
            bilevel_routing_costs.fits,
            params=bilevel_routing_costs.enhanced_params,
            macs=bilevel_routing_costs.enhanced_macs,
            source=_BIFORMER,
            description="attention over all positions plus a depthwise convolution of the input",
        ),
    ]


def _biformer() -> list[Block]:
    """The block of BiFormer and its stem."""
    return [
        Block(
            "biformer",
            "block",
            "image",
            "nas_group_attention.biformer:BiFormer",
            {
                "mixer": Choice("bilevel_routing_attention", role="mixer"),
                "ffn": Choice("mlp", role="ffn"),
                "position_kernel": Choice(3, 0, 5, 7),
                "layer_scale": Choice(0.0, 1e-6, 1e-5, 0.1, 1.0),
            },
            bilevel_routing_costs.block_fits,
            source=_BIFORMER,
            description="depthwise positional convolution, norm and mixer, norm and feed-forward",
        ),
        Block(
            "biformer_stem",
            "stem",
            "image",
            "nas_group_attention.biformer:BiFormerStem",
            {"activation": _activation("gelu")},
            source=_BIFORMER,
            description="two 3x3 convolutions with batch norm that share the stride",
        ),
    ]


def _local() -> list[Block]:
    """HaloNet: attention of blocks of the map to themselves and a halo around them."""
    attention = {
        "block_size": Choice(8, 4, 7, 14),
        "halo_size": Choice(3, 0, 1, 2, 4),
        "head_dim": Choice(32, 8, 16, 64),
        "value_ratio": Choice(1.0, 0.5, 1.25, 1.5, 2.0, 3.0),
    }
    local = Block(
        "halo_attention",
        "mixer",
        "image",
        "nas_group_attention.halo:HaloAttention",
        attention,
        halo_costs.attention_fits,
        params=halo_costs.attention_params,
        macs=halo_costs.attention_macs,
        source=_HALONET,
        description="attention of each block of the map to itself and a halo around it",
    )
    return [
        local,
        replace(
            local,
            name="halo_downsample",
            role="downsample",
            description="halo attention that keeps every stride-th query of a block",
        ),
        Block(
            "halo_bottleneck",
            "block",
            "image",
            "nas_group_attention.halo_bottleneck:HaloBottleneck",
            {"ratio": Choice(0.25, 0.125, 0.5, 1.0), **attention, "activation": _activation("relu")},
            halo_costs.bottleneck_fits,
            params=halo_costs.bottleneck_params,
            macs=halo_costs.bottleneck_macs,
            source=_HALONET,
            description="the bottleneck of ResNet with halo attention in place of its 3x3 convolution",
        ),
        Block(
            "tiered_stem",
            "stem",
            "image",
            "nas_group_attention.halo_bottleneck:TieredStem",
            {"activation": _activation("relu"), "pool": Choice(True, False)},
            source=_HALONET,
            description="three 3x3 convolutions that widen step by step, and a max-pool",
        ),
    ]


def _grouped() -> list[Block]:
    """E2GC: grouped convolutions of one group size throughout a network."""
    grouping = {
        "group_size": Choice(1, 2, 4, 8, 16, 32, 64),
        "groups": Choice(0, 1, 2, 4, 8, 16, 32, 64),
        "kernel": Choice(3, 5, 7),
    }
    return [
        Block(
            "grouped_separable",
            "block",
            "image",
            "nas_group_attention.group_size:GroupedSeparable",
            {**grouping, "activation": _activation("relu6")},
            group_size_costs.fits_separable,
            params=group_size_costs.separable_params,
            macs=group_size_costs.separable_macs,
            source=_E2GC,
            description="the separable block of MobileNet-V1 with groups of a chosen size",
        ),
        Block(
            "grouped_bottleneck",
            "block",
            "image",
            "nas_group_attention.group_size:GroupedBottleneck",
            {**grouping, "ratio": Choice(0.5, 0.25, 1.0), "activation": _activation("relu")},
            group_size_costs.fits_bottleneck,
            params=group_size_costs.bottleneck_params,
            macs=group_size_costs.bottleneck_macs,
            source=_E2GC,
            description="the bottleneck of ResNeXt with groups of a chosen size",
        ),
    ]


def _aggregated() -> list[Block]:
    """VoVNet: one concatenation of a whole chain of convolutions, and its stem."""
    return [
        Block(
            "osa",
            "block",
            "image",
            "nas_group_attention.osa:OneShotAggregation",
            {
                "layers": Choice(5, 3, 4),
                "ratio": Choice(0.5, 0.3125, 0.25, 0.21875, 0.125),
                "separable": Choice(False, True),
                "residual": Choice(False, True),
                "gate": Choice(False, True),
                "activation": _activation("relu"),
            },
            osa_costs.fits,
            params=osa_costs.params,
            macs=osa_costs.macs,
            source=_VOVNET,
            description="a chain of 3x3 convolutions, all of their outputs concatenated once and mixed",
        ),
        Block(
            "vovnet_stem",
            "stem",
            "image",
            "nas_group_attention.osa:VoVNetStem",
            {"activation": _activation("relu")},
            params=osa_costs.stem_params,
            macs=osa_costs.stem_macs,
            source=_VOVNET,
            description="three 3x3 convolutions with batch norm, the first two of half the width",
        ),
    ]


def _series() -> list[Block]:
    """RITA: group attention, and what a network for time series needs besides."""
    head_dim = Choice(16, 8, 32, 64)
    return [
        Block(
            "group_attention",
            "mixer",
            "series",
            "nas_group_attention.group_attention:GroupAttention",
            {
                "groups": Choice(32, 2, 4, 8, 16, 64, 128, 256, 512, 1024),
                "head_dim": head_dim,
                "iterations": Choice(2, 1, 3, 5),
                "eps": Choice(2.0, 1.0, 1.25, 1.5, 3.0, 4.0),
                "momentum": Choice(0.5, 0.0, 0.25, 0.75, 0.9, 1.0),
            },
            series_costs.fits_attention,
            params=series_costs.attention_params,
            macs=series_costs.group_attention_macs,
            source=_RITA,
            description="attention to groups of like keys, whose number falls during the training",
        ),
        Block(
            "full_attention",
            "mixer",
            "series",
            "nas_group_attention.series_mixers:FullAttention",
            {"head_dim": head_dim},
            series_costs.fits_attention,
            params=series_costs.attention_params,
            macs=series_costs.attention_macs,
            source="arXiv:1706.03762",
            description="multi-head self-attention over all positions of a series",
        ),
        Block(
            "temporal_conv",
            "mixer",
            "series",
            "nas_group_attention.series_mixers:TemporalConv",
            {"kernel": Choice(7, 3, 5, 9, 15, 31)},
            series_costs.fits_kernel,
            params=series_costs.conv_params,
            macs=series_costs.conv_macs,
            description="a depthwise convolution along the time",
        ),
        *_series_frame(),
    ]


def _series_frame() -> list[Block]:
    """What stands around the mixers of a network for time series."""
    return [
        Block(
            "series_stem",
            "stem",
            "series",
            "nas_group_attention.series:SeriesStem",
            {"kernel": Choice(5, 1, 3, 7, 9, 15), "position": Choice("sine", "learned", "none")},
            series_costs.fits_kernel,
            params=series_costs.stem_params,
            macs=series_costs.stem_macs,
            source=_RITA,
            description="a convolution along the time, and the position added",
        ),
        Block(
            "series_block",
            "block",
            "series",
            "nas_group_attention.series:SeriesBlock",
            {
                "mixer": Choice("full_attention", role="mixer"),
                "ffn": Choice("series_mlp", role="ffn"),
                "layer_scale": Choice(0.0, 1e-6, 1e-5, 0.1, 1.0),
            },
            source="arXiv:1706.03762",
            description="norm, token mixer, residual; norm, feed-forward, residual",
        ),
        Block(
            "series_mlp",
            "ffn",
            "series",
            "nas_group_attention.series:SeriesMlp",
            {"ratio": Choice(4, 0.5, 1, 2, 3), "activation": _activation("gelu")},
            params=series_costs.mlp_params,
            macs=series_costs.mlp_macs,
            source="arXiv:1706.03762",
            description="1x1 expansion, activation, 1x1 projection",
        ),
        Block(
            "series_pool_linear",
            "head",
            "series",
            "nas_group_attention.series:SeriesPoolLinear",
            {"pool": Choice("mean", "max"), "norm": Choice("layer", "none")},
            description="pooling over time and a linear classifier",
        ),
    ]


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return [*_routed(), *_biformer(), *_local(), *_grouped(), *_aggregated(), *_series()]


@hookimpl
def nas_tasks() -> list[Task]:
    """A small data set of another domain."""
    return [
        Task(
            "cbf",
            "nas_group_attention.cbf:load_cbf",
            "cylinder, bell, funnel: 1,200 synthetic series of 128 steps, 3 classes; cbf:900 for 900 of each",
        )
    ]
