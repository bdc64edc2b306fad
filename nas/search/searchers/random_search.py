"""Random search: the baseline every other searcher has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.search.prices import Pricing
from nas.search.searcher import SearcherSetup
from nas.search.searchers.turns import Turns
from nas.search.seeding import generator
from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture

if TYPE_CHECKING:
    import numpy as np

    from nas.spaces.space import Space

CHUNKS = 64
CHUNK = 16


class RandomSearch:
    """Independent random architectures that keep the known constraints, none twice."""

    def __init__(self, setup: SearcherSetup) -> None:
        self._space = setup.space
        self._seed = setup.seed
        self._pricing = Pricing(setup.known, setup.constraints)
        self._turns = Turns()

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` new random architectures; fewer where a thousand samples hold no new allowed one."""
        suggestions = (self._one() for _ in range(n))
        return [architecture for architecture in suggestions if architecture is not None]

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Takes note of what was evaluated."""
        self._turns.new(results)

    def _one(self) -> Architecture | None:
        rng = generator(self._seed, "random", *self._turns.next())
        found = new_sample(self._space, self._pricing, self._turns, rng)
        if found is not None:
            self._turns.suggest(found.hash)
        return found


def new_sample(space: Space, pricing: Pricing, turns: Turns, rng: np.random.Generator) -> Architecture | None:
    """A random architecture that is new and keeps the known constraints; None where a thousand samples
    hold none."""
    size = 1
    for _ in range(CHUNKS):
        chunk = [space.sample(rng) for _ in range(size)]
        fresh = pricing.allowed([a for a in chunk if turns.is_new(a.hash)])
        if fresh:
            return fresh[0]
        size = CHUNK
    return None
