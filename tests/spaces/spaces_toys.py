"""Toy blocks and random small spaces for the tests of this room; nothing here is ever built."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature


def _gated_valid(signature, width, stride, **knobs):
    return width % knobs["groups"] == 0 and signature.channels % knobs["groups"] == 0


def _attention_valid(signature, width, stride, **knobs):
    return signature.channels % knobs["head"] == 0 and signature.size[0] <= 8


def _skip_valid(signature, width, stride, **knobs):
    return stride == 1 and width == signature.channels


def _holder_valid(signature, width, stride, **knobs):
    return not (knobs["mixer"].use == "pool" and stride == 2)


def _doubled(signature, width, stride, **knobs):
    grown = signature.after(width, stride)
    return Signature(grown.domain, grown.channels * knobs["factor"], grown.size)


def _narrow_operation(signature, width, stride, **knobs):
    return width <= 8 or knobs["kernel"] == 1


def _toys() -> list[Block]:
    build = "toys:Nothing"
    return [
        Block("stem", "stem", "image", build, {"kernel": Choice(3, 5, 7)}),
        Block("conv", "block", "image", build, {"kernel": Choice(3, 5, 7), "activation": Choice("relu", "gelu")}),
        Block("plain", "block", "image", build),
        Block("expand", "block", "image", build, {"ratio": Choice(1.0, 2.0, 4.0), "se": Choice(False, True)}),
        Block("gated", "block", "image", build, {"groups": Choice(1, 2, 4, 8)}, valid=_gated_valid),
        Block("skip", "block", "image", build, {"kernel": Choice(3, 5)}, valid=_skip_valid),
        Block("double", "block", "image", build, {"factor": Choice(1, 2)}, output=_doubled),
        Block("holder", "block", "image", build, {"mixer": Choice(role="mixer"), "norm": Choice("a", "b")}),
        Block("ruled_holder", "block", "image", build, {"mixer": Choice(role="mixer")}, valid=_holder_valid),
        Block("defaulted", "block", "image", build, {"mixer": Choice("pool", role="mixer")}),
        Block("down_holder", "block", "image", build, {"down": Choice(role="downsample")}),
        Block("pool", "mixer", "image", build, {"kernel": Choice(3, 5)}),
        Block("attention", "mixer", "image", build, {"head": Choice(4, 8, 16)}, valid=_attention_valid),
        Block("strided", "downsample", "image", build, {"kernel": Choice(2, 3)}, valid=lambda s, w, t, **k: t > 1),
        Block("scan", "block", "sequence", build),
        Block("zero", "operation", "image", build),
        Block("identity", "operation", "image", build),
        Block("conv_operation", "operation", "image", build, {"kernel": Choice(1, 3)}),
        Block("wide_operation", "operation", "image", build, {"kernel": Choice(1, 3)}, valid=_narrow_operation),
        Block("average_pool", "operation", "image", build, {"kernel": Choice(3, 5)}),
        Block("head", "head", "image", build, {"hidden": Choice(0, 64, 128)}),
    ]


BLOCKS = {block.name: block for block in _toys()}

HEADER = 'name = "toy"\ninput = { domain = "image", channels = 3, size = [16, 16] }\nclasses = 10\n'
FOOTER = '\n[head]\nuse = "head"\n'


def space_text(stages: str, head: str = FOOTER, header: str = HEADER) -> str:
    """A whole space file around these stages."""
    return f"{header}{stages}{head}"
