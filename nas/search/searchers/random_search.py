"""Random search: the baseline every other searcher has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from nas.search.prices import Pricing
from nas.search.searcher import SearcherSetup
from nas.search.searchers.turns import Turns
from nas.search.seeding import generator
from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture

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
        """Up to `n` new random architectures; fewer where 1,024 samples hold no new allowed one."""
        suggestions = (self._one() for _ in range(n))
        return [architecture for architecture in suggestions if architecture is not None]

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Takes note of what was evaluated."""
        self._turns.new(results)

    def _one(self) -> Architecture | None:
        rng = generator(self._seed, "random", *self._turns.next())
        size = 1
        for _ in range(CHUNKS):
            chunk = [self._space.sample(rng) for _ in range(size)]
            fresh = self._pricing.allowed([a for a in chunk if self._turns.is_new(a.hash)])
            if fresh:
                self._turns.suggest(fresh[0].hash)
                return fresh[0]
            size = CHUNK
        return None
