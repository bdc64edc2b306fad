"""Space files: what they may say, and what is answered where they are wrong."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spaces_toys import BLOCKS, FOOTER, HEADER, space_text

from nas.blocks.block import Block
from nas.errors import NasError, PluginError, SpaceError, UnknownNameError
from nas.plugins.plugin import Plugin
from nas.plugins.registry import Names
from nas.spaces import Choice, SpaceSource, load_space, parse_space

STAGE = '[[stages]]\nwidth = 8\nblocks = [{ use = "conv" }]\n'


def with_block(line: str) -> str:
    """A file whose only stage has this block table."""
    return space_text(f"[[stages]]\nwidth = 8\nblocks = [{{ {line} }}]\n")


def message(text: str) -> str:
    """What is said about a bad file: one or two short lines that name the file."""
    with pytest.raises(SpaceError) as caught:
        parse_space(text, BLOCKS, "my.toml")
    said = str(caught.value)
    assert said.startswith("my.toml: ")
    assert len(said.splitlines()) <= 2
    assert len(said) < 1500
    return said


BAD = {
    "an empty file": (
        "",
        ["name: is missing", "input: is missing", "stages: is missing", "head: is missing"],
    ),
    "not TOML": ("name = \n", ["not TOML", "line 1"]),
    "a key twice": ('name = "a"\nname = "b"\n', ["not TOML", "line 2"]),
    "an unknown key": (space_text(STAGE + "detph = 2\n"), ["stages.0.detph", "'depth'"]),
    "an unknown top key": (HEADER + 'nmae = "x"\n' + STAGE + FOOTER, ["nmae", "Did you mean 'name'?"]),
    "an unknown cell key": (
        space_text('[[stages]]\ncell = { nodes = 3, operation = [], operations = [{ use = "zero" }] }\n'),
        ["stages.0.cell.operation: unknown key", "'operations'"],
    ),
    "an unknown block": (with_block('use = "cnov"'), ["stages.0.blocks.0.cnov: unknown block", "'conv'"]),
    "an unknown knob": (
        with_block('use = "conv", kernle = 3'),
        ["blocks.0.kernle", "Did you mean 'kernel'?"],
    ),
    "a block of another role": (
        with_block('use = "head"'),
        ["stages.0.blocks.0.use", "role 'head'", "'block'"],
    ),
    "a block without a name": (with_block("kernel = 3"), ["stages.0.blocks.0.use: is missing"]),
    "an impossible knob": (with_block('use = "conv", kernel = 9'), ["kernel: 9 is not possible", "3 to 7"]),
    "a float for a whole number": (with_block('use = "conv", kernel = 3.5'), ["3.5 is not possible"]),
    "text for a number": (with_block('use = "conv", kernel = "3"'), ["'3' is not possible"]),
    "a truth value for a number": (with_block('use = "gated", groups = true'), ["True is not possible"]),
    "a number for a truth value": (
        with_block('use = "expand", se = 1'),
        ["1 is not possible", "False, True"],
    ),
    "not a number": (with_block('use = "expand", ratio = nan'), ["nan is not a finite number"]),
    "infinity": (with_block('use = "expand", ratio = inf'), ["inf is not a finite number"]),
    "a date": (
        with_block('use = "conv", kernel = 2024-01-01'),
        ["kernel", "not text, a truth value or a number"],
    ),
    "a range of many": (
        with_block('use = "conv", kernel = { from = 1, to = 1000000000 }'),
        ["kernel", "from"],
    ),
    "an empty knob": (with_block('use = "conv", kernel = []'), ["kernel: an empty list"]),
    "a value twice": (with_block('use = "conv", kernel = [3, 5, 3]'), ["kernel: 3 stands in the list twice"]),
    "a block twice": (
        space_text('[[stages]]\nwidth = 8\nblocks = [{ use = "conv" }, { use = "conv" }]\n'),
        ["stages.0.blocks.1: the same 'conv' stands in the list twice"],
    ),
    "a missing inner block": (with_block('use = "holder"'), ["mixer: is missing", "role 'mixer'"]),
    "an inner block of another role": (
        with_block('use = "holder", mixer = { use = "conv" }'),
        ["role 'mixer'"],
    ),
    "an inner value": (with_block('use = "holder", mixer = 3'), ["mixer.0", "expected a block", "not 3"]),
    "an inner block twice": (
        with_block('use = "holder", mixer = [{ use = "pool" }, { use = "pool" }]'),
        ["mixer.1: the same 'pool' stands in the list twice"],
    ),
    "an inner unknown knob": (
        with_block('use = "holder", mixer = { use = "pool", kernle = 3 }'),
        ["'kernel'"],
    ),
    "depth 0": (space_text(STAGE + "depth = 0\n"), ["stages.0.depth: must be at least 1, not 0"]),
    "a deep depth": (space_text(STAGE + "depth = 1000000000\n"), ["stages.0.depth: must be at most 256"]),
    "a depth that is true": (
        space_text(STAGE + "depth = true\n"),
        ["depth: expected a whole number, not True"],
    ),
    "a depth in a list": (space_text(STAGE + "depth = [1, 0]\n"), ["stages.0.depth.1: must be at least 1"]),
    "no depth": (space_text(STAGE + "depth = []\n"), ["stages.0.depth: an empty list"]),
    "a depth twice": (space_text(STAGE + "depth = [2, 2]\n"), ["stages.0.depth: 2 stands in the list twice"]),
    "a negative width": (
        space_text('[[stages]]\nwidth = -8\nblocks = [{ use = "conv" }]\n'),
        ["stages.0.width: must be at least 1, not -8"],
    ),
    "no width": (space_text('[[stages]]\nblocks = [{ use = "conv" }]\n'), ["stages.0.width: is missing"]),
    "a float width": (
        space_text('[[stages]]\nwidth = 8.0\nblocks = [{ use = "conv" }]\n'),
        ["stages.0.width: expected a whole number, not 8.0"],
    ),
    "many widths": (
        space_text(f'[[stages]]\nwidth = {list(range(1, 100))}\nblocks = [{{ use = "conv" }}]\n'),
        ["stages.0.width: a list of 99; at most 64"],
    ),
    "stride 0": (space_text(STAGE + "stride = 0\n"), ["stages.0.stride: must be at least 1"]),
    "share as text": (space_text(STAGE + 'share = "yes"\n'), ["stages.0.share: expected true or false"]),
    "neither blocks nor cell": (space_text("[[stages]]\nwidth = 8\n"), ["stages.0: needs one of"]),
    "no stages": (f"{HEADER}stages = []\n{FOOTER}", ["stages: an empty list"]),
    "stages as a table": (f"{HEADER}[stages]\nwidth = 8\n{FOOTER}", ["stages: expected a list"]),
    "a cell with a width": (
        space_text('[[stages]]\nwidth = 8\ncell = { nodes = 3, operations = [{ use = "zero" }] }\n'),
        ["stages.0: a cell keeps width and size"],
    ),
    "a cell of one node": (
        space_text('[[stages]]\ncell = { nodes = 1, operations = [{ use = "zero" }] }\n'),
        ["stages.0.cell.nodes: must be at least 2"],
    ),
    "a cell of blocks": (
        space_text('[[stages]]\ncell = { nodes = 3, operations = [{ use = "conv" }] }\n'),
        ["stages.0.cell.operations.0.use", "role 'operation'"],
    ),
    "an unknown domain": (
        with_block('use = "conv"').replace('"image"', '"imaeg"'),
        ["unknown domain", "'image'"],
    ),
    "nothing fits further on": (
        space_text(
            '[[stages]]\nwidth = [6, 7]\nblocks = [{ use = "plain" }]\n'
            '[[stages]]\nwidth = 8\nblocks = [{ use = "gated", groups = [4, 8] }]\n'
        ),
        ["nothing listed for stages.1 fits there"],
    ),
    "nothing fits where cells meet": (
        space_text(
            '[[stages]]\nwidth = 16\nblocks = [{ use = "plain" }]\n'
            '[[stages]]\ncell = { nodes = 3, operations = [{ use = "wide_operation", kernel = 3 }] }\n'
        ),
        ["nothing listed for stages.1 fits there (image (16, 16, 16))"],
    ),
    "two cells of one group": (
        space_text(
            '[[stages]]\ncell = { nodes = 3, share = "a", operations = [{ use = "zero" }] }\n'
            '[[stages]]\ncell = { nodes = 4, share = "a", operations = [{ use = "zero" }] }\n'
        ),
        ["stages.1.cell: differs from another cell that shares 'a'"],
    ),
    "a name with a folder up": (space_text(STAGE).replace('"toy"', '"../toy"'), ["name: '../toy'"]),
    "a name with a line": (space_text(STAGE).replace('"toy"', '"toy\\n"'), ["name: 'toy\\n'"]),
    "a long name": (space_text(STAGE).replace('"toy"', f'"{"t" * 65}"'), ["name: 'ttt"]),
    "a name that is a number": (space_text(STAGE).replace('"toy"', "3"), ["name: expected text, not 3"]),
    "a size too few": (
        space_text(STAGE).replace("[16, 16]", "[16]"),
        ["input.size: domain 'image' has 2 of them, not 1"],
    ),
    "a size of 0": (space_text(STAGE).replace("[16, 16]", "[16, 0]"), ["input.size.1: must be at least 1"]),
    "no channels": (space_text(STAGE).replace("channels = 3, ", ""), ["input.channels: is missing"]),
    "no classes": (space_text(STAGE).replace("classes = 10", "classes = 0"), ["classes: must be at least 1"]),
    "another domain": (
        space_text(STAGE).replace('"image"', '"sequence"').replace("[16, 16]", "[16]"),
        ["no network"],
    ),
    "a head that is a block": (space_text(STAGE, head='[head]\nuse = "conv"\n'), ["head.use", "role 'head'"]),
    "a stem without width": (space_text(f'[stem]\nuse = "stem"\n{STAGE}'), ["stem.width: is missing"]),
    "too many layers": (
        space_text((STAGE + "depth = 256\n") * 2),
        ["stages.1.depth", "more than 400 layers"],
    ),
    "nothing fits": (
        space_text('[[stages]]\nwidth = 7\nblocks = [{ use = "gated", groups = [2, 4] }]\n'),
        ["space 'toy' holds no network", "nothing listed for stages.0 fits there (image (3, 16, 16))"],
    ),
    "a key of many parts": ("a" + ".a" * 100_000 + " = 1", ["more than 16 parts"]),
    "many brackets": ("x = " + "[" * 100_000, ["nested too deeply"]),
    "a long number": ("classes = " + "9" * 10_000, ["thousands of digits"]),
    "a large text": ("#" * 1_000_001, ["larger than 1,000,000"]),
    "a control character in a key": (
        HEADER + '"a\\u001b[31m" = 1\n' + STAGE + FOOTER,
        ["'a\\x1b[31m': unknown key"],
    ),
    "a name without end": (with_block(f'use = "{"c" * 100_000}"'), ["unknown block"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_with_its_key(case):
    text, expected = BAD[case]
    said = message(text)
    for part in expected:
        assert part in said


def test_all_problems_are_told_at_once_up_to_five():
    said = message(
        space_text(STAGE + "depth = 0\nstride = 0\nshare = 1\nwdith = 2\n").replace("= 10", "= -1")
    )
    assert "5 problems" in said
    for key in ("classes", "stages.0.depth", "stages.0.stride", "stages.0.share", "stages.0.wdith"):
        assert key in said


def test_more_than_five_problems_are_counted():
    knobs = ", ".join(f"k{number} = 1" for number in range(9))
    said = message(with_block(f'use = "conv", {knobs}'))
    assert "9 problems" in said
    assert said.endswith("and 4 more")


def test_problems_of_blocks_are_told_together():
    text = '[[stages]]\nwidth = 8\nblocks = [{ use = "cnov" }, { use = "conv", kernel = 4.5 }]\n'
    said = message(space_text(text, head='[head]\nuse = "haed"\n'))
    for part in ("3 problems", "'conv'", "4.5", "'head'"):
        assert part in said


@pytest.mark.parametrize("change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")])
def test_byte_order_mark_and_windows_lines_are_read(change):
    text = space_text(STAGE + "depth = [1, 2]\n")
    assert parse_space(change(text), BLOCKS).size() == parse_space(text, BLOCKS).size() == 2


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.text(max_size=200))
def test_any_text_is_a_space_or_a_space_error(text):
    with pytest.raises(SpaceError):
        parse_space(text, BLOCKS)


_SCALARS = st.one_of(
    st.integers(-3, 9), st.floats(), st.booleans(), st.sampled_from(["conv", "pool", "", "é\n"])
)
_VALUES = st.recursive(_SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


@settings(
    max_examples=150,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.dictionaries(st.sampled_from(["depth", "width", "stride", "share", "blocks", "cell"]), _VALUES),
    _VALUES,
)
def test_any_values_make_a_space_or_a_nas_error(fields, knob):
    from spaces_toys import _toml

    lines = "".join(f"{key} = {_toml(value)}\n" for key, value in fields.items()).replace("\\n", "")
    lines = lines.replace("é\n", "é")
    if "blocks" not in fields:
        lines += f'blocks = [{{ use = "conv", kernel = {_toml(knob)} }}]\n'.replace("é\n", "é")
    try:
        assert parse_space(space_text(f"[[stages]]\n{lines}"), BLOCKS).size() > 0
    except NasError as error:
        assert len(str(error).splitlines()) <= 2


# Reading from disk


@pytest.fixture
def registry(tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(space_text(STAGE + "depth = [1, 2, 3]\n"), encoding="utf-8")
    plugin = Plugin("toys", "toys", "toys", "1.0")
    sources = [
        (plugin, SpaceSource("toy", path)),
        (plugin, SpaceSource("published/gone", tmp_path / "gone.toml")),
    ]
    blocks = [(plugin, block) for block in BLOCKS.values()]
    return SimpleNamespace(spaces=Names("space", sources), blocks=Names("block", blocks), path=path)


def test_a_space_is_loaded_by_name_and_by_path(registry):
    named, text, path = (load_space(r, registry) for r in ("toy", str(registry.path), registry.path))
    assert named.size() == text.size() == path.size() == 3
    assert named.name == "toy"
    assert named.text == registry.path.read_text(encoding="utf-8")
    assert (named.input.shape, named.classes) == ((3, 16, 16), 10)


def test_an_unknown_name_is_answered_with_the_nearest(registry):
    with pytest.raises(UnknownNameError, match="Did you mean 'toy'"):
        load_space("toyy", registry)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "not UTF-8 text .byte 0."),
        (lambda path: path.write_bytes(b"#" * 1_000_001), "larger than 1,000,000 bytes"),
        (lambda path: os.mkfifo(path), "no such file"),
        (lambda path: path.symlink_to(path), "no such file|cannot be read"),
        (lambda path: path.write_bytes(b"name = 'a'\x00"), "not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(registry, tmp_path, make, expected):
    path = tmp_path / "bad.toml"
    make(path)
    with pytest.raises(SpaceError, match=expected) as caught:
        load_space(path, registry)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_path_no_file_system_has_is_refused(registry):
    with pytest.raises(SpaceError):
        load_space("a\0b.toml", registry)
    with pytest.raises(SpaceError):
        load_space("a" * 5000 + ".toml", registry)


def test_a_registered_file_that_is_gone_is_named(registry):
    with pytest.raises(SpaceError, match=r"gone\.toml: no such file"):
        load_space("published/gone", registry)


# What a file means


def test_knobs_left_out_take_their_defaults_and_all_are_there():
    layer = parse_space(with_block('use = "expand"'), BLOCKS).decode([]).network.layers[0]
    assert layer.block.knobs == (("ratio", 1.0), ("se", False))


def test_a_held_block_may_be_left_to_its_default_or_named_by_text():
    default = parse_space(with_block('use = "defaulted"'), BLOCKS).decode([])
    written = parse_space(with_block('use = "defaulted", mixer = "pool"'), BLOCKS).decode([])
    assert default == written
    assert default.network.layers[0].block.knob_values()["mixer"].knobs == (("kernel", 3),)


@pytest.mark.parametrize(("knob", "one", "other"), [("ratio", "2", "2.0"), ("ratio", "3", "3.0")])
def test_a_number_is_one_value_however_it_is_written(knob, one, other):
    spaces = [parse_space(with_block(f'use = "expand", {knob} = {text}'), BLOCKS) for text in (one, other)]
    assert spaces[0].decode([]).hash == spaces[1].decode([]).hash


def test_a_whole_number_in_a_mixed_knob_is_one_value():
    mixed = {**BLOCKS, "mixed": Block("mixed", "block", "image", "x:y", {"ratio": Choice(6, 1, 1.5)})}
    spaces = [parse_space(with_block(f'use = "mixed", ratio = {text}'), mixed) for text in ("5", "5.0")]
    assert spaces[0].decode([]).hash == spaces[1].decode([]).hash


def test_a_qualified_block_is_the_bare_one(registry):
    bare, qualified = (
        parse_space(with_block(f'use = "{name}"'), registry.blocks) for name in ("conv", "toys/conv")
    )
    assert bare.decode([]).hash == qualified.decode([]).hash


def test_a_block_of_two_plugins_must_be_qualified():
    one, two = Plugin("one", "one", "one", "1"), Plugin("two", "two", "two", "2")
    blocks = Names("block", [*((one, block) for block in BLOCKS.values()), (two, BLOCKS["conv"])])
    with pytest.raises(SpaceError, match="'one/conv' or 'two/conv'"):
        parse_space(with_block('use = "conv"'), blocks)
    space = parse_space(with_block('use = "two/conv"'), blocks)
    assert space.decode([]).network.layers[0].block.use == "two/conv"
    with pytest.raises(PluginError):
        blocks["conv"]


def test_blocks_that_hold_each_other_for_ever_are_refused():
    circle = {
        **BLOCKS,
        "circle": Block("circle", "mixer", "image", "x:y", {"inner": Choice("circle", role="mixer")}),
    }
    with pytest.raises(SpaceError, match="nested more than 8 deep"):
        parse_space(with_block('use = "holder", mixer = { use = "circle" }'), circle)
