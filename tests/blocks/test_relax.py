"""Early strides are taken out until the last map is large enough."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_blocks import BLOCKS, layer

from nas.blocks import build, relax_strides
from nas.plugins.registry import default_registry
from nas.spaces import load_space
from nas.spaces.architecture import Graph, Layer, Network
from nas.spaces.fitting import element_signatures
from nas.spaces.signature import Signature

LARGE = Signature("image", 3, (224, 224))


def square(side: int) -> Signature:
    return Signature("image", 3, (side, side))


def network(*strides: int) -> Network:
    layers = [layer("dense", 4 + index, stride) for index, stride in enumerate(strides)]
    return Network(LARGE, (*layers, layer("head")), 10)


def strides_of(relaxed: Network) -> list[int]:
    return [element.stride for element in relaxed.layers[:-1] if isinstance(element, Layer)]


@pytest.mark.parametrize(
    ("strides", "side", "expected"),
    [
        ((2, 2, 2, 2, 2), 224, [2, 2, 2, 2, 2]),
        ((2, 2, 2, 2, 2), 128, [2, 2, 2, 2, 2]),
        ((2, 2, 2, 2, 2), 97, [2, 2, 2, 2, 2]),
        ((2, 2, 2, 2, 2), 96, [1, 2, 2, 2, 2]),
        ((2, 1, 2, 2, 2, 1, 2), 32, [1, 1, 1, 2, 2, 1, 2]),
        ((4, 1, 2, 2, 2), 32, [1, 1, 2, 2, 2]),
        ((2, 2, 2, 2, 2), 8, [1, 1, 1, 1, 2]),
        ((2, 2, 2), 4, [1, 1, 1]),
        ((2, 2, 2), 3, [1, 1, 1]),
        ((), 32, []),
    ],
)
def test_the_earliest_strides_go_first(strides: tuple[int, ...], side: int, expected: list[int]) -> None:
    assert strides_of(relax_strides(network(*strides), square(side), BLOCKS)) == expected


def test_the_smaller_direction_decides() -> None:
    relaxed = relax_strides(network(2, 2, 2), Signature("image", 3, (64, 16)), BLOCKS)
    assert strides_of(relaxed) == [1, 2, 2]


@pytest.mark.parametrize(
    ("minimum", "expected"), [(1, [2, 2, 2]), (2, [2, 2, 2]), (3, [1, 2, 2]), (16, [1, 1, 1])]
)
def test_the_minimum_may_be_chosen(minimum: int, expected: list[int]) -> None:
    assert strides_of(relax_strides(network(2, 2, 2), square(16), BLOCKS, minimum)) == expected


def test_a_block_that_needs_its_stride_keeps_it() -> None:
    layers = (layer("halving", 4, 2), layer("dense", 4, 2), layer("dense", 4, 2), layer("head"))
    relaxed = relax_strides(Network(LARGE, layers, 10), square(16), BLOCKS)
    assert strides_of(relaxed) == [2, 1, 2]


def test_the_given_network_stays_and_the_new_one_has_the_new_input() -> None:
    before = network(2, 2, 2)
    relaxed = relax_strides(before, square(8), BLOCKS)
    assert before == network(2, 2, 2)
    assert relaxed.input == square(8)
    assert relaxed.classes == before.classes


def test_everything_but_the_strides_stays_as_it_is() -> None:
    layers = (Layer(layer("dense").block, 8, 2, "stem"), Graph(2, (), "cell"), layer("head"))
    relaxed = relax_strides(Network(LARGE, layers, 10), square(4), BLOCKS)
    assert relaxed.layers[1:] == layers[1:]
    assert relaxed.layers[1].slot == "cell"
    assert relaxed.layers[0] == Layer(layer("dense").block, 8, 1)
    assert relaxed.layers[0].slot == "stem"


def test_without_a_head_the_last_map_is_what_leaves() -> None:
    bare = Network(LARGE, network(2, 2).layers[:-1], 10)
    relaxed = relax_strides(bare, square(8), BLOCKS)
    assert [element.stride for element in relaxed.layers if isinstance(element, Layer)] == [1, 2]


@settings(deadline=None, max_examples=60)
@given(
    strides=st.lists(st.sampled_from([1, 2, 4]), max_size=6),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    minimum=st.integers(1, 8),
)
def test_the_rule_holds_for_any_network(strides: list[int], height: int, width: int, minimum: int) -> None:
    given_network = network(*strides)
    relaxed = relax_strides(given_network, Signature("image", 3, (height, width)), BLOCKS, minimum)
    last = min(element_signatures(relaxed, BLOCKS)[-1][1].size)
    kept = strides_of(relaxed)
    assert last >= min(minimum, height, width)
    taken = sum(new != old for new, old in zip(kept, strides, strict=True))
    first_kept = next((index for index, stride in enumerate(kept) if stride > 1), len(kept))
    assert kept == [1] * first_kept + strides[first_kept:]
    if taken:  # one stride more would have been too small
        last_taken = max(
            index for index, (new, old) in enumerate(zip(kept, strides, strict=True)) if new != old
        )
        fewer = network(*([1] * last_taken), *strides[last_taken:])
        again = Network(relaxed.input, fewer.layers, 10)
        assert min(element_signatures(again, BLOCKS)[-1][1].size) < minimum


@pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50"])
def test_a_published_network_stays_trainable_on_small_pictures(name: str) -> None:
    import numpy as np

    registry = default_registry()
    made = load_space(f"published/{name}", registry).sample(np.random.default_rng(0)).network
    assert made is not None
    relaxed = relax_strides(made, square(32), registry.blocks)
    assert element_signatures(relaxed, registry.blocks)[-1][1].size == (4, 4)
    with torch.device("meta"):
        small = build(relaxed, registry.blocks)
        full = build(made, registry.blocks)
    assert small.state_dict().keys() == full.state_dict().keys()
    assert small(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 1000)
