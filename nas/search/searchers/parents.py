"""The results that evolution breeds from."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nas.search.front import crowding_distance, is_candidate, non_dominated_ranks
from nas.search.objective import Constraint, Objective
from nas.search.trial import TrialResult, TrialState
from nas.spaces.architecture import Architecture

POPULATION = 64
TOURNAMENT = 4


class Parents:
    """The last 64 results that keep every constraint, and the front of all of them.

    The population ages: an old result that is not on the front makes way for a new one, however good. A
    tournament prefers the lower non-dominated rank, then the larger crowding distance. A stopped trial counts
    with what it had reached; when it goes on, its better result takes the place of that.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
        self._objectives = tuple(objectives)
        self._constraints = tuple(constraints)
        self._results: dict[str, TrialResult] = {}
        self._is_stale = False
        self._recent: deque[tuple[Architecture, NDArray[np.float64]]] = deque(maxlen=POPULATION)
        self._front: list[tuple[Architecture, NDArray[np.float64]]] = []
        self._sorted: list[Architecture] | None = None

    def __len__(self) -> int:
        return len(self._recent)

    @property
    def front(self) -> list[tuple[Architecture, NDArray[np.float64]]]:
        """The architectures that no other one beats, with their values, less being better."""
        self._refresh()
        return self._front

    def add(self, result: TrialResult) -> None:
        """Takes a result; failed and infeasible ones are left out."""
        if result.is_hint:
            return
        if result.state is TrialState.STOPPED:
            result = replace(result, state=TrialState.FINISHED)
        if not is_candidate(result, self._objectives, self._constraints):
            return
        if result.architecture.hash in self._results:
            self._is_stale = True
        self._results[result.architecture.hash] = result
        if not self._is_stale:
            self._insert(result)

    def _refresh(self) -> None:
        """Takes all results afresh, by number, after one of them changed."""
        if self._is_stale:
            self._is_stale = False
            self._recent.clear()
            self._front = []
            for result in sorted(self._results.values(), key=lambda result: result.number):
                self._insert(result)

    def _insert(self, result: TrialResult) -> None:
        values = np.array([o.sign * result.values[o.name] for o in self._objectives])
        member = (result.architecture, values)
        self._recent.append(member)
        self._sorted = None
        if self._front:
            others = np.stack([row for _, row in self._front])
            if (others <= values).all(axis=1).any():  # beaten, or as good as one that is there
                return
            left = np.flatnonzero(~(others >= values).all(axis=1))
            self._front = [self._front[index] for index in left]
        self._front.append(member)

    def tournament(self, rng: np.random.Generator) -> Architecture:
        """The best of four random parents."""
        self._refresh()
        if self._sorted is None:
            self._sorted = self._sort()
        return self._sorted[int(rng.integers(len(self._sorted), size=TOURNAMENT).min())]

    def _sort(self) -> list[Architecture]:
        """All parents by rank, then by crowding."""
        members = {a.hash: (a, row) for a, row in [*self._recent, *self._front]}
        architectures = [architecture for architecture, _ in members.values()]
        values = np.stack([row for _, row in members.values()])
        order = np.lexsort((-crowding_distance(values), non_dominated_ranks(values)))
        return [architectures[index] for index in order.tolist()]
