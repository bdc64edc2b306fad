"""What a block says about itself before anything is built."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from fractions import Fraction

import pytest

import nas.blocks
from nas.blocks import Block
from nas.spaces.knobs import Choice
from nas.spaces.signature import Signature

MAP = Signature("image", 8, (9, 6))


def test_a_builder_given_by_name_is_imported_when_it_is_asked_for() -> None:
    assert Block("f", "mixer", "image", "fractions:Fraction").builder() is Fraction
    assert Block("f", "mixer", "image", Fraction).builder() is Fraction


def test_without_a_rule_everything_fits() -> None:
    assert Block("f", "mixer", "image", Fraction).accepts(MAP, 3, 5, {"anything": 1})


def test_the_rule_sees_signature_width_stride_and_knobs() -> None:
    seen = []

    def valid(signature: Signature, width: int | None, stride: int, **knobs: int) -> int:
        seen.append((signature, width, stride, knobs))
        return knobs["order"]

    block = Block("f", "block", "image", Fraction, {"order": Choice(0, 1)}, valid)
    assert block.accepts(MAP, 16, 2, {"order": 1}) is True
    assert block.accepts(MAP, 16, 2, {"order": 0}) is False
    assert seen[0] == (MAP, 16, 2, {"order": 1})


@pytest.mark.parametrize(
    ("width", "stride", "expected"),
    [(None, 1, (8, (9, 6))), (16, 2, (16, (5, 3))), (None, 4, (8, (3, 2))), (4, 10, (4, (1, 1)))],
)
def test_sizes_round_up_where_the_block_has_no_rule(
    width: int | None, stride: int, expected: tuple[int, tuple[int, int]]
) -> None:
    output = Block("f", "block", "image", Fraction).output_signature(MAP, width, stride, {})
    assert (output.channels, output.size) == expected


def test_a_block_may_say_itself_what_leaves_it() -> None:
    block = Block(
        "f", "block", "image", Fraction, output=lambda s, w, stride, *, side: Signature("image", side, (1, 1))
    )
    assert block.output_signature(MAP, None, 1, {"side": 5}) == Signature("image", 5, (1, 1))


def test_the_public_names_of_the_room() -> None:
    assert all(getattr(nas.blocks, name) is not None for name in nas.blocks.__all__)
    assert len(set(nas.blocks.__all__)) == len(nas.blocks.__all__) >= 10
    importlib.import_module("nas.blocks.fusion")
    assert inspect.isfunction(nas.blocks.fuse)  # no submodule may hide a function
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nas.blocks.nothing  # noqa: B018


def test_listing_blocks_needs_no_torch() -> None:
    code = "import nas.blocks, sys; nas.blocks.Block; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
