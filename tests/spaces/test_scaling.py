"""Scaling of networks (arXiv:2103.06877): the laws of a stack of convolutions, and what stays whole."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from nas.costs import estimate_architecture
from nas.errors import InputError
from nas.plugins import default_registry
from nas.spaces import Architecture, Edge, Graph, Layer, Network, load_space
from nas.spaces.architecture import BlockUse
from nas.spaces.scaling import Scaling, scale_network
from nas.spaces.signature import Signature

REGISTRY = default_registry()
BLOCKS = REGISTRY.blocks
RULES = [(1 / 3, (1, 2 / 3, 5 / 6)), (0.8, (1, 0.9, 0.6)), (1.0, (1, 1, 0.5))]
"""alpha → the powers of the work that MACs, parameters and activations grow with."""


def use(name: str, **knobs: object) -> BlockUse:
    values = {knob: choice.default for knob, choice in BLOCKS[name].knobs.items()} | knobs
    return BlockUse(name, tuple(sorted(values.items())))


def stack(depth: int = 16, width: int = 256, side: int = 64) -> Network:
    """Convolutions of one width, its first on as many channels."""
    layers = tuple(Layer(use("conv"), width, slot=f"stages.0.layers.{index}") for index in range(depth))
    return Network(Signature("image", width, (side, side)), layers)


def published(name: str) -> Network:
    network = load_space(f"published/{name}", REGISTRY).sample(np.random.default_rng(0)).network
    assert network is not None
    return network


def amounts(network: Network) -> np.ndarray:
    cost = estimate_architecture(Architecture(network), "a100", REGISTRY, "roofline")
    return np.array([cost.macs, cost.params, cost.activation_bytes], dtype=float)


class TestFactors:
    @pytest.mark.parametrize("by", [0.25, 2, 4, 100])
    @pytest.mark.parametrize("alpha", [0, 1 / 3, 0.5, 0.8, 1])
    @pytest.mark.parametrize("dimensions", [1, 2, 3])
    def test_the_work_is_that_asked_for(self, by: float, alpha: float, dimensions: int) -> None:
        found = Scaling(by, alpha, dimensions)
        work = found.depth * found.width**2 * found.resolution**dimensions
        assert work == pytest.approx(by)
        assert found.params == pytest.approx(found.depth * found.width**2)
        assert found.activations == pytest.approx(found.depth * found.width * found.resolution**dimensions)

    @pytest.mark.parametrize(("alpha", "powers"), RULES)
    def test_powers_of_the_work(self, alpha: float, powers: tuple[float, ...]) -> None:
        found = Scaling(math.e, alpha)
        logs = [math.log(factor) for factor in (found.by, found.params, found.activations)]
        assert logs == pytest.approx(powers)

    def test_a_third_scales_all_alike(self) -> None:
        found = Scaling(8, 1 / 3)
        assert found.depth == pytest.approx(found.width**2) == pytest.approx(found.resolution**2)

    @pytest.mark.parametrize("by", [0, -1, math.nan, math.inf])
    def test_a_factor_is_a_number_above_nothing(self, by: float) -> None:
        with pytest.raises(InputError, match="above 0"):
            Scaling(by)

    @pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
    def test_alpha_is_a_share(self, alpha: float) -> None:
        with pytest.raises(InputError, match="from 0 to 1"):
            Scaling(2, alpha)


class TestStack:
    @pytest.mark.parametrize(("alpha", "powers"), RULES)
    def test_a_stack_of_convolutions_follows_the_law(self, alpha: float, powers: tuple[float, ...]) -> None:
        small = stack()
        factors = [4.0, 16.0]
        found = []
        for by in factors:
            large = scale_network(small, by, BLOCKS, alpha=alpha, multiple=1)
            large = replace(large, input=replace(large.input, channels=large.layers[0].width))
            found.append(np.log(amounts(large) / amounts(small)) / math.log(by))
        for slopes in found:
            assert slopes == pytest.approx(powers, abs=0.02)

    def test_scaling_by_one_changes_nothing(self) -> None:
        for name in ("mobilenet_v2", "resnet50", "convnext_tiny"):
            network = published(name)
            assert Architecture(scale_network(network, 1, BLOCKS)) == Architecture(network)

    def test_widths_and_sides_are_multiples(self) -> None:
        found = scale_network(published("resnet50"), 3, BLOCKS, alpha=0.5, multiple=16)
        assert all(extent % 16 == 0 for extent in found.input.size)
        assert all(layer.width is None or layer.width % 16 == 0 for layer in found.layers)

    def test_more_layers_are_like_the_last_of_their_stage_without_its_stride(self) -> None:
        layers = (
            Layer(use("conv_stem"), 16, 2, "stem"),
            Layer(use("conv"), 32, 2, "stages.0.layers.0"),
            Layer(use("conv", kernel=5), 64, 2, "stages.1.layers.0"),
            Layer(use("conv", kernel=5), 64, 1, "stages.1.layers.1"),
            Layer(use("pool_linear"), slot="head"),
        )
        network = Network(Signature("image", 3, (32, 32)), layers, 10)
        found = scale_network(network, 16, BLOCKS, alpha=0, multiple=1)  # depth x 4, resolution x 2
        strides = [(layer.slot, layer.stride) for layer in found.layers]
        assert strides == [
            ("stem", 2),
            ("stages.0.layers.0", 2),
            *[(f"stages.0.layers.{index}", 1) for index in (1, 2, 3)],
            ("stages.1.layers.0", 2),
            *[(f"stages.1.layers.{index}", 1) for index in range(1, 8)],
            ("head", 1),
        ]
        assert found.input.size == (64, 64)
        assert [layer.width for layer in found.layers] == [16, *[32] * 4, *[64] * 8, None]

    def test_less_work_leaves_one_layer_of_each_stage(self) -> None:
        network = published("resnet50")
        found = scale_network(network, 1e-3, BLOCKS, alpha=0.2, multiple=1)
        stages = {layer.slot.rpartition(".layers")[0] for layer in network.layers}
        assert {layer.slot.rpartition(".layers")[0] for layer in found.layers} == stages
        assert len(found.layers) == 6

    def test_downsampling_layers_are_not_repeated(self) -> None:
        before, after = (
            published("convnext_tiny"),
            scale_network(published("convnext_tiny"), 8, BLOCKS, alpha=0),
        )
        count = [
            [layer.block.use for layer in network.layers].count("downsample") for network in (before, after)
        ]
        assert count[0] == count[1]
        assert len(after.layers) > len(before.layers)


class TestBlocks:
    def test_group_sizes_follow_the_width_and_depthwise_stays(self) -> None:
        def grouped(size: int) -> Network:
            layers = (Layer(use("conv_first", group_width=size), 64, slot="stages.0.layers.0"),)
            return Network(Signature("image", 64, (16, 16)), layers)

        for size, expected in ((8, 16), (16, 32), (1, 1)):
            found = scale_network(grouped(size), 4, BLOCKS, alpha=1, multiple=1)
            assert dict(found.layers[0].block.knobs)["group_width"] == expected

    def test_cells_are_widened_and_repeated(self) -> None:
        edge = Edge(0, 1, Layer(use("conv_operation"), 16))
        cell = Graph(2, (edge,), "stages.0.layers.0")
        network = Network(Signature("image", 16, (8, 8)), (cell,))
        found = scale_network(network, 4, BLOCKS, alpha=0)
        assert [element.slot for element in found.layers] == ["stages.0.layers.0", "stages.0.layers.1"]
        wider = scale_network(network, 4, BLOCKS, alpha=1)
        assert wider.layers[0].edges[0].layer.width == 32

    def test_a_network_of_vectors_has_no_resolution(self) -> None:
        with pytest.raises(InputError, match="resolution"):
            scale_network(Network(Signature("vector", 8, ()), ()), 2, BLOCKS)

    @pytest.mark.parametrize("name", ["mobilenet_v2", "resnet50", "convnext_tiny"])
    def test_published_networks_come_near_to_what_was_asked(self, name: str) -> None:
        network = published(name)
        for alpha in (0.8, 1.0):
            found = amounts(scale_network(network, 4, BLOCKS, alpha=alpha)) / amounts(network)
            assert found[0] == pytest.approx(4, rel=0.15)
            assert found[2] == pytest.approx(Scaling(4, alpha).activations, rel=0.15)
