"""Architectures, networks, signatures and knobs as values."""

from __future__ import annotations

import json

import pytest

from nas.errors import SpaceError
from nas.spaces import (
    Architecture,
    BlockUse,
    Choice,
    Edge,
    Graph,
    Layer,
    Network,
    Signature,
    canonical_network,
)
from nas.spaces.architecture import network_from_dict, network_to_dict

IMAGE = Signature("image", 3, (16, 16))
HELD = BlockUse("holder", (("mixer", BlockUse("pool", (("kernel", 3),))), ("norm", "a")))
NETWORK = Network(
    IMAGE,
    (
        Layer(HELD, 8, 2, "stages.0.layers.0"),
        Graph(
            3, (Edge(0, 1, Layer(BlockUse("conv"), 8)), Edge(1, 2, Layer(BlockUse("identity"), 8))), "cell"
        ),
        Layer(BlockUse("head", (("hidden", 0),)), slot="head"),
    ),
    10,
)


class TestSignature:
    @pytest.mark.parametrize(
        ("signature", "shape"),
        [
            (IMAGE, (3, 16, 16)),
            (Signature("sequence", 8, (20,)), (20, 8)),
            (Signature("series", 8, (20,)), (8, 20)),
            (Signature("vector", 8, ()), (8,)),
        ],
    )
    def test_the_shape_is_in_the_order_of_the_domain(self, signature, shape):
        assert signature.shape == shape

    def test_sizes_round_up_behind_a_stride(self):
        assert Signature("image", 3, (15, 7)).after(8, 2) == Signature("image", 8, (8, 4))
        assert IMAGE.after(None, 1) == IMAGE


class TestChoice:
    def test_numbers_between_the_listed_ones_are_allowed(self):
        assert Choice(3, 5, 7).default == 3
        assert Choice(3, 5, 7).allows(4)
        assert not Choice(3, 5, 7).allows(8)
        assert not Choice(3, 5, 7).allows(4.5)
        assert Choice(0.0, 1.0).allows(0.3)
        assert not Choice(0.0, 1.0).allows("0.3")
        assert not Choice("a", "b").allows("c")

    def test_a_choice_of_blocks_allows_any_and_has_no_default(self):
        assert Choice(role="mixer").default is None
        assert Choice(role="mixer").allows("anything")
        assert repr(Choice(role="mixer")) == "Choice(role='mixer')"

    def test_a_choice_of_nothing_is_refused(self):
        with pytest.raises(ValueError, match="at least one value"):
            Choice()

    def test_choices_are_values(self):
        assert Choice(1, 2) == Choice(1, 2) != Choice(2, 1)
        assert hash(Choice(1, 2)) == hash(Choice(1, 2))
        assert Choice(1) != 1
        assert repr(Choice(1, "a")) == "Choice(1, 'a')"


class TestJson:
    def test_an_architecture_comes_back_as_it_was(self):
        architecture = Architecture(NETWORK, (("stages.0.width", 8), ("head.hidden", 0)))
        again = Architecture.from_json(architecture.to_json())
        assert again.network == NETWORK
        assert [element.slot for element in again.network] == ["stages.0.layers.0", "cell", "head"]
        assert (again.choices, again.hash) == (architecture.choices, architecture.hash)

    def test_a_flat_one_too(self):
        architecture = Architecture(None, (("lr", 0.1), ("name", "é")))
        assert Architecture.from_json(architecture.to_json()) == architecture

    def test_a_network_comes_back_as_it_was(self):
        assert network_from_dict(json.loads(json.dumps(network_to_dict(NETWORK)))) == NETWORK

    @pytest.mark.parametrize(
        "text", ["", "[]", "3", "{}", '{"format": 1}', '{"format": 1, "network": 3, "choices": {}}']
    )
    def test_something_else_is_refused(self, text):
        with pytest.raises(SpaceError, match="not an architecture"):
            Architecture.from_json(text)

    def test_a_later_format_is_named(self):
        with pytest.raises(SpaceError, match="format 2 is not known"):
            Architecture.from_json('{"format": 2, "network": null, "choices": {}}')


class TestCanonical:
    def test_slots_do_not_matter(self):
        bare = Network(IMAGE, tuple(type(e)(**{**vars(e), "slot": ""}) for e in NETWORK.layers), 10)
        assert canonical_network(bare) == canonical_network(NETWORK)
        assert Architecture(bare) == Architecture(NETWORK, (("a", 1),))

    def test_it_is_json_with_simple_cells(self):
        content = canonical_network(NETWORK)
        assert json.loads(json.dumps(content)) == content
        assert content["layers"][1] == {
            "nodes": 2,
            "edges": [[0, 1, {"use": "conv", "knobs": {}, "width": 8, "stride": 1}]],
        }
        assert content["layers"][0]["knobs"]["mixer"] == {"use": "pool", "knobs": {"kernel": 3}}

    def test_the_order_of_layers_matters(self):
        turned = Network(IMAGE, NETWORK.layers[::-1], 10)
        assert Architecture(turned) != Architecture(NETWORK)
        assert Architecture(NETWORK) != "text"
