"""Blocks with all knobs at their defaults, and blocks in the knobs that take one."""

from __future__ import annotations

from nas.blocks import Block
from nas.blocks.defaults import MAX_NESTING, candidates, default_use
from nas.plugins import Names, Plugin
from nas.spaces import Choice
from nas.spaces.architecture import BlockUse


def block(name: str, role: str = "mixer", domain: str = "image", **knobs: Choice) -> Block:
    return Block(name, role, domain, "nowhere:Nothing", knobs)


BLOCKS = {
    item.name: item
    for item in (
        block("plain", kernel=Choice(5, 3, 7), gate=Choice(False, True)),
        block("other"),
        block("along_time", domain="series"),
        block("up", role="ffn"),
        block("holder", role="block", mixer=Choice(role="mixer"), ffn=Choice("up", role="ffn")),
        block("lonely", role="block", neck=Choice(role="neck")),
        block("endless", role="pool", inside=Choice("endless_too", role="pool")),
        block("endless_too", role="pool", inside=Choice("endless", role="pool")),
    )
}


def names(*owned: tuple[str, str]) -> Names[Block]:
    plugins = {owner: Plugin(owner, owner, owner, "1") for _, owner in owned}
    return Names("block", [(plugins[owner], BLOCKS[name]) for name, owner in owned])


def test_every_knob_takes_its_first_value() -> None:
    assert default_use("plain", BLOCKS) == BlockUse("plain", (("gate", False), ("kernel", 5)))
    assert default_use("other", BLOCKS) == BlockUse("other")


def test_a_knob_takes_its_default_block_or_the_first_that_fits() -> None:
    use = default_use("holder", BLOCKS)
    assert use is not None
    knobs = use.knob_values()
    assert knobs["ffn"] == BlockUse("up")
    assert knobs["mixer"] == default_use("plain", BLOCKS)


def test_there_is_none_where_a_knob_cannot_be_filled() -> None:
    assert default_use("lonely", BLOCKS) is None


def test_blocks_that_hold_each_other_come_to_an_end() -> None:
    assert MAX_NESTING < 10
    assert default_use("endless", BLOCKS) is None


def test_candidates_are_of_the_role_and_the_domain() -> None:
    assert candidates("holder", "mixer", BLOCKS) == ["plain", "other"]
    assert candidates("plain", "mixer", BLOCKS) == ["other"]
    assert candidates("holder", "neck", BLOCKS) == []


def test_candidates_of_the_same_plugin_come_alone() -> None:
    blocks = names(("plain", "theirs"), ("holder", "mine"), ("other", "mine"))
    assert candidates("holder", "mixer", blocks) == ["other"]
    alone = names(("plain", "theirs"), ("holder", "mine"))
    assert candidates("holder", "mixer", alone) == ["plain"]


def test_a_name_of_two_plugins_is_no_candidate() -> None:
    blocks = names(("plain", "theirs"), ("plain", "yours"), ("holder", "mine"))
    assert candidates("holder", "mixer", blocks) == []
