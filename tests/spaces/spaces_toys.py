"""Toy blocks and random small spaces for the tests of this room; nothing here is ever built."""

from __future__ import annotations

import math

from hypothesis import assume
from hypothesis import strategies as st

from nas.blocks.block import Block
from nas.errors import SpaceError
from nas.spaces import Choice, Signature, Space, parse_space


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
        Block(
            "conv", "block", "image", build, {"kernel": Choice(3, 5, 7), "activation": Choice("relu", "gelu")}
        ),
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
        Block(
            "strided",
            "downsample",
            "image",
            build,
            {"kernel": Choice(2, 3)},
            valid=lambda s, w, t, **k: t > 1,
        ),
        Block("scan", "block", "sequence", build),
        Block("zero", "operation", "image", build),
        Block("identity", "operation", "image", build),
        Block("conv_operation", "operation", "image", build, {"kernel": Choice(1, 3)}),
        Block(
            "wide_operation", "operation", "image", build, {"kernel": Choice(1, 3)}, valid=_narrow_operation
        ),
        Block("average_pool", "operation", "image", build, {"kernel": Choice(3, 5)}),
        Block("head", "head", "image", build, {"hidden": Choice(0, 64, 128)}),
    ]


BLOCKS = {block.name: block for block in _toys()}

HEADER = 'name = "toy"\ninput = { domain = "image", channels = 3, size = [16, 16] }\nclasses = 10\n'
FOOTER = '\n[head]\nuse = "head"\n'


def space_text(stages: str, head: str = FOOTER, header: str = HEADER) -> str:
    """A whole space file around these stages."""
    return f"{header}{stages}{head}"


STEM = '[stem]\nuse = "stem"\nwidth = 8\n'


def stage(blocks: str, width: str = "8", **fields: str) -> str:
    """One stage of a file; `blocks` is the inside of the list."""
    lines = "".join(f"{key} = {value}\n" for key, value in fields.items())
    return f"[[stages]]\nwidth = {width}\n{lines}blocks = [{blocks}]\n"


def cell(operations: str, nodes: int = 3) -> str:
    """One stage that is a cell; `operations` is the inside of the list."""
    return f"[[stages]]\ncell = {{ nodes = {nodes}, operations = [{operations}] }}\n"


def space_of(stages: str, **changes: Block) -> Space:
    """The space of these stages, with the toy blocks and perhaps some more."""
    return parse_space(space_text(stages), {**BLOCKS, **changes})


TWO_LAYERS = """
[[stages]]
depth = [1, 2]
width = [8, 16]
stride = 2
blocks = [
  { use = "conv", kernel = [3, 5] },
  { use = "holder", mixer = [{ use = "pool" }, { use = "attention" }] },
]
"""


# Random small spaces, as TOML text.


def _toml(value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return repr(value)


def subset(*values, most=2):
    """A non-empty list of a few of the values, in their order."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True).map(
        lambda chosen: [value for value in values if value in chosen]
    )


def _block(use, **knobs):
    return st.fixed_dictionaries({"use": st.just(use)}, optional=knobs)


_MIXERS = st.lists(
    st.one_of(_block("pool", kernel=subset(3, 5)), _block("attention", head=subset(4, 8, 16))),
    min_size=1,
    max_size=2,
    unique_by=lambda table: table["use"],
)
_STAGE_BLOCKS = st.one_of(
    st.just({"use": "plain"}),
    _block("conv", kernel=subset(3, 5, 7), activation=subset("relu", "gelu")),
    _block("expand", ratio=subset(1.0, 2.0), se=subset(False, True)),
    _block("gated", groups=subset(1, 2, 4, 8)),
    _block("skip", kernel=subset(3, 5)),
    _block("double", factor=subset(1, 2)),
    st.fixed_dictionaries({"use": st.just("holder"), "mixer": _MIXERS}, optional={"norm": subset("a", "b")}),
    st.fixed_dictionaries({"use": st.just("ruled_holder"), "mixer": _MIXERS}),
    st.just({"use": "defaulted"}),
    st.fixed_dictionaries({"use": st.just("down_holder"), "down": st.just([{"use": "strided"}])}),
)
_OPERATIONS = st.lists(
    st.sampled_from(
        [
            {"use": "zero"},
            {"use": "identity"},
            {"use": "conv_operation", "kernel": [1, 3]},
            {"use": "wide_operation", "kernel": [1, 3]},
            {"use": "wide_operation", "kernel": 3},
        ]
    ),
    min_size=1,
    max_size=2,
    unique_by=repr,
)


def _stages():
    return st.fixed_dictionaries(
        {
            "depth": subset(1, 2, 3),
            "width": subset(4, 6, 8, 16),
            "stride": st.sampled_from([1, 2]),
            "share": st.booleans(),
            "blocks": st.lists(_STAGE_BLOCKS, min_size=1, max_size=2, unique_by=lambda table: table["use"]),
        }
    )


@st.composite
def space_texts(draw):
    """A space file of one to three parts, some of them cells that share their choices."""
    operations = draw(_OPERATIONS)
    lines = []
    if draw(st.booleans()):
        width = draw(subset(4, 6, 8))
        lines.append(
            f'[stem]\nuse = "stem"\nwidth = {_toml(width)}\nstride = {draw(st.sampled_from([1, 2]))}\n'
        )
    for _ in range(draw(st.integers(1, 3))):
        if lines and draw(st.integers(0, 3)) == 0:
            cell = {"nodes": draw(st.sampled_from([2, 3])), "operations": operations}
            if draw(st.booleans()):
                cell = {"nodes": 3, "operations": operations, "share": "one"}
            stage = {"depth": draw(subset(1, 2)), "cell": cell}
        else:
            stage = draw(_stages())
        lines.append("[[stages]]\n" + "".join(f"{key} = {_toml(item)}\n" for key, item in stage.items()))
    return space_text("\n".join(lines), head='\n[head]\nuse = "head"\nhidden = [0, 64]\n')


def product_size(space) -> int:
    """The number of all vectors, valid or not."""
    return math.prod(len(decision.options) for decision in space.decisions)


@st.composite
def spaces(draw, most=10**9):
    """A random space that holds at least one network and at most `most` vectors."""
    try:
        space = parse_space(draw(space_texts()), BLOCKS)
    except SpaceError as error:
        assert "holds no network" in str(error)
        assume(False)
    assume(product_size(space) <= most)
    return space
