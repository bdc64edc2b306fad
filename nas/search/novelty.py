"""Architectures a study has not met, for when its searcher finds none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.search.prices import Pricing
from nas.search.seeding import generator

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture
    from nas.spaces.space import Space

LISTABLE = 20_000
"""Up to this size every architecture of a space is tried before it counts as exhausted."""

TRIES = 32
LARGE_TRIES = 2_000
CHUNK = 32


class Novelty:
    """Finds architectures that are new and keep the known constraints.

    First small changes of good ones and random ones; then, in a space that can be listed, every architecture
    in a random but fixed order, so that nothing new is left where it gives up.
    """

    def __init__(self, space: Space, pricing: Pricing, seed: int) -> None:
        self._space = space
        self._pricing = pricing
        self._seed = seed
        self.is_listable = space.size() <= LISTABLE
        self._listing: list[Architecture] | None = None
        self._position = 0

    def find(
        self,
        trials: int,
        parents: Sequence[Architecture],
        is_new: Callable[[Architecture], bool],
    ) -> Architecture | None:
        """A new architecture, or None; depends on the seed, the number of trials and what is new alone.

        `parents` are good architectures that keep the constraints; one that is new itself comes first.
        """
        unused = next(filter(is_new, parents), None)
        if unused is not None:
            return unused
        rng = generator(self._seed, "novelty", trials)
        tries = TRIES if self.is_listable else LARGE_TRIES
        for chunk in self._drawn(tries, parents, rng):
            found = self._pricing.allowed([a for a in chunk if is_new(a)])
            if found:
                return found[0]
        return self._listed(is_new) if self.is_listable else None

    def count(self) -> int:
        """The number of different architectures of a listable space once it was searched to its end."""
        return len(self._listing or ())

    def allowed_count(self) -> int:
        """How many of them keep the known constraints."""
        return len(self._pricing.allowed(self._listing or ()))

    def _drawn(
        self, tries: int, parents: Sequence[Architecture], rng: np.random.Generator
    ) -> Iterator[list[Architecture]]:
        has_neighbours = self._space.size() > 1
        for _ in range(0, tries, CHUNK):
            chunk = []
            for turn in range(CHUNK):
                if parents and has_neighbours and turn % 2 == 0:
                    parent = parents[int(rng.integers(len(parents)))]
                    chunk.append(self._space.mutate(parent, rng))
                else:
                    chunk.append(self._space.sample(rng))
            yield chunk

    def _listed(self, is_new: Callable[[Architecture], bool]) -> Architecture | None:
        if self._listing is None:
            self._listing = self._list()
        while self._position < len(self._listing):
            candidate = self._listing[self._position]
            # One that is not new now never will be again, and no constraint changes.
            if is_new(candidate) and self._pricing.allowed([candidate]):
                return candidate
            self._position += 1
        return None

    def _list(self) -> list[Architecture]:
        """Every architecture once, in an order that the seed fixes."""
        distinct = {a.hash: a for a in map(self._space.decode, self._space.enumerate())}
        listing = list(distinct.values())
        order = generator(self._seed, "listing").permutation(len(listing))
        return [listing[int(index)] for index in order]
