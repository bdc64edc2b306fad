"""Sparse operators for images: what each block is, without importing torch."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.costs.operator_rule import OperatorRule
from nas.plugins.hookspecs import hookimpl
from nas.spaces.knobs import Choice
from nas_base import ACTIVATIONS
from nas_sparse_ops import costs
from nas_sparse_ops.rules import RULES

_FAST_SPARSE = "arXiv:1911.09723"


def _activation(default: str) -> Choice:
    """The knob of an activation, its default first."""
    return Choice(default, *(name for name in ACTIVATIONS if name != default))


def _sparsity() -> Choice:
    return Choice(0.9, 0.0, 0.7, 0.8, 0.95)


def _blocks() -> Choice:
    return Choice(1, 2, 4)


def _sparse_pointwise() -> Block:
    return Block(
        "sparse_pointwise",
        "block",
        "image",
        "nas_sparse_ops.pointwise:SparsePointwise",
        {"sparsity": _sparsity(), "block": _blocks(), "activation": _activation("relu")},
        costs.fits_pointwise,
        params=costs.pointwise_params,
        macs=costs.pointwise_macs,
        source=_FAST_SPARSE,
        description="a 1x1 convolution with pruned weights, deployed as a sparse product",
    )


def _sparse_separable_conv() -> Block:
    return Block(
        "sparse_separable_conv",
        "block",
        "image",
        "nas_sparse_ops.inverted_residual:SparseSeparableConv",
        {
            "kernel": Choice(3, 5, 7),
            "sparsity": _sparsity(),
            "block": _blocks(),
            "activation": _activation("relu"),
        },
        costs.fits_separable,
        params=costs.separable_params,
        macs=costs.separable_macs,
        source=_FAST_SPARSE,
        description="depthwise convolution and a pruned 1x1 convolution, as in sparse MobileNetV1",
    )


def _sparse_inverted_residual() -> Block:
    return Block(
        "sparse_inverted_residual",
        "block",
        "image",
        "nas_sparse_ops.inverted_residual:SparseInvertedResidual",
        {
            "kernel": Choice(3, 5, 7),
            "expansion": Choice(6, 1, 2, 3, 4),
            "se": Choice(0.0, 0.0625, 0.125, 0.25, 0.5, 1.0),
            "sparsity": _sparsity(),
            "block": _blocks(),
            "activation": _activation("relu6"),
        },
        costs.fits_inverted_residual,
        params=costs.inverted_residual_params,
        macs=costs.inverted_residual_macs,
        source=_FAST_SPARSE,
        description="an inverted residual whose 1x1 convolutions are pruned, as in sparse MobileNetV2",
    )


def _nm_pointwise() -> Block:
    return Block(
        "nm_pointwise",
        "block",
        "image",
        "nas_sparse_ops.pointwise:NmPointwiseBlock",
        {
            "n": Choice(2, 1),
            "m": Choice(4, 2, 8, 10, 16),
            "g": Choice(0, 2, 4, 8, 16),
            "activation": _activation("relu"),
        },
        costs.fits_nm,
        params=costs.nm_params,
        macs=costs.nm_macs,
        source="arXiv:2304.07613",
        description="a 1x1 convolution that keeps n of every m weights, deployed packed",
    )


def _masked_conv() -> Block:
    return Block(
        "masked_conv",
        "block",
        "image",
        "nas_sparse_ops.masked_conv:MaskedConv",
        {"kernel": Choice(3, 1, 5, 7), "activation": _activation("relu")},
        costs.fits_masked_conv,
        params=costs.masked_conv_params,
        macs=costs.masked_conv_macs,
        source="arXiv:2301.03580",
        description="a submanifold convolution: positions that are exactly zero stay empty",
    )


def _randomly_pruned() -> Block:
    return Block(
        "randomly_pruned",
        "block",
        "image",
        "nas_sparse_ops.random_pruning:RandomlyPrunedBlock",
        {
            "body": Choice(role="block"),
            "density": Choice(0.5, 0.05, 0.1, 0.2, 0.3),
            "rule": Choice("erk", "er", "uniform", "uniform_plus"),
        },
        source="arXiv:2202.02643",
        description="any block with its weights pruned at random before training, the baseline of pruning",
    )


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return [
        _sparse_pointwise(),
        _sparse_separable_conv(),
        _sparse_inverted_residual(),
        _nm_pointwise(),
        _masked_conv(),
        _randomly_pruned(),
    ]


@hookimpl
def nas_operator_rules() -> list[OperatorRule]:
    """What the products that these blocks run take."""
    return RULES
