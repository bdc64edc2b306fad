"""What every search space promises."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from nas.blocks import Block, build
from nas.costs.estimation import trace_network
from nas.errors import NasError
from nas.plugins import default_registry
from nas.spaces import (
    Architecture,
    Network,
    Space,
    canonical_network,
    load_space,
    output_signature,
    parse_space,
)
from nas.testing.cost_model import check_numbers
from nas.testing.modules import no_random_numbers, one_thread, told, without_grad
from nas.testing.pricing import example_targets, judging_models, predicted

BATCH = 2
MOST_NEIGHBOURS = 24
DRAWN = 4096
SURE = 256
"""A decision that mattered so often, and never took an option, cannot take it."""


class SpaceConformance:
    """Tests of one space; a subclass gives it by the fixture `space`: a registered name, the path of a space
    file, or a `Space`.

    `samples` architectures are looked at, and all of a space of up to `listed`. A `Space` of blocks that no
    installed plugin offers needs the fixture `blocks`, a mapping from names to blocks.

    >>> class TestMySpace(SpaceConformance):
    ...     @pytest.fixture
    ...     def space(self):
    ...         return "my-space"
    """

    samples: ClassVar[int] = 6
    listed: ClassVar[int] = 2_000
    cost_models: ClassVar[Sequence[str]] = ()

    @pytest.fixture
    def space(self) -> str | Path | Space:
        """The space to test."""
        raise NotImplementedError("give the space to test by a fixture named 'space'")

    @pytest.fixture
    def blocks(self) -> Mapping[str, Block]:
        """Every block that the space may use."""
        return default_registry().blocks

    @pytest.fixture
    def found(self, space: str | Path | Space) -> Space:
        """The space itself."""
        return found_space(space)

    @pytest.fixture
    def architectures(self, found: Space) -> list[Architecture]:
        """Some of its architectures, always the same ones."""
        rng = np.random.default_rng(0)
        return [found.sample(rng) for _ in range(self.samples if found.size() > 1 else 1)]

    @pytest.fixture(autouse=True)
    def one_thread(self) -> Iterator[None]:
        """Torch on one thread."""
        with one_thread():
            yield

    def test_is_described(self, space: str | Path | Space, found: Space) -> None:
        """A user can find out what it is."""
        assert found.name, "the space has no name"
        if isinstance(space, str) and not space.endswith(".toml"):
            source = default_registry().spaces[space]
            assert source.description or found.description, "give the space a `description` of one line"

    def test_its_size_is_that_of_its_list(self, found: Space) -> None:
        """It holds a network; where it is small, what it lists is all of it, each once."""
        size = found.size()
        assert size >= 1, "holds no network"
        if size > self.listed:
            pytest.skip(f"{size:,} vectors are too many to list")
        vectors = [tuple(vector.tolist()) for vector in found.enumerate()]
        assert len(vectors) == size, f"says it has {size:,} vectors and lists {len(vectors):,}"
        assert len(set(vectors)) == size, "lists a vector twice"
        for vector in vectors:
            check_vector(found, vector)

    def test_samples_are_valid(self, found: Space, architectures: list[Architecture]) -> None:
        """Whatever is drawn is of the space, in its canonical form."""
        for vector in found.sample_vectors(self.samples, np.random.default_rng(1)):
            check_vector(found, vector.tolist())
        for architecture in architectures:
            with told(describe(architecture)):
                check_architecture(found, architecture)

    def test_one_seed_gives_one_sample(self, found: Space, architectures: list[Architecture]) -> None:
        """It draws from the generator it is given, and from no other."""
        rng = np.random.default_rng(0)
        with no_random_numbers("sampling"):
            again = [found.sample(rng) for _ in architectures]
        assert again == architectures, "gives other samples with the same seed"
        if found.size() > 10_000:
            other = [found.sample(np.random.default_rng(seed)) for seed in range(5)]
            assert len(set(other)) > 1, "gives the same sample with every seed"

    def test_vectors_and_architectures_are_two_forms_of_one(
        self, found: Space, architectures: list[Architecture]
    ) -> None:
        """Encoding what was decoded gives the vector back."""
        for vector in found.sample_vectors(self.samples, np.random.default_rng(2)):
            architecture = found.decode(vector)
            with told(describe(architecture)):
                assert found.encode(architecture).tolist() == vector.tolist(), (
                    "encoding the architecture of a vector gives another vector"
                )
        for architecture in architectures:
            with told(describe(architecture)):
                decoded = found.decode(found.encode(architecture))
                assert decoded == architecture, "decoding its vector gives another architecture"
                assert decoded.choices == architecture.choices, "decoding its vector gives other choices"

    def test_neighbours_are_one_decision_away(self, found: Space, architectures: list[Architecture]) -> None:
        """Each differs in one decision, and in those that this one opens or closes."""
        for architecture in architectures[:2]:
            neighbours = found.neighbours(architecture)
            with told(describe(architecture)):
                assert len(set(neighbours)) == len(neighbours), "lists a neighbour twice"
                assert architecture not in neighbours, "is its own neighbour"
                step = max(1, len(neighbours) // MOST_NEIGHBOURS)
                for neighbour in neighbours[::step]:
                    check_architecture(found, neighbour)
                    changed = _changed(architecture, neighbour)
                    assert len(changed) == 1, f"a neighbour differs in {len(changed)} decisions: {changed}"

    def test_variation_stays_inside(self, found: Space, architectures: list[Architecture]) -> None:
        """Mutation gives another architecture, crossover a mix of two."""
        if found.size() == 1:
            pytest.skip("holds a single network")
        rng = np.random.default_rng(3)
        for architecture in architectures:
            with told(describe(architecture)):
                mutated = found.mutate(architecture, rng)
                check_architecture(found, mutated)
                assert mutated != architecture or self._has_one_network(found), "mutates into itself"
                child = found.crossover(architecture, mutated, rng)
                check_architecture(found, child)
                given = [architecture.values(), mutated.values()]
                strange = [
                    name
                    for name, option in child.values().items()
                    if any(name in parent for parent in given)
                    and all(parent.get(name, _NOTHING) != option for parent in given)
                ]
                assert not strange, f"crossover takes {strange} from neither parent"

    def test_one_network_has_one_identity(self, found: Space, architectures: list[Architecture]) -> None:
        """Equal networks have equal hashes, different ones have not."""
        others = [*architectures, *found.neighbours(architectures[0])[:MOST_NEIGHBOURS]]
        for one in architectures:
            for other in others:
                with told(f"{describe(one)} and {describe(other)}"):
                    if _content(one) == _content(other):
                        assert one.hash == other.hash, "equal networks have different hashes"
                    else:
                        assert one.hash != other.hash, "different networks have one hash"

    def test_networks_can_be_built(
        self, found: Space, architectures: list[Architecture], blocks: Mapping[str, Block]
    ) -> None:
        """Every sample builds without memory, runs, and gives what the space says it gives."""
        for architecture in architectures:
            network = _network(architecture)
            with told(describe(architecture)):
                try:
                    y = _output(network, blocks)
                except NasError as error:
                    raise AssertionError(f"cannot be built: {error}") from error
                declared = output_signature(network, blocks).shape
                assert tuple(y.shape) == (BATCH, *declared), (
                    f"gives {tuple(y.shape[1:])}, declared is {declared}"
                )

    def test_every_option_can_be_taken(self, found: Space) -> None:
        """No decision has an option that no architecture takes."""
        met = _Met(found)
        if found.size() <= self.listed:
            met.take(found.enumerate())
            never = met.missing()
        else:
            met.take(found.sample_vectors(DRAWN, np.random.default_rng(4)))
            never = met.missing(SURE)
        assert not never, f"no architecture takes {', '.join(never[:8])}"

    def test_every_architecture_is_priced(
        self, architectures: list[Architecture], blocks: Mapping[str, Block]
    ) -> None:
        """The cost models that come with nas have a finite price for every sample; others may refuse."""
        models = judging_models(self.cost_models, default_registry())
        if not models:
            pytest.skip("no cost model is installed")
        target = example_targets()[0]
        registry: Any = SimpleNamespace(blocks=blocks)
        for architecture in architectures:
            network = _network(architecture)
            with told(describe(architecture)):
                trace = trace_network(network, target, registry)
                for model in models:
                    cost = predicted(model, trace, target)
                    check_numbers(cost)
                    assert cost.latency_ms > 0, f"latency_ms by {model.name} is 0"

    def test_architectures_survive_as_text(self, found: Space, architectures: list[Architecture]) -> None:
        """What a store keeps of an architecture is all of it."""
        for architecture in architectures:
            with told(describe(architecture)):
                read = Architecture.from_json(architecture.to_json())
                assert read.hash == architecture.hash, "has another hash after a round trip through JSON"
                assert read.choices == architecture.choices, "JSON changes its choices"
                assert read.to_json() == architecture.to_json(), "JSON is not the same the second time"
                assert found.encode(read).tolist() == found.encode(architecture).tolist(), (
                    "has another vector after a round trip through JSON"
                )

    def test_its_text_is_all_of_it(self, found: Space, blocks: Mapping[str, Block]) -> None:
        """A study keeps the text of its space and goes on from that."""
        if not found.text:
            pytest.skip("the space was made without a text")
        again = parse_space(found.text, blocks)
        assert (again.name, again.size()) == (found.name, found.size()), "its text holds another space"
        assert again.decisions == found.decisions, "its text holds other decisions"

    def _has_one_network(self, found: Space) -> bool:
        """Whether all vectors lead to one network."""
        if found.size() > self.listed:
            return False
        return len({found.decode(vector).hash for vector in found.enumerate()}) == 1


_NOTHING = object()


class _Met:
    """How often each option of each decision was taken, and how often the decision mattered."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._taken = [[0] * len(decision.options) for decision in space.decisions]

    def take(self, vectors: Iterable[np.ndarray]) -> None:
        """Counts what these vectors take."""
        for vector in vectors:
            for column in self._space.active(vector):
                self._taken[column][int(vector[column])] += 1

    def missing(self, least: int = 0) -> list[str]:
        """The options that were never taken, of decisions that mattered at least so often."""
        return [
            f"{decision.name} = {option}"
            for decision, counts in zip(self._space.decisions, self._taken, strict=True)
            for option, count in zip(decision.options, counts, strict=True)
            if not count and sum(counts) >= least
        ]


