"""The shipped spaces that take blocks of every family, and what is left where a family is not installed."""

from __future__ import annotations

import numpy as np
import pytest

from nas.errors import SpaceError
from nas.plugins import PluginManager, Registry, default_registry
from nas.spaces import element_signatures, load_space, output_signature

FAMILIES = {
    "large-kernels": "nas_large_kernels",
    "gated-convs": "nas_gated_convs",
    "group-attention": "nas_group_attention",
    "sparse-ops": "nas_sparse_ops",
}
KINDS = Registry.KINDS


@pytest.fixture(scope="module")
def registry() -> Registry:
    return default_registry()


def only(names: set[str]) -> Registry:
    """What the installed plugins of these names provide."""
    manager = PluginManager(names=frozenset(names))
    manager.load_entry_points()
    assert manager.broken == ()
    return Registry(manager)


def offers(registry: Registry) -> set[tuple[str, str]]:
    return {(kind, name) for kind in KINDS for name in getattr(registry, kind)}


def test_all_that_is_shipped_is_named_as_its_file(registry: Registry) -> None:
    assert {"mobile", "tiny", "cell", "hybrid", "series"} <= set(registry.spaces)
    for name in registry.spaces:
        space = load_space(name, registry)
        assert space.name == name
        assert space.description
        assert not name.startswith("published/") or space.size() == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_family_its_names_are_gone_and_nothing_else(registry: Registry, family: str) -> None:
    everything = {plugin.name for plugin in registry.manager.plugins}
    own = {
        (kind, name)
        for kind in KINDS
        for name in getattr(registry, kind)
        if getattr(registry, kind).provider(name).name == family
    }
    assert own
    assert offers(registry) - offers(only(everything - {family})) == own


@pytest.mark.parametrize("family", FAMILIES)
def test_a_space_says_which_block_is_missing(registry: Registry, family: str) -> None:
    everything = {plugin.name for plugin in registry.manager.plugins}
    with pytest.raises(SpaceError, match=r"(?s)hybrid\.toml: .*unknown block"):
        load_space("hybrid", only(everything - {family}))


def test_the_core_and_two_plugins_are_enough_for_the_main_job() -> None:
    small = only({"base", "hardware", "searchspaces", "searchers", "tasks", "exporters"})
    for name in ("mobile", "tiny", "cell"):
        assert load_space(name, small).size() > 1000


class TestHybrid:
    def test_every_family_can_be_chosen_in_one_skeleton(self, registry: Registry) -> None:
        space = load_space("hybrid", registry)
        modules = {registry.blocks.provider(name).module for name in space.block_names}
        assert {*FAMILIES.values(), "nas_base"} <= modules
        assert space.size() > 10**18

    def test_its_samples_mix_the_families_and_fit_their_places(self, registry: Registry) -> None:
        space = load_space("hybrid", registry)
        seen = set()
        for vector in space.sample_vectors(60, np.random.default_rng(0)):
            network = space.decode(vector).network
            assert output_signature(network, registry.blocks).shape == (1000,)
            seen |= {registry.blocks.provider(layer.block.use).module for layer in network.layers}
        assert seen >= {*FAMILIES.values(), "nas_base"}

    def test_gates_are_only_chosen_where_their_order_divides_the_channels(self, registry: Registry) -> None:
        space = load_space("hybrid", registry)
        orders = set()
        for vector in space.sample_vectors(300, np.random.default_rng(1)):
            network = space.decode(vector).network
            for layer, signature in element_signatures(network, registry.blocks):
                mixer = layer.block.knob_values().get("mixer")
                if mixer is not None and mixer.use == "gnconv":
                    order = mixer.knob_values()["order"]
                    channels = layer.width or signature.channels
                    assert channels % 2 ** (order - 1) == 0
                    orders.add(order)
        assert orders == {2, 3, 4, 5}
