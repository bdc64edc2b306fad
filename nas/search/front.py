"""The Pareto front: which points no other one beats, in which order, how far apart."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.errors import UsageError
from nas.search.objective import Constraint, Objective
from nas.search.trial import TrialResult, TrialState

Values = NDArray[np.float64]


def checked_values(values: ArrayLike) -> Values:
    """The values as an (n, objectives) float64 array; UsageError where one is NaN, infinite or no number."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError("objective values must be an array of numbers, one row for each point") from None
    if array.ndim != 2 or array.shape[1] == 0:
        if array.size == 0:
            return np.empty((0, array.shape[1] if array.ndim == 2 and array.shape[1] else 1))
        raise UsageError(f"objective values must have one row for each point, not the shape {array.shape}")
    if not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise UsageError(f"objective values must be finite; row {row} is {array[row].tolist()}")
    return array


def non_dominated(values: ArrayLike) -> NDArray[np.bool_]:
    """Which of n points no other one dominates, all objectives minimised: a mask of shape (n,).

    A point dominates another where it is nowhere worse and somewhere better; equal points do not dominate
    each other. `values` has shape (n, objectives). Raises UsageError for NaN and infinities.

    >>> non_dominated([[1.0, 3.0], [2.0, 2.0], [2.0, 4.0]]).tolist()
    [True, True, False]
    """
    array = checked_values(values)
    if len(array) == 0:
        return np.zeros(0, dtype=np.bool_)
    order = np.lexsort(array.T[::-1])
    points = array[order]
    is_new = np.ones(len(points), dtype=np.bool_)
    is_new[1:] = (points[1:] != points[:-1]).any(axis=1)
    distinct = _distinct_non_dominated(points[is_new])
    mask: NDArray[np.bool_] = np.empty(len(points), dtype=np.bool_)
    mask[order] = distinct[np.cumsum(is_new) - 1]
    return mask


def _distinct_non_dominated(points: Values) -> NDArray[np.bool_]:
    """The mask for distinct points in lexicographic order: only an earlier one can dominate a later one."""
    objectives = points.shape[1]
    if objectives == 1:
        return np.asarray(np.arange(len(points)) == 0)
    if objectives == 2:
        best = np.minimum.accumulate(points[:, 1])
        return np.concatenate(([True], points[1:, 1] < best[:-1]))
    if objectives == 3:
        return _sweep(points)
    return _eliminate(points)


def _sweep(points: Values) -> NDArray[np.bool_]:
    """Three objectives: along the first one, a staircase of the best third over the second."""
    mask = np.zeros(len(points), dtype=np.bool_)
    seconds: list[float] = []
    thirds: list[float] = []
    for index, (second, third) in enumerate(zip(*points[:, 1:].T.tolist(), strict=True)):
        position = bisect_right(seconds, second)
        if position and thirds[position - 1] <= third:
            continue
        mask[index] = True
        start = end = bisect_left(seconds, second)
        while end < len(thirds) and thirds[end] >= third:
            end += 1
        seconds[start:end] = [second]
        thirds[start:end] = [third]
    return mask


def _eliminate(points: Values) -> NDArray[np.bool_]:
    """Any number of objectives: the first point left is on the front and takes those it dominates along."""
    mask = np.zeros(len(points), dtype=np.bool_)
    left = np.arange(len(points))
    while len(left):
        mask[left[0]] = True
        left = left[~(points[left] >= points[left[0]]).all(axis=1)]
    return mask


def non_dominated_ranks(values: ArrayLike) -> NDArray[np.int64]:
    """For each point the number of fronts that must be taken away before it is on the front itself.

    >>> non_dominated_ranks([[1.0, 1.0], [2.0, 2.0], [3.0, 0.0]]).tolist()
    [0, 1, 0]
    """
    array = checked_values(values)
    if array.shape[1] == 2:
        return _ranks_of_pairs(array)
    ranks = np.zeros(len(array), dtype=np.int64)
    left = np.arange(len(array))
    rank = 0
    while len(left):
        mask = non_dominated(array[left])
        ranks[left[mask]] = rank
        left = left[~mask]
        rank += 1
    return ranks


def _ranks_of_pairs(points: Values) -> NDArray[np.int64]:
    """Two objectives: along the first, the rank is the number of fronts that reach as low in the second."""
    ranks = np.zeros(len(points), dtype=np.int64)
    lowest: list[float] = []
    previous: tuple[float, float] | None = None
    rank = 0
    for index in np.lexsort((points[:, 1], points[:, 0])).tolist():
        point = (float(points[index, 0]), float(points[index, 1]))
        if point != previous:
            rank = bisect_right(lowest, point[1])
            lowest[rank : rank + 1] = [point[1]]
            previous = point
        ranks[index] = rank
    return ranks


def crowding_distance(values: ArrayLike) -> Values:
    """How alone each point of a front is: the larger, the further its neighbours; infinite at the ends.

    The distance between the neighbours in each objective, relative to the objective's range, summed.
    """
    array = checked_values(values)
    distance = np.zeros(len(array))
    for column in array.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        span = ordered[-1] - ordered[0] if len(ordered) else 0.0
        if len(order):
            distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += ordered[2:] / span - ordered[:-2] / span
    return distance


@dataclass(frozen=True)
class Front(Sequence[TrialResult]):
    """The non-dominated finished trials of a study, in an order that depends on nothing but them.

    Ordered by the last objective, best first (with accuracy and latency: the fastest first), then by the
    others from the last to the first, then by the hash of the architecture.
    """

    members: tuple[TrialResult, ...]
    objectives: tuple[Objective, ...]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self.members)

    @overload
    def __getitem__(self, index: int) -> TrialResult: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TrialResult, ...]: ...
    def __getitem__(self, index: int | slice) -> TrialResult | tuple[TrialResult, ...]:
        return self.members[index]

    @property
    def values(self) -> Values:
        """The objective values in the user's direction, of shape (members, objectives)."""
        return self.minimised * [objective.sign for objective in self.objectives]

    @property
    def minimised(self) -> Values:
        """The objective values, each turned so that less is better."""
        return minimised_values(self.members, self.objectives)

    @property
    def crowding(self) -> Values:
        """The crowding distance of each member."""
        return crowding_distance(self.minimised)


def minimised_values(results: Sequence[TrialResult], objectives: Sequence[Objective]) -> Values:
    """The objective values of results, each turned so that less is better, of shape (results, objectives)."""
    rows = [
        [objective.sign * result.values[objective.name] for objective in objectives] for result in results
    ]
    return np.array(rows, dtype=np.float64).reshape(len(results), len(objectives))


def front_of(
    results: Sequence[TrialResult],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> Front:
    """The front of some results: finished, with every objective, keeping every constraint."""
    candidates = [result for result in results if is_candidate(result, objectives, constraints)]
    values = minimised_values(candidates, objectives)
    members = [candidates[index] for index in np.flatnonzero(non_dominated(values))]
    members.sort(
        key=lambda result: (
            *(objective.sign * result.values[objective.name] for objective in reversed(objectives)),
            result.architecture.hash,
        )
    )
    return Front(tuple(members), tuple(objectives))


def is_candidate(
    result: TrialResult, objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
) -> bool:
    """Whether a result may stand on a front."""
    if result.state is not TrialState.FINISHED:
        return False
    if any(objective.name not in result.values for objective in objectives):
        return False
    nan = float("nan")
    return all(constraint.allows(result.values.get(constraint.name, nan)) for constraint in constraints)
