"""Evolution: an ageing population, several objectives, offspring chosen by what they are known to cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.search.prices import Pricing
from nas.search.searcher import SearcherSetup
from nas.search.searchers.design import log_costs, spread_design
from nas.search.searchers.parents import Parents
from nas.search.searchers.turns import Turns
from nas.search.seeding import generator
from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture

INITIAL = 8
OFFSPRING = 4
CROSSOVER = 0.5
FRESH = 0.05
CHUNKS = 16
BELOW, ABOVE = 0.1, 0.3
"""How far past the ends of the front, in its lengths, costs are tried; further at the dear one."""


class Evolution:
    """Regularised evolution (Real et al. 2019) for several objectives, some of them known beforehand.

    It begins with architectures spread over the first known objective, its cheap end included. Then it
    breeds: parents win tournaments by non-dominated rank and crowding, children are mixed and mutated, and
    of four children that keep the known constraints the one is proposed whose cost lies nearest to a random
    place along the front, so that the trials spread over the whole range of costs.
    """

    def __init__(self, setup: SearcherSetup) -> None:
        self._space = setup.space
        self._seed = setup.seed
        self._pricing = Pricing(setup.known, setup.constraints)
        self._axes = [(i, o.name) for i, o in enumerate(setup.objectives) if o.name in setup.known]
        self._signs = [objective.sign for objective in setup.objectives]
        self._parents = Parents(setup.objectives, setup.constraints)
        self._turns = Turns()
        self._design: list[Architecture] | None = None

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` architectures; fewer where nothing new is found."""
        suggestions = (self._one() for _ in range(n))
        return [architecture for architecture in suggestions if architecture is not None]

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Takes results; each architecture's first one counts."""
        for result in self._turns.new(results):
            self._parents.add(result)

    def _one(self) -> Architecture | None:
        rng = generator(self._seed, "evolution", *self._turns.next())
        found = self._initial() if self._turns.told < INITIAL else self._child(rng)
        found = found or self._sampled(rng)
        if found is not None:
            self._turns.suggest(found.hash)
        return found

    def _initial(self) -> Architecture | None:
        """The next of the design that is new; None where no objective is known, or all are used."""
        if not self._axes:
            return None
        if self._design is None:
            rng = generator(self._seed, "design")
            name = self._axes[0][1]
            self._design = spread_design(self._space, self._pricing, name, 2 * INITIAL, rng)
        return next((a for a in self._design if self._turns.is_new(a.hash)), None)

    def _child(self, rng: np.random.Generator) -> Architecture | None:
        """The child that costs what is wanted; None where there are no parents, or no child is new."""
        if not self._parents or self._space.size() == 1:
            return None
        brood = OFFSPRING if self._axes else 1
        for _ in range(CHUNKS):
            children = {child.hash: child for child in (self._breed(rng) for _ in range(brood))}
            fresh = [child for child in children.values() if self._turns.is_new(child.hash)]
            allowed = self._pricing.allowed(fresh)
            if allowed:
                return self._wanted(allowed, rng)
        return None

    def _breed(self, rng: np.random.Generator) -> Architecture:
        if rng.random() < FRESH:
            return self._space.sample(rng)
        parent = self._parents.tournament(rng)
        if rng.random() >= CROSSOVER:
            return self._space.mutate(parent, rng)
        other = self._parents.tournament(rng)
        child = self._space.crossover(parent, other, rng) if other != parent else parent
        is_plain = child in (parent, other)
        return self._space.mutate(child, rng) if is_plain or rng.random() < CROSSOVER else child

    def _wanted(self, children: list[Architecture], rng: np.random.Generator) -> Architecture:
        """The child nearest to a random place on one of the known objectives, on a logarithmic scale."""
        if not self._axes or len(children) == 1:
            return children[0]
        index, name = self._axes[int(rng.integers(len(self._axes)))]
        front = [self._signs[index] * float(row[index]) for _, row in self._parents.front]
        costs = [values[name] for values in self._pricing.values(children)]
        scale = log_costs([*front, *costs])
        low, high = scale[: len(front)].min(), scale[: len(front)].max()
        places = scale[len(front) :]
        goal = rng.uniform(low - BELOW * (high - low), high + ABOVE * (high - low))
        return children[int(np.argmin(np.abs(places - goal)))]

    def _sampled(self, rng: np.random.Generator) -> Architecture | None:
        for _ in range(CHUNKS):
            sample = [self._space.sample(rng) for _ in range(OFFSPRING)]
            allowed = self._pricing.allowed([a for a in sample if self._turns.is_new(a.hash)])
            if allowed:
                return allowed[0]
        return None
