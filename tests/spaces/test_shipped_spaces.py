"""The spaces that are shipped, with the blocks that are shipped."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from nas.plugins import default_registry
from nas.spaces import Graph, Space, element_signatures, load_space, output_signature


@pytest.fixture(scope="module")
def registry():
    return default_registry()


def names(registry) -> list[str]:
    return sorted(registry.spaces)


def use_names(space: Space) -> set[str]:
    found = set()
    for decision in space.decisions:
        found |= {option for option in decision.options if isinstance(option, str)}
    return found


@pytest.mark.parametrize("name", ["mobile", "tiny", "cell", "published/mobilenet_v2", "published/resnet50"])
def test_a_shipped_space_loads_by_its_name_and_samples(registry, name):
    space = load_space(name, registry)
    assert space.name == name
    assert space.description
    rng = np.random.default_rng(0)
    for vector in space.sample_vectors(20, rng):
        architecture = space.decode(vector)
        assert np.array_equal(space.encode(architecture), vector)
        assert output_signature(architecture.network, registry.blocks).shape == (space.classes,)


@pytest.mark.parametrize("name", ["published/mobilenet_v2", "published/resnet50"])
def test_a_published_network_is_a_space_of_one(registry, name):
    space = load_space(name, registry)
    assert space.size() == 1
    assert space.decisions == ()


class TestMobile:
    def test_it_offers_what_it_is_made_for(self, registry):
        space = load_space("mobile", registry)
        assert space.size() >= 10**15
        assert {"inverted_residual", "fused_inverted_residual", "tucker", "metaformer"} <= use_names(space)
        assert {"pool_mixer", "separable_conv", "attention"} <= use_names(space)
        knobs = {decision.name.rpartition(".")[2] for decision in space.decisions}
        assert {"width", "depth", "block", "kernel", "expansion", "se", "hidden"} <= knobs
        stages = {
            decision.name.split(".")[1] for decision in space.decisions if decision.name.startswith("stages")
        }
        assert len(stages) == 5
        assert (space.input.shape, space.classes) == ((3, 224, 224), 1000)

    def test_attention_stands_on_small_maps_only(self, registry):
        space = load_space("mobile", registry)
        for vector in space.sample_vectors(50, np.random.default_rng(1)):
            for element, signature in element_signatures(space.decode(vector).network, registry.blocks):
                mixer = element.block.knob_values().get("mixer")
                if mixer is not None and mixer.use == "attention":
                    assert signature.after(None, element.stride).size[0] <= 14

    def test_its_size_is_the_sum_over_widths_and_depths(self, registry):
        """The rules of its blocks hold everywhere but for one, so that its size is nearly a product."""
        space = load_space("mobile", registry)
        options = {decision.name: len(decision.options) for decision in space.decisions}
        total = 2 * 3  # widths of the stem, hidden layers of the head
        fused = {0: 3 * 2, 1: 2 * 3 * 2, 2: 2 * 3 * 2, 3: 3 * 2, 4: 3 * 2}
        for stage in range(5):
            mixers = 2 + 3 * 2 + (2 if stage >= 3 else 0)
            mixed = 4 * 2 * 2
            layer = 3 * 3 * 2 + fused[stage] + 2 * 3 * 3 + mixed + mixers * 3
            depths = range(1, options[f"stages.{stage}.depth"] + 1)
            total *= options[f"stages.{stage}.width"] * sum(layer**depth for depth in depths)
        # Heads of 32 do not split 48 channels: a layer of that width in stage 3 has one mixer less.
        full, fewer = (sum((58 + mixers * 3) ** depth for depth in (1, 2, 3)) for mixers in (10, 9))
        assert space.size() == total // (3 * full) * (2 * full + fewer)

    def test_each_slot_has_few_enough_columns_to_be_priced_in_a_table(self, registry):
        space = load_space("mobile", registry)
        vectors = space.sample_vectors(5_000, np.random.default_rng(0))
        distinct = [len(np.unique(vectors[:, list(slot.columns)], axis=0)) for slot in space.slots]
        assert sum(distinct) < 6_000


class TestTiny:
    def test_it_is_small_and_listed_in_full(self, registry):
        space = load_space("tiny", registry)
        vectors = list(space.enumerate())
        assert 200 <= space.size() == len(vectors) <= 5_000
        hashes = {space.decode(vector).hash for vector in vectors}
        assert len(hashes) == space.size()
        assert (space.input.shape, space.classes) == ((3, 32, 32), 10)


class TestCell:
    def test_it_is_nas_bench_201(self, registry):
        space = load_space("cell", registry)
        assert space.size() == 15_625
        assert [len(decision.options) for decision in space.decisions] == [5] * 6
        network = space.sample(np.random.default_rng(0)).network
        cells = [element for element in network if isinstance(element, Graph)]
        widths = [s.channels for e, s in element_signatures(network, registry.blocks) if isinstance(e, Graph)]
        assert len(cells) == 15
        assert widths == [16] * 5 + [32] * 5 + [64] * 5
        sizes = [s.size[0] for e, s in element_signatures(network, registry.blocks) if isinstance(e, Graph)]
        assert sizes == [32] * 5 + [16] * 5 + [8] * 5

    def test_its_different_networks_are_counted_once(self, registry):
        space = load_space("cell", registry)
        rng = np.random.default_rng(0)
        vectors = {tuple(v) for v in space.sample_vectors(1_000, rng).tolist()}
        first_cells = {space.instances(vector)[1].element for vector in vectors}
        hashes = {space.decode(vector).hash for vector in vectors}
        assert len(hashes) == len(first_cells) < len(vectors)

    def test_a_cell_of_zeros_is_a_network(self, registry):
        space = load_space("cell", registry)
        zeros = space.decode([0] * 6)
        assert set(zeros.values().values()) == {"zero"}
        assert {(e.nodes, e.edges) for e in zeros.network if isinstance(e, Graph)} == {(2, ())}


def test_listing_and_sampling_need_no_torch():
    code = (
        "import sys, numpy; from nas.plugins import default_registry; from nas.spaces import load_space; "
        "load_space('mobile', default_registry()).sample(numpy.random.default_rng(0)).hash; "
        "bad = {'torch', 'ray', 'sqlalchemy', 'optuna'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
