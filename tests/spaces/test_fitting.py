"""Signatures along a network, and blocks that fit or do not."""

from __future__ import annotations

import pytest
from spaces_toys import BLOCKS

from nas.blocks.block import Block
from nas.errors import BlockError, SpaceError
from nas.spaces import BlockUse, Edge, Graph, Layer, Network, Signature, element_signatures, output_signature
from nas.spaces.fitting import Span, fit

IMAGE = Signature("image", 4, (16, 16))
PLAIN = BlockUse("plain")


def held(mixer: BlockUse, use: str = "holder") -> BlockUse:
    return BlockUse(use, (("mixer", mixer),))


def test_signatures_follow_widths_strides_and_overrides():
    layers = (
        Layer(PLAIN, 8, 2),
        Graph(2, (Edge(0, 1, Layer(BlockUse("conv_operation", (("kernel", 3),)), 8)),)),
        Layer(BlockUse("double", (("factor", 2),)), 8, 2),
        Layer(BlockUse("head", (("hidden", 0),))),
    )
    network = Network(IMAGE, layers, 10)
    pairs = element_signatures(network, BLOCKS)
    assert [element for element, _ in pairs] == list(layers)
    assert [signature.shape for _, signature in pairs] == [(4, 16, 16), (8, 8, 8), (8, 8, 8), (16, 4, 4)]
    assert output_signature(network, BLOCKS) == Signature("vector", 10, ())
    assert output_signature(Network(IMAGE, layers[:2]), BLOCKS) == Signature("image", 8, (8, 8))
    assert output_signature(Network(IMAGE, ()), BLOCKS) == IMAGE


@pytest.mark.parametrize(
    ("use", "width", "stride", "expected"),
    [
        (PLAIN, 8, 2, Signature("image", 8, (8, 8))),
        (BlockUse("gated", (("groups", 4),)), 8, 1, Signature("image", 8, (16, 16))),
        (BlockUse("gated", (("groups", 8),)), 8, 1, None),
        (BlockUse("double", (("factor", 2),)), 8, 1, Signature("image", 16, (16, 16))),
        (BlockUse("scan"), 8, 1, None),
        (held(BlockUse("attention", (("head", 4),))), 8, 1, None),
        (held(BlockUse("attention", (("head", 4),))), 8, 2, Signature("image", 8, (8, 8))),
        (held(BlockUse("attention", (("head", 8),))), 4, 2, None),
        (held(BlockUse("pool", (("kernel", 3),)), "ruled_holder"), 8, 2, None),
        (BlockUse("down_holder", (("down", BlockUse("strided", (("kernel", 2),))),)), 8, 1, None),
        (
            BlockUse("down_holder", (("down", BlockUse("strided", (("kernel", 2),))),)),
            8,
            2,
            IMAGE.after(8, 2),
        ),
    ],
)
def test_what_fits_and_what_leaves(use, width, stride, expected):
    assert fit(use, IMAGE, width, stride, BLOCKS) == expected


def test_a_span_takes_its_stride_once():
    assert Span(IMAGE, 8, 2, 3).outcome(PLAIN, BLOCKS) == Signature("image", 8, (8, 8))
    skip = BlockUse("skip", (("kernel", 3),))
    assert Span(IMAGE, 4, 1, 5).outcome(skip, BLOCKS) == IMAGE
    assert Span(IMAGE, 8, 1, 2).outcome(skip, BLOCKS) is None


def test_a_span_asks_again_behind_its_first_layer():
    """The first of these changes the channels to some that the second cannot split."""
    gated = BlockUse("gated", (("groups", 4),))
    assert Span(IMAGE, 8, 1, 2).outcome(gated, BLOCKS) is not None
    assert Span(Signature("image", 6, (16, 16)), 8, 1, 2).outcome(gated, BLOCKS) is None


def test_errors_of_a_rule_name_the_block_and_the_place():
    def refuse(*place, **knobs):
        raise SpaceError("mine")

    broken = Block("broken", "block", "image", "x:y", valid=lambda signature, width: True)
    raising = Block("raising", "block", "image", "x:y", valid=refuse)
    with pytest.raises(
        BlockError, match=r"'broken' could not tell whether it fits image \(4, 16, 16\), width 8"
    ):
        fit(BlockUse("broken"), IMAGE, 8, 1, {"broken": broken})
    with pytest.raises(SpaceError, match="mine"):
        fit(BlockUse("raising"), IMAGE, 8, 1, {"raising": raising})
