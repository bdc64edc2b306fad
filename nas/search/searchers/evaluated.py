"""What a model-based searcher knows of the trials so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search.front import crowding_distance, is_candidate, minimised_values, non_dominated_ranks
from nas.search.objective import Constraint, Objective
from nas.search.trial import TrialResult, TrialState
from nas.spaces.architecture import Architecture

Matrix = NDArray[np.float64]
TAUGHT_BY = frozenset({TrialState.FINISHED, TrialState.STOPPED})
"""A stopped trial teaches too, at the fidelity it reached."""


@dataclass(frozen=True)
class Lessons:
    """The results that tell one metric: architectures, values (less is better) and fidelities."""

    architectures: list[Architecture]
    values: Matrix
    fidelities: Matrix


class Evaluated:
    """The latest result of each architecture, by the number of its trial.

    Nothing depends on the order in which results came, so that a resumed study sees what it saw before.
    """

    def __init__(self, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> None:
        self._objectives = tuple(objectives)
        self._constraints = tuple(constraints)
        self._results: dict[str, TrialResult] = {}

    def add(self, result: TrialResult) -> None:
        """Takes a result; a hint, or one that says nothing, leaves what is known of the architecture."""
        before = self._results.get(result.architecture.hash)
        if before is None or _weight(result) >= _weight(before):
            self._results[result.architecture.hash] = result

    def first(self, count: int) -> Evaluated:
        """What was known after so many results, by their numbers."""
        earlier = Evaluated(self._objectives, self._constraints)
        for result in self.ordered[:count]:
            earlier.add(result)
        return earlier

    def lacks(self, architecture_hash: str) -> bool:
        """Whether an architecture has no result."""
        return architecture_hash not in self._results

    @property
    def ordered(self) -> list[TrialResult]:
        """All results by number."""
        return sorted(self._results.values(), key=lambda result: (result.number, result.architecture.hash))

    @property
    def full_fidelity(self) -> int:
        """The largest fidelity that was finished, or met at all."""
        results = self._results.values()
        finished = [r.fidelity for r in results if r.state is TrialState.FINISHED and not r.is_hint]
        return max(finished or [result.fidelity for result in results], default=1)

    def lessons(self, name: str, sign: float) -> Lessons:
        """What the results tell of a metric that only an evaluation tells."""
        taught = [r for r in self.ordered if r.state in TAUGHT_BY and name in r.values]
        values = np.array([sign * result.values[name] for result in taught], dtype=np.float64)
        fidelities = np.array([result.fidelity for result in taught], dtype=np.float64)
        return Lessons([result.architecture for result in taught], values, fidelities)

    @property
    def ranked(self) -> tuple[list[Architecture], Matrix, NDArray[np.int64]]:
        """The finished results that keep every constraint: architectures, values (less is better), ranks.

        Best first: by the number of fronts above them, then the less crowded ones.
        """
        own = (result for result in self.ordered if not result.is_hint)
        fit = [result for result in own if is_candidate(result, self._objectives, self._constraints)]
        values = minimised_values(fit, self._objectives)
        if not fit:
            return [], values, np.zeros(0, dtype=np.int64)
        ranks = non_dominated_ranks(values)
        order = np.lexsort((-crowding_distance(values), ranks))
        return [fit[row].architecture for row in order.tolist()], values[order], ranks[order]


def _weight(result: TrialResult) -> int:
    """How much a result says: that of a trial most, a hint something, one without values nothing."""
    if result.state not in TAUGHT_BY:
        return 0
    return 1 if result.is_hint else 2
