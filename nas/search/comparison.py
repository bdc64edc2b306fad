"""Studies side by side: how much of the best front each one had found after so many trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.errors import UsageError
from nas.search.dominated_volume import hypervolume, hypervolume_history
from nas.search.front import Values
from nas.search.objective import Objective

LEVELS = (0.90, 0.95, 0.99)
"""The shares of the best hypervolume for which the trials that reach them are counted."""


@dataclass(frozen=True)
class Run:
    """One study: what its trials gave, in the order of their numbers.

    `values` has shape (n, objectives), every objective minimised, of the finished trials that keep the
    constraints. `spent` (n,) says how many trials had ended with each of them, failed and stopped ones
    counted; `trials` is how many ended in all.
    """

    study: str
    seed: int
    trials: int
    spent: NDArray[np.int64]
    values: Values


@dataclass(frozen=True)
class Spread:
    """A number over some seeds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The median with the smallest and the largest of at least one value.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        return cls(float(np.median(values)), float(min(values)), float(max(values)))


@dataclass(frozen=True)
class Reached:
    """The trials it took to come to a share of the best hypervolume.

    `reached` of `of` runs came there; `trials` is None unless all did.
    """

    level: float
    reached: int
    of: int
    trials: Spread | None


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone; `lines` hold, for each, its share after 0, 1, 2, … trials."""

    label: str
    runs: tuple[Run, ...]
    lines: tuple[Values, ...]

    @property
    def trials(self) -> int:
        """The number of trials that every run of the group has spent."""
        return min(run.trials for run in self.runs)

    def share(self, trials: int) -> Spread | None:
        """The hypervolume after some trials, of the best front's; None where a run has spent fewer."""
        if not 0 <= trials <= self.trials:
            return None
        return Spread.of([float(line[trials]) for line in self.lines])

    def gap(self, trials: int) -> Spread | None:
        """What is missing to the best front after some trials: 1 − share."""
        share = self.share(trials)
        return None if share is None else Spread(1 - share.median, 1 - share.high, 1 - share.low)

    def reach(self, level: float) -> Reached:
        """The trials that the runs needed for a share of the best hypervolume."""
        # A share is a quotient of two sums of products: the level itself may be missed by one rounding.
        found = [np.flatnonzero(line >= level - 1e-12) for line in self.lines]
        needed = [float(places[0]) for places in found if len(places)]
        spread = Spread.of(needed) if len(needed) == len(self.lines) else None
        return Reached(level, len(needed), len(self.lines), spread)


@dataclass(frozen=True)
class Comparison:
    """Groups of runs measured by one reference point.

    `reference` and `ideal` are the worst and the best value of each objective over all the compared trials,
    in the user's direction. `best` is the hypervolume of the front of all of them together, as a share of
    the box between the two points; every line of a group is relative to it.
    """

    objectives: tuple[Objective, ...]
    reference: tuple[float, ...]
    ideal: tuple[float, ...]
    best: float
    groups: tuple[Group, ...]

    @cached_property
    def trials(self) -> int:
        """The largest number of trials that a group has spent."""
        return max(group.trials for group in self.groups)

    @cached_property
    def common(self) -> int:
        """The number of trials that every run has spent."""
        return min(group.trials for group in self.groups)

    def group(self, label: str) -> Group:
        """One group by its label."""
        return next(group for group in self.groups if group.label == label)


def compare_runs(
    labelled: Sequence[tuple[str, Sequence[Run]]], objectives: Sequence[Objective]
) -> Comparison:
    """Compares groups of runs, each with its label.

    An objective counts from its worst (0) to its best value (1) over all the trials; one that never varies
    counts as 1. Raises UsageError where no trial finished, or where none lies below the reference point.

    >>> goals = (Objective("error", "min"), Objective("latency", "min"))
    >>> points = np.array([[4.0, 4.0], [2.0, 2.0], [0.0, 3.0]])
    >>> run = Run("first", 0, 3, np.array([1, 2, 3]), points)
    >>> compare_runs([("mine", [run])], goals).best
    0.75
    """
    runs = [run for _, members in labelled for run in members]
    points = np.concatenate([run.values for run in runs])
    if not len(points):
        names = ", ".join(run.study for run in runs)
        raise UsageError(f"no trial of {names} finished within its constraints: nothing to compare")
    ideal, reference = points.min(0), points.max(0)
    scale = _Scale(ideal, reference)
    best = hypervolume(scale(points), np.ones(len(ideal)))
    if best <= 0:
        raise UsageError(
            f"too few different trials to compare ({len(points)}): each of them has the worst value of some"
            " objective; give the studies more trials"
        )
    groups = [
        Group(label, tuple(members), tuple(_line(run, scale, best) for run in members))
        for label, members in labelled
    ]
    signs = np.array([objective.sign for objective in objectives])
    return Comparison(
        tuple(objectives),
        tuple((signs * reference).tolist()),
        tuple((signs * ideal).tolist()),
        best,
        tuple(groups),
    )


@dataclass(frozen=True)
class _Scale:
    """From values to the box between the ideal (0) and the reference point (1)."""

    ideal: Values
    reference: Values

    def __call__(self, values: Values) -> Values:
        extent = self.reference - self.ideal
        scaled: Values = (values - self.ideal) / np.where(extent > 0, extent, 1.0)
        return scaled


def _line(run: Run, scale: _Scale, best: float) -> Values:
    """The share of the best hypervolume after 0, 1, … trials; shape (trials + 1,)."""
    line = np.zeros(run.trials + 1)
    if len(run.values):
        line[run.spent] = hypervolume_history(scale(run.values), np.ones(run.values.shape[1])) / best
    return np.asarray(np.maximum.accumulate(line))
