"""The hypervolume: how much of the space below a reference point a front dominates."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nas.errors import UsageError
from nas.search.front import checked_values, non_dominated

Values = NDArray[np.float64]


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """The volume that points dominate below `reference`, all objectives minimised; exact in any dimension.

    `values` has shape (n, objectives), `reference` one number for each objective; points that are not below
    it in every objective add nothing. Takes n log n steps for two objectives, n·front at worst for three, and
    grows fast with each further one. Raises UsageError for NaN and infinities.

    >>> hypervolume([[1.0, 2.0], [2.0, 1.0]], [3.0, 3.0])
    3.0
    """
    array = checked_values(values)
    limit = checked_values(np.array(reference, dtype=object).reshape(1, -1))[0]
    if len(array) and array.shape[1] != len(limit):
        raise UsageError(f"the reference point has {len(limit)} values, the points have {array.shape[1]}")
    inside = array[(array < limit).all(axis=1)] if len(array) else array
    return _volume(inside, limit) if len(inside) else 0.0


def hypervolume_history(values: ArrayLike, reference: ArrayLike) -> Values:
    """The hypervolume after each of the points, taken in order; shape (n,)."""
    array = checked_values(values)
    history = np.zeros(len(array))
    kept = array[:0]
    for index, point in enumerate(array):
        if (kept <= point).all(axis=1).any():  # dominated, or met before
            history[index] = history[index - 1]
            continue
        kept = np.vstack([kept[~(kept >= point).all(axis=1)], point])
        history[index] = hypervolume(kept, reference)
    return history


def _volume(points: Values, reference: Values) -> float:
    """The volume of points that are all below the reference."""
    points = np.unique(points[non_dominated(points)], axis=0)
    if points.shape[1] == 1:
        return float(reference[0] - points[0, 0])
    if points.shape[1] == 2:
        return _area(points, reference)
    if points.shape[1] == 3:
        return _three(points, reference)
    return _slices(points, reference)


def _area(points: Values, reference: Values) -> float:
    """Two objectives: the first ascending, so the second descends."""
    previous = np.concatenate(([reference[1]], points[:-1, 1]))
    return float(((reference[0] - points[:, 0]) * (previous - points[:, 1])).sum())


def _three(points: Values, reference: Values) -> float:
    """Three objectives: the area dominated in the first two, swept along the third."""
    points = points[np.argsort(points[:, 2], kind="stable")]
    staircase = _Staircase(float(reference[0]), float(reference[1]))
    volume = area = 0.0
    heights = [*points[1:, 2].tolist(), float(reference[2])]
    for (first, second, third), above in zip(points.tolist(), heights, strict=True):
        area += staircase.add(first, second)
        volume += area * (above - third)
    return volume


class _Staircase:
    """The part of a rectangle that points dominate; `add` returns by how much it grows."""

    def __init__(self, right: float, top: float) -> None:
        self._firsts = [right]
        self._seconds = [-np.inf]
        self._top = top

    def add(self, first: float, second: float) -> float:
        position = bisect_left(self._firsts, first)
        height = self._seconds[position - 1] if position else self._top
        if height <= second or (self._firsts[position] == first and self._seconds[position] <= second):
            return 0.0
        grown, left, end = 0.0, first, position
        while self._seconds[end] >= second:
            grown += (self._firsts[end] - left) * (height - second)
            left, height = self._firsts[end], self._seconds[end]
            end += 1
        grown += (self._firsts[end] - left) * (height - second)
        self._firsts[position:end] = [first]
        self._seconds[position:end] = [second]
        return grown


def _slices(points: Values, reference: Values) -> float:
    """More objectives: slices between the values of the last one, each of one dimension less."""
    points = points[np.argsort(points[:, -1], kind="stable")]
    heights = np.append(points[1:, -1], reference[-1]) - points[:, -1]
    return sum(
        float(height) * _volume(points[: index + 1, :-1], reference[:-1])
        for index, height in enumerate(heights)
        if height > 0
    )
