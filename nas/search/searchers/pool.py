"""What a searcher may propose: all of a small space, or samples and changes of the best, priced at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nas.search.prices import Pricing
from nas.search.searchers.design import cheaper_ones
from nas.search.searchers.features import FeatureEncoder, Features
from nas.search.seeding import generator

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture
    from nas.spaces.space import Space

Matrix = NDArray[np.float64]
LISTABLE = 20_000
LISTABLE_NETWORKS = 5_000
"""Up to these sizes all of a space is looked at; to lay out a network takes longer than to pick options."""

SAMPLE_SHARE, MUTATION_SHARE = 0.1, 0.6


@dataclass(frozen=True)
class Candidates:
    """Different architectures with their features and known values, one row each."""

    architectures: tuple[Architecture, ...]
    features: Features
    known: Matrix

    def __len__(self) -> int:
        return len(self.architectures)

    def take(self, rows: NDArray[np.int64]) -> Candidates:
        """Some of the rows."""
        chosen = tuple(self.architectures[row] for row in rows.tolist())
        return Candidates(chosen, self.features.take(rows), self.known[rows])

    @staticmethod
    def concatenate(parts: Sequence[Candidates]) -> Candidates:
        """The rows of all parts."""
        every = tuple(architecture for part in parts for architecture in part.architectures)
        features = Features.join([part.features for part in parts])
        return Candidates(every, features, np.concatenate([part.known for part in parts]))


@dataclass(frozen=True)
class Sizes:
    """How many candidates are drawn at first, afresh for each plan, and in each round around the best."""

    base: int
    fresh: int
    round: int


FLAT = Sizes(1024, 384, 128)
NETWORKS = Sizes(128, 96, 32)
"""Fewer networks: the first price of a layer takes milliseconds."""


class Pool:
    """The candidates of a space that keep the known constraints.

    `names` are the known values that candidates carry, in this order. A space of up to 20,000 choices (5,000
    networks) is listed; of a larger one some samples and the way down to the cheapest form the `base`, and
    each plan draws more around the best results.
    """

    def __init__(self, space: Space, pricing: Pricing, seed: int) -> None:
        self._space = space
        self._pricing = pricing
        self._seed = seed
        self.names = pricing.names
        self.is_listed = space.size() <= (LISTABLE_NETWORKS if space.slots else LISTABLE)
        self._vectors: dict[tuple[tuple[str, Any], ...], NDArray[np.int64]] = {}
        self.sizes = NETWORKS if space.slots else FLAT

    @cached_property
    def base(self) -> Candidates:
        """What is looked at in every plan."""
        return self.candidates(self._base_architectures, self._base_known)

    @cached_property
    def encoder(self) -> FeatureEncoder:
        """Scales features by what the base costs."""
        return FeatureEncoder(self._space, self._base_known)

    def candidates(self, architectures: Sequence[Architecture], known: Matrix) -> Candidates:
        """Architectures with their features."""
        vectors = [self._space.encode(architecture) for architecture in architectures]
        return Candidates(tuple(architectures), self._encoded(vectors, known), known)

    def features(self, evaluated: Sequence[Architecture], known: Matrix) -> Features:
        """The features of architectures that come again with every plan, whatever constraints they keep."""
        for architecture in evaluated:
            # By the choices: two ways to spell one network are different vectors.
            if architecture.choices not in self._vectors:
                self._vectors[architecture.choices] = self._space.encode(architecture)
        return self._encoded([self._vectors[architecture.choices] for architecture in evaluated], known)

    def _encoded(self, vectors: Sequence[NDArray[np.int64]], known: Matrix) -> Features:
        shape = (len(vectors), len(self._space.decisions))
        return self.encoder(np.array(vectors, dtype=np.int64).reshape(shape), known)

    def known_of(self, architectures: Sequence[Architecture]) -> Matrix:
        """Their known values, (n, names)."""
        rows = [[values[name] for name in self.names] for values in self._pricing.values(architectures)]
        return np.array(rows, dtype=np.float64).reshape(len(architectures), len(self.names))

    def fresh(
        self, parents: Sequence[Architecture], rng: np.random.Generator, is_new: Callable[[str], bool]
    ) -> Candidates:
        """New candidates around good results, in a space that is not listed."""
        return self._allowed(a for a in self._bred(parents, rng) if is_new(a.hash))

    def around(
        self, parents: Sequence[Architecture], rng: np.random.Generator, is_new: Callable[[str], bool]
    ) -> Candidates:
        """New candidates one step from promising ones."""
        each = max(1, self.sizes.round // max(1, len(parents)))
        steps = (self._space.mutate(parent, rng) for parent in parents for _ in range(each))
        return self._allowed(a for a in steps if is_new(a.hash))

    def _bred(self, parents: Sequence[Architecture], rng: np.random.Generator) -> Iterable[Architecture]:
        for _ in range(self.sizes.fresh):
            kind = rng.random()
            one, other = (parents[int(index)] for index in rng.integers(len(parents), size=2))
            if kind < SAMPLE_SHARE:
                yield self._space.sample(rng)
            elif kind < SAMPLE_SHARE + MUTATION_SHARE or one == other:
                yield self._space.mutate(one, rng)
            else:
                yield self._space.crossover(one, other, rng)

    def _allowed(self, architectures: Iterable[Architecture]) -> Candidates:
        distinct = list({a.hash: a for a in architectures}.values())
        return self.candidates(*self._priced(distinct))

    def _priced(self, architectures: Sequence[Architecture]) -> tuple[list[Architecture], Matrix]:
        """Those that keep the constraints and whose known values are numbers, with these values."""
        values = self._pricing.values(architectures)
        known = np.array([[v[name] for name in self.names] for v in values], dtype=np.float64)
        known = known.reshape(len(architectures), len(self.names))
        fits = [self._pricing.is_allowed(v) for v in values]
        rows = np.flatnonzero(np.array(fits, dtype=np.bool_) & np.isfinite(known).all(axis=1))
        return [architectures[row] for row in rows.tolist()], known[rows]

    @cached_property
    def _base(self) -> tuple[list[Architecture], Matrix]:
        rng = generator(self._seed, "pool")
        if self.is_listed:
            every = {a.hash: a for a in map(self._space.decode, self._space.enumerate())}
            listing = list(every.values())
            return self._priced([listing[index] for index in rng.permutation(len(listing)).tolist()])
        vectors = self._space.sample_vectors(self.sizes.base, rng)
        drawn = {a.hash: a for a in map(self._space.decode, vectors)}
        return self._with_cheap_end(*self._priced(list(drawn.values())), rng)

    def _with_cheap_end(
        self, architectures: list[Architecture], known: Matrix, rng: np.random.Generator
    ) -> tuple[list[Architecture], Matrix]:
        if not self.names or not architectures:
            return architectures, known
        start = architectures[int(np.argmin(known[:, 0]))]
        steps = [a for a, _ in cheaper_ones(self._space, self._pricing, self.names[0], start, rng)]
        added, prices = self._priced(list({a.hash: a for a in steps if a not in architectures}.values()))
        return architectures + added, np.concatenate([known, prices])

    @property
    def _base_architectures(self) -> list[Architecture]:
        return self._base[0]

    @property
    def _base_known(self) -> Matrix:
        return self._base[1]
