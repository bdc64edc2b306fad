"""Rungs: trials pause early, and only the best of those that came as far go on."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nas.errors import UsageError
from nas.search.front import non_dominated, non_dominated_ranks
from nas.search.objective import Constraint, Objective

REDUCTION = 3
"""One trial in so many goes on from a rung, to so many times the steps."""

Values = Mapping[str, float]
History = Sequence[tuple[int, Values]]
"""Steps in ascending order, each with its metrics."""


def rung_steps(fidelity: int, rungs: int) -> tuple[int, ...]:
    """The step of each rung, the full fidelity last: ``fidelity / 3**k``, rounded up.

    Raises UsageError for less than one rung, and for more than the steps have room for.

    >>> rung_steps(27, 3)
    (3, 9, 27)
    """
    if isinstance(rungs, bool) or not isinstance(rungs, int) or rungs < 1:
        raise UsageError(f"rungs must be a whole number of at least 1, not {rungs!r}")
    steps = [fidelity]
    while len(steps) < rungs and steps[-1] > 1:
        steps.append(-(-steps[-1] // REDUCTION))
    if len(steps) < rungs:
        raise UsageError(
            f"{rungs} rungs are too many for {fidelity} epochs: at most {len(steps)} are possible"
            f" (a trial pauses after epochs {', '.join(map(str, reversed(steps)))})"
        )
    return tuple(reversed(steps))


def check_pacing(fidelity: int, rungs: int, stop_below: float) -> None:
    """Raises UsageError for rungs and a threshold that cannot work."""
    rung_steps(fidelity, rungs)
    if isinstance(stop_below, bool) or not isinstance(stop_below, int | float) or not 0 <= stop_below < 1:
        raise UsageError(f"stop_below must be a probability of at least 0 and below 1, not {stop_below!r}")


class Rungs:
    """Asynchronous successive halving on non-dominated rank, in its promotion variant.

    A trial pauses when it comes to the step of a rung. It goes on as soon as it is among the best third of
    all trials that ever came to that rung; nothing waits for a rung to be full. Where the front of a rung is
    more than a third of it, all of the front goes on, up to half of the rung: the front is what is sought.
    What is better is told by `ranking`. After ASHA (arXiv:1810.05934) and MO-ASHA (arXiv:2106.12639).
    """

    def __init__(
        self, steps: Sequence[int], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
    ) -> None:
        self.steps = tuple(steps)
        self._objectives = tuple(objectives)
        self._constraints = tuple(constraints)
        self._names = tuple(dict.fromkeys([*(o.name for o in objectives), *(c.name for c in constraints)]))
        self._members: list[dict[int, Values]] = [{} for _ in self.steps[:-1]]
        self._waiting: dict[int, int] = {}
        self._going_on: dict[int, list[int]] = {}

    @property
    def waiting(self) -> Sequence[int]:
        """The numbers of the paused trials."""
        return tuple(self._waiting)

    def level(self, step: int) -> int:
        """How many rungs lie at or below a step, the last one left out."""
        return bisect_right(self.steps[:-1], step)

    def pauses(self, base: int, step: int) -> bool:
        """Whether a trial that went on from step `base` pauses at `step`."""
        return self.level(step) > self.level(base) and step < self.steps[-1]

    def pause(self, number: int, step: int, values: Values) -> None:
        """Takes a trial that waits at a step; `values` hold its objectives there."""
        self._enter(number, step, values)
        self._waiting[number] = self.level(step) - 1

    def go_on(self, number: int) -> None:
        """Takes note that a paused trial goes on; it still counts among those that came to its rung."""
        del self._waiting[number]

    def recall(self, number: int, known: Values, history: History, *, waits: bool) -> int:
        """Takes the stored steps of a trial; returns the last one at which it paused, 0 for none.

        `waits` says that the trial went no further than it is stored.
        """
        paused = 0
        for (before, _), (step, metrics) in pairwise([(0, {}), *history]):
            if self.pauses(before, step):
                paused = step
                self._enter(number, step, {**known, **metrics})
        if waits and history and paused == history[-1][0] and number in self._members[self.level(paused) - 1]:
            self._waiting[number] = self.level(paused) - 1
        return paused

    def candidate(self, is_worth: Callable[[int], bool] = lambda number: True) -> int | None:
        """The number of the paused trial that goes on next; None where none is good enough.

        The highest rung comes first, and in it the best; one that is not worth it is passed over.
        """
        for level in reversed(range(len(self._members))):
            for number in self._best(level):
                if self._waiting.get(number) == level and is_worth(number):
                    return number
        return None

    def _best(self, level: int) -> list[int]:
        """The trials of a rung that are good enough to go on, best first, whether they wait or not."""
        if level not in self._going_on:
            numbers, values = list(self._members[level]), list(self._members[level].values())
            order = ranking(values, self._objectives, self._constraints)
            front = front_size([values[place] for place in order], self._objectives, self._constraints)
            count = (
                max(len(order) // REDUCTION, min(front, len(order) // 2)) if len(order) >= REDUCTION else 0
            )
            self._going_on[level] = [numbers[place] for place in order[:count]]
        return self._going_on[level]

    def _enter(self, number: int, step: int, values: Values) -> None:
        if all(name in values for name in self._names):
            self._members[self.level(step) - 1][number] = values
            self._going_on.pop(self.level(step) - 1, None)


def front_size(
    values: Sequence[Values], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> int:
    """How many of some points keep the constraints and are dominated by no other that does."""
    kept = [v for v in values if _violation(v, constraints) == 0]
    return int(non_dominated(_table(kept, objectives)).sum())


def ranking(
    values: Sequence[Values], objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> list[int]:
    """The places of some points, best first.

    Those that keep the constraints come before the others, which follow by how far they miss them; then
    counts the non-dominated rank. Within a rank the points are ordered so that each is the one furthest from
    those before it (an epsilon-net), the best by the first objective first: any beginning covers the front.

    >>> ranking([{"a": 1.0}, {"a": 0.0}], [Objective("a", "min")])
    [1, 0]
    """
    table = _table(values, objectives)
    missed = np.array([_violation(v, constraints) for v in values])
    order: list[int] = []
    for miss in np.unique(missed):
        alike = np.flatnonzero(missed == miss)
        ranks = non_dominated_ranks(table[alike])
        for rank in range(int(ranks.max()) + 1):
            front = alike[ranks == rank]
            order += [int(front[place]) for place in epsilon_net(table[front])]
    return order


def epsilon_net(points: NDArray[np.float64]) -> list[int]:
    """The places of points (n, objectives), each the one furthest from all before it; the first is the best
    by the first objective."""
    spans = np.ptp(points, axis=0)
    scaled = points / np.where(spans > 0, spans, 1.0)
    order = [int(np.lexsort(points.T[::-1])[0])]
    distance = np.linalg.norm(scaled - scaled[order[0]], axis=1)
    distance[order[0]] = -1.0
    while len(order) < len(points):
        order.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
        distance[order] = -1.0
    return order


def _table(values: Sequence[Values], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """The objectives of some points, less being better."""
    rows = [[o.sign * v[o.name] for o in objectives] for v in values]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(objectives))


def _violation(values: Values, constraints: Sequence[Constraint]) -> float:
    """How far values miss the limits, relative to these; 0 where they keep all."""
    missed = (c for c in constraints if not c.allows(values[c.name]))
    return float(sum(abs(values[c.name] - c.limit) / (abs(c.limit) or 1.0) for c in missed))
