"""What a space file becomes: decisions, slots, cells, and the rules of blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from spaces_toys import BLOCKS, STEM, TWO_LAYERS, cell, space_of, space_text, stage

from nas.blocks.block import Block
from nas.errors import BlockError, SpaceError
from nas.spaces import Choice, Graph, Signature, Space, parse_space
from nas.spaces import options as options_module

rng = np.random.default_rng


def names(space: Space) -> list[str]:
    return [decision.name for decision in space.decisions]


class TestDecisions:
    def test_every_layer_decides_for_itself(self):
        space = space_of(TWO_LAYERS)
        assert names(space) == [
            "stages.0.width",
            "stages.0.depth",
            "stages.0.layers.0.block",
            "stages.0.layers.0.kernel",
            "stages.0.layers.0.mixer",
            "stages.0.layers.1.block",
            "stages.0.layers.1.kernel",
            "stages.0.layers.1.mixer",
        ]
        assert space.decisions[0].options == (8, 16)
        assert space.decisions[2].options == ("conv", "holder")
        assert space.decisions[4].options == ("pool", "attention")
        # A layer is 2 kernels or 2 mixers (4 heads fit 8 and 16 channels), at 2 widths, once or twice.
        assert space.size() == 2 * (4 + 4 * 4)

    def test_layers_that_share_decide_once(self):
        space = space_of(TWO_LAYERS.replace("stride", "share = true\nstride"))
        assert names(space)[2:] == [f"stages.0.layer.{name}" for name in ("block", "kernel", "mixer")]
        assert space.size() == 2 * 2 * 4
        for vector in space.enumerate():
            layers = space.decode(vector).network.layers[:-1]
            assert len({layer.block for layer in layers}) == 1
            assert [layer.stride for layer in layers] == [2, 1][: len(layers)]

    def test_stem_and_head_are_single_layers(self):
        text = space_text(STEM.replace("= 8", "= [4, 8]\nkernel = [3, 5]") + stage('{ use = "plain" }'))
        space = parse_space(text.replace('use = "head"', 'use = "head"\nhidden = [0, 64]'), BLOCKS)
        assert names(space) == ["stem.width", "stem.kernel", "head.hidden"]
        assert [slot.name for slot in space.slots] == ["stem", "stages.0.layers.0", "head"]
        assert [slot.columns for slot in space.slots] == [(0, 1), (0,), (2,)]

    def test_alternatives_have_equal_knobs_in_common(self):
        space = space_of(
            stage(
                '{ use = "conv", kernel = [3, 5] }, { use = "skip", kernel = [3, 5] },'
                ' { use = "gated", groups = [1, 2] }'
            )
            + stage('{ use = "conv", kernel = [3, 5] }, { use = "skip", kernel = [5, 3] }')
        )
        assert names(space)[:3] == [f"stages.0.layers.0.{name}" for name in ("block", "kernel", "groups")]
        assert names(space)[3:] == [
            f"stages.1.layers.0.{name}" for name in ("block", "kernel", "skip.kernel")
        ]

    def test_a_held_block_never_takes_the_column_of_its_holder(self):
        deep = Block(
            "deep",
            "block",
            "image",
            "x:y",
            {"kernel": Choice(3, 5), "block": Choice("a", "b"), "mixer": Choice(role="mixer")},
        )
        space = space_of(
            stage(
                '{ use = "plain" }, { use = "deep", kernel = [3, 5], block = ["a", "b"],'
                ' mixer = [{ use = "pool", kernel = [3, 5] }, { use = "attention" }] }',
                stride="2",
            ),
            deep=deep,
        )
        assert [n.removeprefix("stages.0.layers.0.") for n in names(space)] == [
            "block", "deep.block", "kernel", "mixer", "mixer.kernel",
        ]  # fmt: skip
        assert space.size() == 1 + 2 * 2 * (2 + 1)

    def test_one_block_twice_is_told_apart_by_what_differs(self):
        space = space_of(
            '[[stages]]\nwidth = 8\nblocks = [{ use = "conv", kernel = 3 }, { use = "conv", kernel = 5 },'
            ' { use = "conv", kernel = [3, 7], activation = "gelu" }]\n'
        )
        assert space.decisions[0].options == (
            "conv(activation=relu,kernel=3)",
            "conv(activation=relu,kernel=5)",
            "conv(activation=gelu)",
        )
        assert space.size() == 4

    def test_what_is_told_apart_by_nothing_is_numbered(self):
        space = space_of(stage('{ use = "conv", kernel = [3, 5] }, { use = "conv", kernel = [5, 7] }'))
        assert space.decisions[0].options == ("conv", "conv#2")
        assert space.size() == 4
        assert len({space.decode(v).hash for v in space.enumerate()}) == 3

    def test_a_published_network_decides_nothing(self):
        space = space_of(
            '[[stages]]\nwidth = 8\ndepth = 3\nstride = 2\nblocks = { use = "conv", kernel = 5 }\n'
        )
        assert (space.size(), space.decisions, space.sample_vectors(3, rng(0)).shape) == (1, (), (3, 0))
        architecture = space.sample(rng(0))
        assert architecture.values() == {}
        assert space.encode(architecture).shape == (0,)
        assert space.neighbours(architecture) == []
        assert space.crossover(architecture, architecture, rng(0)) == architecture
        with pytest.raises(SpaceError, match="no other network"):
            space.mutate(architecture, rng(0))


class TestSlots:
    def test_a_slot_depends_on_width_depth_and_the_width_in_front(self):
        space = space_of(TWO_LAYERS + TWO_LAYERS.replace("[1, 2]", "[2, 1]"))
        columns = {slot.name: {names(space)[c] for c in slot.columns} for slot in space.slots}
        own = {"stages.1.layers.0.block", "stages.1.layers.0.kernel", "stages.1.layers.0.mixer"}
        assert columns["stages.1.layers.0"] == own | {"stages.0.width", "stages.1.width"}
        assert "stages.0.width" not in columns["stages.1.layers.1"]
        assert {"stages.1.width", "stages.1.depth"} <= columns["stages.1.layers.1"]
        assert columns["head"] == {"stages.1.width"}

    def test_layers_beyond_the_depth_are_none(self):
        space = space_of(TWO_LAYERS)
        for vector in space.enumerate():
            first, second, head = space.instances(vector)
            assert (second is None) == (space.decode(vector).values()["stages.0.depth"] == 1)
            assert first.signature == Signature("image", 3, (16, 16))
            assert head.signature.size == (8, 8)
            assert head.signature.channels == first.element.width

    def test_instances_of_what_does_not_fit_are_refused(self):
        space = space_of(
            stage('{ use = "holder", mixer = [{ use = "attention" }, { use = "pool" }] }', width="[8, 9]")
        )
        with pytest.raises(SpaceError, match="does not fit"):
            space.instances([1, 0])
        assert space.instances([1, 1])[0].element.width == 9


CELLS = """
[stem]
use = "stem"
width = [8, 16]
[[stages]]
depth = [1, 2]
cell = { nodes = 3, share = "one", operations = [
  { use = "zero" },
  { use = "wide_operation", kernel = [1, 3] },
] }
[[stages]]
width = [8, 16]
stride = 2
blocks = [{ use = "plain" }]
[[stages]]
cell = { nodes = 3, share = "one", operations = [
  { use = "zero" },
  { use = "wide_operation", kernel = [1, 3] },
] }
"""


class TestCells:
    def test_cells_of_a_group_are_one_cell_that_must_fit_everywhere(self):
        space = space_of(CELLS)
        # Kernel 3 fits 8 channels only: 3 operations on 3 edges at 8 and 8, else 2; twice for the depth.
        assert space.size() == 2 * (3**3 + 3 * 2**3)
        brute = [
            v
            for v in itertools.product(*(range(len(d.options)) for d in space.decisions))
            if space.is_valid(v) and tuple(space.canonical(v)) == v
        ]
        assert len(brute) == space.size()
        assert {tuple(v) for v in space.sample_vectors(4000, rng(0)).tolist()} == set(brute)

    def test_cells_of_different_groups_differ(self):
        space = space_of(CELLS.replace('share = "one", ', ""))
        assert {name.split(".")[1] for name in names(space) if name.startswith("cells.")} == {"stages"}
        assert space.size() == sum(
            2 * (3 if one == 8 else 2) ** 3 * (3 if two == 8 else 2) ** 3
            for one in (8, 16)
            for two in (8, 16)
        )

    def test_a_cell_stands_in_its_simplest_form(self):
        space = space_of(STEM + cell('{ use = "zero" }, { use = "identity" }, { use = "conv_operation" }'))
        assert space.size() == 27
        found = {space.decode(v).hash: space.decode(v).network.layers[1] for v in space.enumerate()}
        # zero, x, 2x, c(x), c(x)+x, c(x)+c(x), c(c(x)), c(c(x))+x, c(c(x))+c(x)
        assert len(found) == 9
        assert {(g.nodes, len(g.edges)) for g in found.values()} == {(2, 0), (2, 1), (2, 2), (3, 2), (3, 3)}
        assert all(isinstance(g, Graph) and g.slot == "stages.0.layers.0" for g in found.values())

    def test_an_operation_that_changes_the_signature_never_fits(self):
        wider = Block("wider", "operation", "image", "x:y", output=lambda s, w, t, **k: s.after(2 * w, t))
        space = space_of(
            STEM + cell('{ use = "wider" }, { use = "zero" }', nodes=2),
            wider=wider,
        )
        assert space.size() == 1
        assert space.sample(rng(0)).values() == {"cells.stages.0.0-1.operation": "zero"}

    def test_too_many_operations_are_refused(self):
        knobs = {f"k{n}": Choice(*range(10)) for n in range(4)}
        many = Block("many", "operation", "image", "x:y", knobs)
        lists = ", ".join(f"k{n} = {list(range(10))}" for n in range(4))
        with pytest.raises(SpaceError, match=r"stages\.0\.cell: 10,000 operations"):
            space_of(
                f'[[stages]]\ncell = {{ nodes = 2, operations = [{{ use = "many", {lists} }}] }}\n', many=many
            )


class TestRules:
    def test_a_rule_of_a_block_is_asked_with_all_its_knobs_and_its_place(self):
        asked = set()

        def valid(signature, width, stride, **knobs):
            asked.add((signature.channels, signature.size, width, stride, *sorted(knobs)))
            return True

        asking = Block("asking", "block", "image", "x:y", {"a": Choice(1, 2), "b": Choice(3)}, valid=valid)
        space_of(
            '[[stages]]\ndepth = 2\nwidth = 8\nstride = 2\nblocks = [{ use = "asking", a = [1, 2] }]\n',
            asking=asking,
        )
        assert asked == {(3, (16, 16), 8, 2, "a", "b"), (8, (8, 8), 8, 1, "a", "b")}

    def test_a_held_block_is_asked_behind_the_change_of_width_and_size(self):
        asked = set()
        mixer = Block(
            "asking",
            "mixer",
            "image",
            "x:y",
            valid=lambda s, w, t, **k: bool(asked.add((s.shape, w, t))) or True,
        )
        space_of(
            '[[stages]]\nwidth = 8\nstride = 2\nblocks = [{ use = "holder", mixer = { use = "asking" } }]\n',
            asking=mixer,
        )
        assert asked == {((8, 8, 8), 8, 1)}

    def test_a_rule_that_raises_is_the_fault_of_the_block(self):
        broken = Block("broken", "block", "image", "x:y", valid=lambda *place, **knobs: 1 // 0)
        with pytest.raises(BlockError, match=r"'broken' could not tell.*ZeroDivisionError"):
            space_of('[[stages]]\nwidth = 8\nblocks = [{ use = "broken" }]\n', broken=broken)

    def test_more_combinations_than_can_be_checked_are_refused(self, monkeypatch):
        monkeypatch.setattr(options_module, "MAX_COMBINATIONS", 3)
        with pytest.raises(SpaceError, match=r"stages\.0: block 'gated' has 4 combinations.*List fewer"):
            space_of('[[stages]]\nwidth = 8\nblocks = [{ use = "gated", groups = [1, 2, 4, 8] }]\n')
        assert (
            space_of(stage('{ use = "conv", kernel = [3, 5, 7], activation = ["relu", "gelu"] }')).size() == 6
        )

    def test_huge_spaces_without_rules_are_counted_exactly(self):
        knobs = {f"k{n}": Choice(*range(10)) for n in range(12)}
        lists = ", ".join(f"k{n} = {list(range(10))}" for n in range(12))
        huge = Block("huge", "block", "image", "x:y", knobs)
        space = space_of(
            f'[[stages]]\ndepth = [1, 2, 3]\nwidth = 8\nblocks = [{{ use = "huge", {lists} }}]\n', huge=huge
        )
        assert space.size() == 10**12 + 10**24 + 10**36
        assert len({tuple(v) for v in space.sample_vectors(50, rng(0)).tolist()}) == 50

    def test_an_early_choice_that_leads_nowhere_is_never_drawn(self):
        space = space_of(
            '[[stages]]\nwidth = [6, 8, 12]\nblocks = [{ use = "plain" }]\n'
            '[[stages]]\nwidth = [8, 9]\nblocks = [{ use = "gated", groups = 4 }]\n'
        )
        assert space.size() == 2
        widths = {space.decode(v).values()["stages.0.width"] for v in space.sample_vectors(50, rng(0))}
        assert widths == {8, 12}

    def test_remembered_instances_may_be_forgotten(self, monkeypatch):
        monkeypatch.setattr("nas.spaces.model.MAX_REMEMBERED", 2)
        space = space_of(TWO_LAYERS)
        once = [space.decode(v).hash for v in space.enumerate()]
        assert [space.decode(v).hash for v in space.enumerate()] == once
