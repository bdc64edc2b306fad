"""Steps through spaces where steps are hard."""

from __future__ import annotations

import numpy as np
import pytest
from spaces_toys import TWO_LAYERS, space_of, stage

from nas.errors import SpaceError
from nas.spaces import Architecture, Space

# Two widths that must agree: no single change leads anywhere.
LOCKED = stage('{ use = "plain" }', width="[6, 8]") + stage('{ use = "skip", kernel = 3 }', width="[6, 8]")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_neighbours_open_decisions_with_values_that_fit():
    """One more layer, or the other block, brings decisions whose first value may not fit."""
    space = space_of(
        stage('{ use = "plain" }, { use = "gated", groups = [8, 2, 1] }', width="12", depth="[1, 2]")
    )
    one = space.decode([0] * len(space.decisions))
    assert one.values() == {"stages.0.depth": 1, "stages.0.layers.0.block": "plain"}
    found = [neighbour.values() for neighbour in space.neighbours(one)]
    assert {
        "stages.0.depth": 2,
        "stages.0.layers.0.block": "plain",
        "stages.0.layers.1.block": "plain",
    } in found
    assert [f.get("stages.0.layers.0.groups") for f in found] == [None, 1]


def test_neighbours_of_a_free_space_are_all_single_changes():
    space = space_of(TWO_LAYERS)
    architecture = space.decode([0, 1, 0, 0, 0, 0, 0, 0])
    neighbours = [neighbour.values() for neighbour in space.neighbours(architecture)]
    # width, depth, and for each of two layers block and kernel
    assert len(neighbours) == 1 + 1 + 2 * 2


def test_networks_that_differ_in_name_only_are_one_neighbour():
    space = space_of(stage('{ use = "conv", kernel = [3, 5] }, { use = "conv", kernel = [5, 7] }'))
    architecture = space.decode([0, 1, 0])
    hashes = {neighbour.hash for neighbour in space.neighbours(architecture)}
    assert architecture.hash not in hashes
    assert len(hashes) == len(space.neighbours(architecture)) == 1


def test_mutation_finds_the_only_other_network_however_far():
    space = space_of(LOCKED)
    assert space.size() == 2
    one, other = (space.decode(vector) for vector in space.enumerate())
    assert space.neighbours(one) == []
    assert {space.mutate(one, rng(seed)) for seed in range(5)} == {other}


def test_mutation_says_where_there_is_no_other_network():
    """Four vectors, but two networks: both alternatives are the same block."""
    space = space_of(stage('{ use = "conv", kernel = [3, 5] }, { use = "conv", kernel = [5, 3] }'))
    assert len({space.mutate(space.decode([0, 0, 0]), rng(seed)).hash for seed in range(5)}) == 1
    lone = Space.flat({"a": [1]})
    with pytest.raises(SpaceError, match="no other network"):
        lone.mutate(lone.sample(rng()), rng())


def test_mutation_is_repeatable_and_reaches_every_decision():
    space = space_of(TWO_LAYERS)
    architecture = space.decode([0, 1, 0, 0, 0, 0, 0, 0])
    assert space.mutate(architecture, rng(7)) == space.mutate(architecture, rng(7))
    changed = set()
    for seed in range(60):
        child = space.mutate(architecture, rng(seed)).values()
        changed |= {name for name, option in architecture.values().items() if child.get(name) != option}
    assert changed == set(architecture.values())


def test_crossover_gives_a_parent_where_nothing_else_fits():
    space = space_of(LOCKED)
    one, other = (space.decode(vector) for vector in space.enumerate())
    children = {space.crossover(one, other, rng(seed)) for seed in range(10)}
    assert children == {one, other}


def test_crossover_takes_what_means_something():
    """The second layer of the deeper parent is kept, not the zeros of the one that has none."""
    space = space_of(TWO_LAYERS)
    shallow = space.decode([0, 0, 0, 0, 0, 0, 0, 0])
    deep = space.decode([0, 1, 0, 0, 0, 0, 1, 0])
    seconds = [space.crossover(shallow, deep, rng(seed)).values() for seed in range(30)]
    assert {s["stages.0.layers.1.kernel"] for s in seconds if s["stages.0.depth"] == 2} == {5}
    assert {s["stages.0.depth"] for s in seconds} == {1, 2}


def test_strangers_are_refused():
    space = space_of(TWO_LAYERS)
    stranger = Architecture(None, (("lr", 0.1),))
    for step in (
        lambda: space.neighbours(stranger),
        lambda: space.mutate(stranger, rng()),
        lambda: space.crossover(space.sample(rng()), stranger, rng()),
    ):
        with pytest.raises(SpaceError, match="no decision 'lr'"):
            step()
