"""Expected hypervolume improvement where some objectives are known exactly and the others are uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.search.searchers.surrogate import Posterior

Matrix = NDArray[np.float64]
CELLS = 256
POINTS = 512
"""Where there are more than two objectives, so many points stand for the volume."""


@dataclass(frozen=True)
class Exact:
    """A known objective of some candidates, less is better; shape (n,)."""

    values: Matrix

    @property
    def expected(self) -> Matrix:
        """The values themselves."""
        return self.values

    @property
    def optimistic(self) -> Matrix:
        """The values themselves."""
        return self.values

    def take(self, rows: NDArray[np.int64]) -> Exact:
        """The values of some candidates."""
        return Exact(self.values[rows])

    def join(self, other: Exact) -> Exact:
        """These candidates, then the other ones."""
        return Exact(np.concatenate([self.values, other.values]))

    def observe(self, row: int) -> None:
        """Nothing is learnt of what is known."""

    def reaches(self, low: Matrix, high: Matrix) -> Matrix:
        """For each candidate and each cell from `low` to `high`, the share of the cell above the value."""
        width = np.where(high > low, high - low, 1.0)
        above = np.clip((high - self.values[:, None]) / width, 0.0, 1.0)
        return np.asarray(np.where(high > low, above, self.values[:, None] <= high))

    def below(self, bounds: Matrix) -> Matrix:
        """How far each candidate lies below each bound, (n, bounds)."""
        return np.maximum(bounds - self.values[:, None], 0.0)


@dataclass(frozen=True)
class Uncertain:
    """An objective that a surrogate predicts."""

    posterior: Posterior

    @property
    def expected(self) -> Matrix:
        """The medians."""
        return self.posterior.expected

    @property
    def optimistic(self) -> Matrix:
        """What each may reach with luck."""
        return self.posterior.optimistic

    def take(self, rows: NDArray[np.int64]) -> Uncertain:
        """The predictions of some candidates."""
        return Uncertain(self.posterior.take(rows))

    def join(self, other: Uncertain) -> Uncertain:
        """These candidates, then the other ones."""
        return Uncertain(self.posterior.join(other.posterior))

    def observe(self, row: int) -> None:
        """A candidate that will be evaluated makes those like it less uncertain."""
        self.posterior.observe(row)

    def reaches(self, low: Matrix, high: Matrix) -> Matrix:
        """The probability that each candidate lies below the middle of each cell."""
        return self.chance((low + high) / 2)

    def chance(self, bounds: Matrix) -> Matrix:
        """The probability of each candidate to lie at or below each bound."""
        with np.errstate(divide="ignore"):
            logs = np.log(np.maximum(bounds - self.posterior.shift, 0.0))
        return np.asarray(ndtr((logs - self.posterior.mean[:, None]) / self.posterior.deviation[:, None]))

    def below(self, bounds: Matrix) -> Matrix:
        """How far each candidate is expected below each bound: the expected improvement of a log-normal."""
        mean, deviation = self.posterior.mean[:, None], self.posterior.deviation[:, None]
        distance = np.maximum(bounds - self.posterior.shift, 0.0)
        with np.errstate(divide="ignore"):
            score = (np.log(distance) - mean) / deviation
        gain = distance * ndtr(score) - np.exp(mean + deviation**2 / 2) * ndtr(score - deviation)
        return np.asarray(np.maximum(gain, 0.0))


Prediction = Exact | Uncertain


class Improvement:
    """By how much candidates are expected to raise the hypervolume of a front.

    One objective, an uncertain one where there is any, is integrated exactly; the others by cells: a grid of
    256 for one of them, 512 evenly spread points for more. `front` has shape (members, objectives),
    `reference` and `ideal` one number for each objective, less is better.
    """

    def __init__(self, front: Matrix, ideal: Matrix, reference: Matrix, axis: int) -> None:
        self._axis = axis
        self._others = [index for index in range(len(reference)) if index != axis]
        self._low, self._high = _cells(ideal[self._others], reference[self._others])
        self._bounds = np.full(len(self._low), reference[axis])
        for member in front:
            self.add(member)

    def add(self, member: Matrix) -> None:
        """Counts one more point as part of the front."""
        middle = (self._low + self._high) / 2
        covered = (member[self._others] <= middle).all(axis=1)
        self._bounds[covered] = np.minimum(self._bounds[covered], member[self._axis])

    def of(self, predictions: Sequence[Prediction]) -> Matrix:
        """The expected improvement of each candidate, (n,); a multiple of the hypervolume's unit."""
        if not self._others:
            return predictions[self._axis].below(self._bounds)[:, 0]
        bounds, shares = self._merged(predictions)
        return np.asarray((shares * predictions[self._axis].below(bounds)).sum(axis=1))

    def _merged(self, predictions: Sequence[Prediction]) -> tuple[Matrix, Matrix]:
        """The different bounds, and how many cells with each of them every candidate reaches."""
        if len(self._others) == 1 and isinstance(predictions[self._others[0]], Exact):
            return self._runs(predictions[self._others[0]])
        reached = np.ones((1, len(self._low)))
        for place, index in enumerate(self._others):
            reached = reached * predictions[index].reaches(self._low[:, place], self._high[:, place])
        bounds, cell_of = np.unique(self._bounds, return_inverse=True)
        order = np.argsort(cell_of, kind="stable")
        starts = np.searchsorted(cell_of[order], np.arange(len(bounds)))
        return bounds, np.add.reduceat(reached[:, order], starts, axis=1)

    def _runs(self, prediction: Prediction) -> tuple[Matrix, Matrix]:
        """The same for one known axis, where neighbouring cells with one bound are one wide cell."""
        starts = np.flatnonzero(np.diff(self._bounds, prepend=np.inf))
        ends = np.append(starts[1:], len(self._bounds))
        reached = prediction.reaches(self._low[starts, 0], self._high[ends - 1, 0])
        return self._bounds[starts], reached * (ends - starts)


def _cells(ideal: Matrix, reference: Matrix) -> tuple[Matrix, Matrix]:
    """The lower and upper ends of cells between two points, each of shape (cells, objectives)."""
    if len(ideal) == 0:
        return np.zeros((1, 0)), np.zeros((1, 0))
    if len(ideal) == 1:
        edges = np.linspace(ideal[0], reference[0], CELLS + 1)[:, None]
        return edges[:-1], edges[1:]
    places = ideal + _spread_points(POINTS, len(ideal)) * (reference - ideal)
    return places, places


def _spread_points(count: int, dimensions: int) -> Matrix:
    """Points of the additive recurrence of the generalised golden ratio: evenly spread in the unit cube."""
    ratio = 2.0
    for _ in range(32):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = (1 / ratio) ** np.arange(1, dimensions + 1)
    return np.asarray((0.5 + np.arange(1, count + 1)[:, None] * steps) % 1.0)
