"""Stages with a layer of their own for downsampling, and stages whose blocks take turns."""

from __future__ import annotations

import numpy as np
import pytest
from spaces_toys import BLOCKS, space_of, space_text

from nas.errors import SpaceError
from nas.spaces import Space, parse_space
from nas.spaces.architecture import Layer

FRONT = """
[[stages]]
depth = [1, 2]
width = [8, 16]
stride = 2
downsample = { use = "conv", kernel = 3 }
blocks = [{ use = "conv", kernel = [3, 5] }]
"""
TURNS = """
[[stages]]
depth = 5
width = [8, 16]
stride = 2
pattern = [{ use = "conv", kernel = 5 }, [{ use = "conv", kernel = [3, 5] }, { use = "plain" }]]
"""


def layers(space: Space, vector: list[int]) -> list[Layer]:
    """The layers of the body."""
    network = space.decode(np.array(vector)).network
    assert network is not None
    return [element for element in network.layers if isinstance(element, Layer)][:-1]


def all_layers(space: Space) -> list[list[Layer]]:
    return [layers(space, vector.tolist()) for vector in space.enumerate()]


def test_the_layer_in_front_takes_width_and_stride() -> None:
    for found in all_layers(space_of(FRONT)):
        front, *rest = found
        assert (front.stride, front.width) in {(2, 8), (2, 16)}
        assert front.slot == "stages.0.downsample"
        assert rest
        assert {(layer.stride, layer.width) for layer in rest} == {(1, front.width)}


def test_its_width_is_a_decision_of_the_stage() -> None:
    names = [decision.name for decision in space_of(FRONT).decisions]
    assert names[:2] == ["stages.0.width", "stages.0.depth"]
    assert not [name for name in names if "downsample" in name]


def test_the_knobs_in_front_can_be_searched() -> None:
    space = space_of(FRONT.replace("kernel = 3 }", "kernel = [3, 5] }"))
    assert "stages.0.downsample.kernel" in [decision.name for decision in space.decisions]
    assert space.size() == 2 * space_of(FRONT).size()


@pytest.mark.parametrize("stages", [FRONT, TURNS])
def test_the_size_is_the_number_of_vectors(stages: str) -> None:
    space = space_of(stages)
    vectors = {tuple(vector.tolist()) for vector in space.enumerate()}
    assert len(vectors) == space.size()
    assert all(space.is_valid(list(vector)) for vector in vectors)


def test_a_network_is_the_same_whether_its_width_is_kept_or_given() -> None:
    kept = space_of('[[stages]]\nwidth = 8\ndownsample = { use = "conv" }\nblocks = [{ use = "conv" }]\n')
    given = space_of('[[stages]]\ndepth = 2\nwidth = 8\nblocks = [{ use = "conv" }]\n')
    rng = np.random.default_rng(0)
    assert kept.sample(rng) == given.sample(rng)


def test_the_blocks_of_a_pattern_take_turns() -> None:
    for found in all_layers(space_of(TURNS)):
        assert len(found) == 5
        for index in (0, 2, 4):
            assert found[index].block.knob_values()["kernel"] == 5
            assert found[index].block.use == "conv"
        assert [layer.stride for layer in found] == [2, 1, 1, 1, 1]
        assert len({layer.width for layer in found}) == 1


def test_each_turn_decides_for_itself() -> None:
    space = space_of(TURNS)
    names = [decision.name for decision in space.decisions]
    assert names[0] == "stages.0.width"
    assert {name.split(".")[3] for name in names[1:]} == {"1", "3"}
    mixed = {tuple(layer.block.use for layer in found) for found in all_layers(space)}
    assert ("conv", "plain", "conv", "conv", "conv") in mixed


def test_a_pattern_may_stand_behind_a_layer_of_its_own() -> None:
    stages = TURNS.replace("pattern", 'downsample = { use = "conv" }\npattern')
    for found in all_layers(space_of(stages)):
        assert [layer.stride for layer in found] == [2, 1, 1, 1, 1, 1]


def test_slots_depend_on_the_width_that_was_chosen_in_front() -> None:
    space = space_of(FRONT)
    column = [decision.name for decision in space.decisions].index("stages.0.width")
    assert all(column in slot.columns for slot in space.slots if slot.name.startswith("stages.0"))


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (TURNS.replace("depth = 5", "depth = [4, 5]"), r"stages\.0\.pattern: needs one fixed 'depth'"),
        (TURNS.replace("depth = 5", "depth = 5\nshare = true"), r"stages\.0\.pattern: .*without 'share'"),
        (TURNS + 'blocks = [{ use = "conv" }]\n', r"stages\.0: needs one of"),
        (TURNS.replace("plain", "plan"), r"pattern\.1\.1.*unknown block. Did you mean 'plain'"),
        ("[[stages]]\nwidth = 8\npattern = []\n", r"stages\.0\.pattern: an empty list"),
        (FRONT.replace('"conv", kernel = 3', '"head"'), r"stages\.0\.downsample\.use: .*role 'head'"),
        (FRONT.replace("kernel = 3 }", "kernl = 3 }"), r"stages\.0\.downsample\.kernl: unknown knob"),
    ],
)
def test_mistakes_are_named_with_their_key(stages: str, said: str) -> None:
    with pytest.raises(SpaceError, match=said):
        parse_space(space_text(stages), BLOCKS, "my.toml")