def found_space(space: str | Path | Space) -> Space:
    """The space of a name, a path or itself, with a plain message where it cannot be had."""
    if isinstance(space, Space):
        return space
    try:
        return load_space(space, default_registry())
    except NasError as error:
        raise AssertionError(f"does not load: {error}") from None


def check_vector(space: Space, vector: Sequence[int]) -> None:
    """Fails where a vector is not a valid canonical one of the space."""
    with told(f"the vector {list(vector)}"):
        assert space.is_valid(vector), "a block does not fit where it stands"
        assert space.canonical(vector).tolist() == list(vector), "is not canonical"


def check_architecture(space: Space, architecture: Architecture) -> None:
    """Fails where an architecture is not one of the space."""
    try:
        vector = space.encode(architecture).tolist()
    except NasError as error:
        raise AssertionError(f"is no architecture of the space: {error}") from None
    check_vector(space, vector)
    assert space.decode(vector) == architecture, "its choices lead to another network"


def describe(architecture: Architecture) -> str:
    """An architecture in a message."""
    return ", ".join(f"{name}={option}" for name, option in architecture.choices) or "the only network"


def _changed(one: Architecture, other: Architecture) -> list[str]:
    """The decisions that matter in both and differ."""
    mine, theirs = one.values(), other.values()
    return [name for name, option in mine.items() if name in theirs and theirs[name] != option]


def _content(architecture: Architecture) -> object:
    """What the identity of an architecture is made of."""
    if architecture.network is None:
        return dict(architecture.choices)
    return canonical_network(architecture.network)


def _network(architecture: Architecture) -> Network:
    if architecture.network is None:
        pytest.skip("a flat space has no networks")
    return architecture.network


def _output(network: Network, blocks: Mapping[str, Block]) -> torch.Tensor:
    """What a network gives, on the meta device."""
    with torch.device("meta"):
        module = build(network, blocks).eval()
        return without_grad(module, torch.zeros((BATCH, *network.input.shape)))
