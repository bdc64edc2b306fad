"""Local search: the neighbourhood of the front, one decision at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.search.front import crowding_distance
from nas.search.prices import Pricing
from nas.search.searcher import SearcherSetup
from nas.search.searchers.design import spread_design
from nas.search.searchers.parents import Parents
from nas.search.searchers.random_search import new_sample
from nas.search.searchers.turns import Turns
from nas.search.seeding import generator
from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture

INITIAL = 8
TRIES = 32
"""So many single steps are tried before double ones."""


class LocalSearch:
    """Pareto local search (Paquete et al. 2004; White et al., arXiv:2004.08996, for one objective).

    After a start that is spread over the first known objective it proposes untried neighbours of the front's
    members, those of less crowded ones more often. Where a few steps lead to nothing new it steps two
    decisions away, then draws at random.
    """

    def __init__(self, setup: SearcherSetup) -> None:
        self._space = setup.space
        self._seed = setup.seed
        self._pricing = Pricing(setup.known, setup.constraints)
        self._parents = Parents(setup.objectives, setup.constraints)
        self._turns = Turns()
        self._axes = [o.name for o in setup.objectives if o.name in setup.known]
        self._start: list[Architecture] | None = None
        self._front: tuple[list[Architecture], NDArray[np.float64]] | None = None

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` new architectures that keep the known constraints; fewer where none are found."""
        suggestions = (self._one() for _ in range(n))
        return [architecture for architecture in suggestions if architecture is not None]

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Takes results, of architectures that it never proposed too."""
        for result in self._turns.new(results):
            self._parents.add(result)
            self._front = None

    def _one(self) -> Architecture | None:
        rng = generator(self._seed, "local", *self._turns.next())
        found = self._initial() if self._turns.told < INITIAL else self._step(rng)
        found = found or new_sample(self._space, self._pricing, self._turns, rng)
        if found is not None:
            self._turns.suggest(found.hash)
        return found

    def _initial(self) -> Architecture | None:
        """The next new one of the start; None where no objective is known."""
        if self._start is None and self._axes:
            rng = generator(self._seed, "design")
            self._start = spread_design(self._space, self._pricing, self._axes[0], 2 * INITIAL, rng)
        return next((a for a in self._start or () if self._turns.is_new(a.hash)), None)

    def _step(self, rng: np.random.Generator) -> Architecture | None:
        """A new neighbour of the front that keeps the known constraints; None where none was met."""
        if not self._parents.front or self._space.size() == 1:
            return None
        if self._front is None:
            self._front = [architecture for architecture, _ in self._parents.front], self._shares()
        front, shares = self._front
        for steps in (1, 2):
            for _ in range(TRIES):
                found = front[int(np.searchsorted(shares, rng.random() * shares[-1]))]
                for _ in range(steps):
                    found = self._space.mutate(found, rng)
                if self._turns.is_new(found.hash) and self._pricing.allowed([found]):
                    return found
        return None

    def _shares(self) -> NDArray[np.float64]:
        """How likely each member of the front is to be the next one's neighbour, summed up to it."""
        crowding = crowding_distance(np.stack([row for _, row in self._parents.front]))
        largest = crowding[np.isfinite(crowding)].max(initial=0.0) or 1.0
        return np.cumsum(np.minimum(crowding, largest) + largest / 4)
