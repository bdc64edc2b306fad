"""From an architecture to a module: names, seeds, sizes."""

from __future__ import annotations

import pickle

import pytest
import torch
from toy_blocks import BLOCKS, MAP, layer

from nas.blocks import Cell, Model, build, build_element
from nas.errors import UnknownNameError
from nas.plugins.registry import default_registry
from nas.spaces.architecture import Edge, Graph, Layer, Network
from nas.spaces.signature import Signature

torch.set_num_threads(1)
CELL = Graph(2, (Edge(0, 1, layer("dense")), Edge(0, 1, layer("noisy"))))
NETWORK = Network(MAP, (layer("dense", 4, 2), layer("noisy"), CELL, layer("head")), 5)


def test_layers_stand_one_behind_the_other_under_readable_names() -> None:
    model = build(NETWORK, BLOCKS)
    assert list(model.layers) == ["0_dense", "1_noisy", "2_cell", "3_head"]
    assert "layers.2_cell.edges.0_to_1.conv.weight" in model.state_dict()
    x = torch.randn(2, *MAP.shape)
    step = x
    for part in model.layers.values():
        step = part(step)
    assert torch.equal(model(x), step)
    assert model(x).shape == (2, 5)
    assert model.training


def test_slots_do_not_change_names_or_weights() -> None:
    moved = tuple(
        Graph(e.nodes, e.edges, "elsewhere")
        if isinstance(e, Graph)
        else Layer(e.block, e.width, e.stride, "elsewhere")
        for e in NETWORK.layers
    )
    one, other = build(NETWORK, BLOCKS, seed=1), build(Network(MAP, moved, 5), BLOCKS, seed=1)
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(0)
    first = build(NETWORK, BLOCKS, seed=3).state_dict()
    torch.manual_seed(99)
    again = build(NETWORK, BLOCKS, seed=3).state_dict()
    other = build(NETWORK, BLOCKS, seed=4).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not all(torch.equal(value, other[name]) for name, value in first.items())


def test_a_seed_leaves_the_global_random_state_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    build(NETWORK, BLOCKS, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_check_of_a_block_draws_nothing() -> None:
    """Weights without a seed are the same whether a block is met for the first or the second time."""
    fresh = Signature("image", 3, (13, 17))
    torch.manual_seed(5)
    first = build_element(layer("noisy"), fresh, BLOCKS).state_dict()
    torch.manual_seed(5)
    second = build_element(layer("noisy"), fresh, BLOCKS).state_dict()
    assert torch.equal(first["weight"], second["weight"])


def test_input_and_classes_may_be_others_than_those_of_the_network() -> None:
    model = build(NETWORK, BLOCKS, input=Signature("image", 1, (5, 5)), classes=2)
    assert model(torch.randn(3, 1, 5, 5)).shape == (3, 2)
    assert NETWORK.input == MAP


def test_without_a_head_the_last_map_leaves() -> None:
    assert build(Network(MAP, (layer("dense", 4, 2),)), BLOCKS)(torch.randn(1, 3, 8, 6)).shape == (1, 4, 4, 3)


def test_a_network_without_layers_is_the_identity() -> None:
    x = torch.randn(1, 3, 8, 6)
    assert build(Network(MAP, ()), BLOCKS)(x) is x


def test_on_the_meta_device_nothing_is_allocated() -> None:
    with torch.device("meta"):
        model = build(NETWORK, BLOCKS, seed=1)
    assert all(parameter.is_meta for parameter in model.parameters())
    assert model(torch.empty(2, *MAP.shape, device="meta")).shape == (2, 5)


def test_pickle_and_state_round_trip() -> None:
    model = build(NETWORK, BLOCKS, seed=1)
    x = torch.randn(2, *MAP.shape)
    unpickled = pickle.loads(pickle.dumps(model))
    other = build(NETWORK, BLOCKS, seed=2)
    other.load_state_dict(model.state_dict())
    assert isinstance(unpickled, Model)
    assert torch.equal(unpickled(x), model(x))
    assert torch.equal(other(x), model(x))


def test_one_element_at_a_time() -> None:
    assert isinstance(build_element(CELL, MAP, BLOCKS), Cell)
    head = build_element(layer("head"), MAP, BLOCKS, classes=9)
    assert head(torch.randn(1, 3, 8, 6)).shape == (1, 9)


def test_an_unknown_block_is_named_with_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'conv'"):
        build(Network(MAP, (layer("konv"),)), default_registry().blocks)


def test_qualified_names_make_sound_paths() -> None:
    network = Network(MAP, (layer("base/conv", 4, kernel=3, activation="relu"),))
    assert list(build(network, default_registry().blocks).layers) == ["0_conv"]
