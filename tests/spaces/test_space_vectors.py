"""Vectors and architectures: encoding, flat spaces, hashes, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from spaces_toys import BLOCKS, STEM, TWO_LAYERS, cell, space_of, space_text, stage

from nas.blocks.block import Block
from nas.errors import SpaceError
from nas.spaces import Architecture, Signature, Space, parse_space
from nas.spaces.tree import BlockNode, Chain, Fixed, OneOf, Repeat

rng = np.random.default_rng


def names(space: Space) -> list[str]:
    return [decision.name for decision in space.decisions]


class TestVectors:
    @pytest.mark.parametrize(
        "bad",
        [[0], [0] * 9, [0] * 7 + [2], [-1] + [0] * 7, [0.0] * 8, "abcdefgh", [[0] * 8], [None] * 8, [[0], 1]],
    )
    def test_what_is_no_vector_of_the_space_is_refused(self, bad):
        space = space_of(TWO_LAYERS)
        assert not space.is_valid(bad)
        for method in (space.decode, space.canonical, space.instances, space.active):
            with pytest.raises(SpaceError, match="expected 8 integers"):
                method(bad)

    def test_lists_and_any_integers_are_vectors(self):
        space = space_of(TWO_LAYERS)
        vectors = [[1] * 8, (1,) * 8, np.ones(8, dtype=np.uint8), np.ones(8, dtype=np.int32)]
        assert len({space.decode(vector).hash for vector in vectors}) == 1
        assert space.canonical([0, 0, 0, 1, 1, 1, 1, 1]).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]

    def test_samples_repeat_with_the_seed(self):
        space = space_of(TWO_LAYERS)
        assert np.array_equal(space.sample_vectors(9, rng(3)), space.sample_vectors(9, rng(3)))
        assert space.sample(rng(3)) == space.sample(rng(3))
        vectors = space.sample_vectors(9, rng(3))
        assert (vectors.dtype, vectors.shape) == (np.int64, (9, 8))
        assert space.sample_vectors(0, rng(3)).shape == (0, 8)

    def test_every_decision_is_drawn_about_evenly(self):
        vectors = space_of(TWO_LAYERS).sample_vectors(4000, rng(0))
        for column in (0, 1, 2):
            assert 1800 < vectors[:, column].sum() < 2200


class TestEncode:
    def test_the_choices_of_another_space_are_refused(self):
        space, other = space_of(TWO_LAYERS), space_of(TWO_LAYERS.replace("[8, 16]", "[8, 24]"))
        wide = other.decode([1, 0, 0, 0, 0, 0, 0, 0])
        with pytest.raises(SpaceError, match=r"stages\.0\.width has the options 8, 16; 24 is none"):
            space.encode(wide)

    def test_another_network_under_the_same_choices_is_refused(self):
        space, other = space_of(TWO_LAYERS), space_of(TWO_LAYERS.replace("stride = 2", "stride = 1"))
        with pytest.raises(SpaceError, match="the space has changed"):
            space.encode(other.sample(rng(0)))
        with pytest.raises(SpaceError, match="the space has changed"):
            space.encode(Architecture(None, space.sample(rng(0)).choices))

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (
                lambda c: c | {"stages.0.widht": 8},
                "no decision 'stages.0.widht'. Did you mean 'stages.0.width'",
            ),
            (lambda c: c | {"stages.0.width": True}, "True is none"),
            (lambda c: c | {"stages.0.width": "8"}, "'8' is none"),
            (lambda c: c | {"stages.0.layers.1.kernel": 3}, "stages.0.layers.1.kernel does not matter"),
            (lambda c: {k: v for k, v in c.items() if k != "stages.0.layers.0.kernel"}, "kernel is missing"),
        ],
    )
    def test_choices_that_cannot_be_are_refused(self, change, expected):
        space = space_of(TWO_LAYERS)
        architecture = space.decode([0] * 8)
        bad = Architecture(architecture.network, tuple(change(architecture.values()).items()))
        with pytest.raises(SpaceError) as caught:
            space.encode(bad)
        assert expected in str(caught.value)

    def test_choices_may_come_in_any_order(self):
        space = space_of(TWO_LAYERS)
        architecture = space.sample(rng(5))
        turned = Architecture(architecture.network, architecture.choices[::-1])
        assert np.array_equal(space.encode(turned), space.encode(architecture))


class TestFlat:
    SPACE = Space.flat(
        {"lr": [0.1, 0.01], "batch": [16, 32, 64], "name": ["sgd", "adam"], "nesterov": [False, True]}
    )

    def test_every_combination_is_valid(self):
        space = self.SPACE
        assert space.size() == 24 == len({tuple(v) for v in space.enumerate()})
        assert (space.input, space.classes, space.slots, space.name) == (None, 0, (), "flat")
        for vector in space.enumerate():
            architecture = space.decode(vector)
            assert architecture.network is None
            assert np.array_equal(space.encode(architecture), vector)
            assert space.instances(vector) == ()
        assert len({space.decode(v).hash for v in space.enumerate()}) == 24

    def test_steps_work_without_a_network(self):
        one, other = (self.SPACE.decode(v) for v in ([0, 0, 0, 0], [1, 2, 1, 1]))
        assert len(self.SPACE.neighbours(one)) == 1 + 2 + 1 + 1
        assert self.SPACE.mutate(one, rng(0)) != one
        assert self.SPACE.crossover(one, other, rng(0)).values().keys() == one.values().keys()
        assert len({tuple(v) for v in self.SPACE.sample_vectors(500, rng(0)).tolist()}) == 24

    @pytest.mark.parametrize(
        ("decisions", "expected"),
        [
            ({"lr": []}, "decision 'lr': an empty list"),
            ({"lr": [0.1, 0.1]}, "0.1 stands in the list twice"),
            ({"lr": [1, 1.0]}, "1.0 stands in the list twice"),
            ({"lr": "ab"}, "expected a list of values, not 'ab'"),
            ({"lr": 3}, "expected a list of values, not 3"),
            ({"lr": [[1]]}, r"\[1\] is not text"),
            ({"lr": [None]}, "None is not text"),
            ({"lr": [float("nan")]}, "nan is not a finite number"),
            ({"lr": range(10**9)}, "1,000,000,000 values; at most 10,000"),
            ({"": [1]}, "needs a name"),
            ({3: [1]}, "needs a name that is text, not 3"),
        ],
    )
    def test_bad_decisions_are_refused(self, decisions, expected):
        with pytest.raises(SpaceError, match=expected):
            Space.flat(decisions)

    def test_true_is_not_one(self):
        space = Space.flat({"a": [True, 1, 0]})
        assert [space.encode(space.decode([i]))[0] for i in range(3)] == [0, 1, 2]

    def test_arrays_and_ranges_are_lists(self):
        space = Space.flat({"a": range(3), "b": np.linspace(0, 1, 5)}, name="mine")
        assert space.size() == 15
        assert json.loads(space.decode([2, 4]).to_json())["choices"] == {"a": 2, "b": 1.0}
        assert repr(space) == "Space('mine', 2 decisions)"

    def test_a_flat_space_of_nothing_has_one_point(self):
        assert Space.flat({}).size() == 1
        assert Space.flat({}).sample(rng(0)).values() == {}


class TestTree:
    def test_a_space_can_be_made_in_python(self):
        conv = BLOCKS["conv"]
        nodes = [
            BlockNode("conv", conv, (("activation", Fixed("relu")), ("kernel", OneOf((3, 5))))),
            BlockNode("plain", BLOCKS["plain"]),
        ]
        tree = Chain(
            Signature("image", 3, (16, 16)),
            (
                Repeat("body", OneOf(tuple(nodes)), depth=(1, 2), width=(8,), stride=2),
                Repeat("head", Fixed(BlockNode("head", BLOCKS["head"], (("hidden", Fixed(0)),)))),
            ),
            classes=7,
        )
        space = Space.of_tree(tree, BLOCKS, name="mine", description="in Python")
        assert space.size() == 3 + 9
        assert (space.classes, space.description, space.text) == (7, "in Python", "")
        assert space.sample(rng(0)).network.classes == 7


class TestHash:
    def test_the_same_network_in_two_spaces_is_one_architecture(self):
        one = space_of('[[stages]]\ndepth = 2\nwidth = [8, 16]\nblocks = [{ use = "plain" }]\n').decode([0])
        two = space_of('[[stages]]\nwidth = 8\nblocks = [{ use = "plain" }]\n' * 2).decode([])
        assert one == two
        assert (one.hash, hash(one)) == (two.hash, hash(two))
        assert one.choices != two.choices

    @pytest.mark.parametrize(
        "change",
        [
            ("width = 8", "width = 9"),
            ("stride = 1", "stride = 2"),
            ("kernel = 3", "kernel = 5"),
            ("[16, 16]", "[16, 32]"),
            ("= 10", "= 11"),
            ('"conv"', '"skip"'),
        ],
    )
    def test_what_the_network_is_made_of_changes_the_hash(self, change):
        text = space_text(
            stage('{ use = "plain" }', stride="1") + stage('{ use = "conv", kernel = 3 }', stride="1")
        )
        both = [
            parse_space(t, {**BLOCKS, "skip": Block("skip", "block", "image", "x:y", BLOCKS["conv"].knobs)})
            for t in (text, text.replace(*change))
        ]
        assert both[0].decode([]).hash != both[1].decode([]).hash

    def test_the_hash_of_a_network_never_changes(self):
        """Stored costs and results are found by it: a change here is a change of the format."""
        space = space_of(STEM + cell('{ use = "identity" }, { use = "conv_operation", kernel = 3 }'))
        hashes = [space.decode(v).hash[:16] for v in ([0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1])]
        assert hashes == GOLDEN


GOLDEN = ["63607a7e385e5c52", "facb4e3567aff739", "f1c314632c1e04bc", "37bb812ced4ba075"]


def test_importing_the_room_is_cheap():
    code = (
        "import sys, nas.spaces; assert nas.spaces.Signature; "
        "bad = {'numpy', 'pydantic', 'torch', 'ray', 'sqlalchemy'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    import nas.spaces

    for name in nas.spaces.__all__:
        assert getattr(nas.spaces, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = nas.spaces.nothing
