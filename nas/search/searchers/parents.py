"""The results that evolution breeds from."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nas.search.front import crowding_distance, is_candidate, non_dominated_ranks
from nas.search.objective import Constraint, Objective
from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture

POPULATION = 64
TOURNAMENT = 4


class Parents:
    """The last 64 finished results that keep every constraint, and the front of all of them.

    The population ages: an old result that is not on the front makes way for a new one, however good. A
    tournament prefers the lower non-dominated rank, then the larger crowding distance.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
        self._objectives = tuple(objectives)
        self._constraints = tuple(constraints)
        self._recent: deque[tuple[Architecture, NDArray[np.float64]]] = deque(maxlen=POPULATION)
        self.front: list[tuple[Architecture, NDArray[np.float64]]] = []
        self._sorted: list[Architecture] | None = None

    def __len__(self) -> int:
        return len(self._recent)

    def add(self, result: TrialResult) -> None:
        """Takes a result; failed, stopped and infeasible ones are left out."""
        if not is_candidate(result, self._objectives, self._constraints):
            return
        values = np.array([o.sign * result.values[o.name] for o in self._objectives])
        member = (result.architecture, values)
        self._recent.append(member)
        self._sorted = None
        if self.front:
            others = np.stack([row for _, row in self.front])
            if (others <= values).all(axis=1).any():  # beaten, or as good as one that is there
                return
            left = np.flatnonzero(~(others >= values).all(axis=1))
            self.front = [self.front[index] for index in left]
        self.front.append(member)

    def tournament(self, rng: np.random.Generator) -> Architecture:
        """The best of four random parents."""
        if self._sorted is None:
            self._sorted = self._sort()
        return self._sorted[int(rng.integers(len(self._sorted), size=TOURNAMENT).min())]

    def _sort(self) -> list[Architecture]:
        """All parents by rank, then by crowding."""
        members = {a.hash: (a, row) for a, row in [*self._recent, *self.front]}
        architectures = [architecture for architecture, _ in members.values()]
        values = np.stack([row for _, row in members.values()])
        order = np.lexsort((-crowding_distance(values), non_dominated_ranks(values)))
        return [architectures[index] for index in order.tolist()]
