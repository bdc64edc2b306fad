"""Candidates with what is expected of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search.searchers.improvement import Prediction, Uncertain
from nas.search.searchers.pool import Candidates

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Limit:
    """A metric that a constraint bounds: its prediction, less is better, and the largest value allowed."""

    metric: Uncertain
    largest: float

    @property
    def chance(self) -> Matrix:
        """The probability of each candidate to keep the constraint."""
        return self.metric.chance(np.array([self.largest]))[:, 0]

    def take(self, rows: NDArray[np.int64]) -> Limit:
        """The limit for some candidates."""
        return Limit(self.metric.take(rows), self.largest)

    def join(self, other: Limit) -> Limit:
        """These candidates, then the other ones."""
        return Limit(self.metric.join(other.metric), self.largest)


@dataclass(frozen=True)
class Judged:
    """Candidates, a prediction for each objective, and the limits on metrics that are not known."""

    candidates: Candidates
    predictions: tuple[Prediction, ...]
    limits: tuple[Limit, ...]

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def expected(self) -> Matrix:
        """What is expected of each objective, (n, objectives), less is better."""
        return np.column_stack([prediction.expected for prediction in self.predictions])

    def take(self, rows: NDArray[np.int64]) -> Judged:
        """Some of the candidates."""
        return Judged(
            self.candidates.take(rows),
            tuple(prediction.take(rows) for prediction in self.predictions),
            tuple(limit.take(rows) for limit in self.limits),
        )

    def with_new(self, other: Judged) -> Judged:
        """These candidates, then those of the other that are not among them."""
        known = {architecture.hash for architecture in self.candidates.architectures}
        rows = [row for row, a in enumerate(other.candidates.architectures) if a.hash not in known]
        more = other.take(np.array(rows, dtype=np.int64))
        return Judged(
            Candidates.concatenate([self.candidates, more.candidates]),
            tuple(a.join(b) for a, b in zip(self.predictions, more.predictions, strict=True)),  # type: ignore[arg-type]
            tuple(a.join(b) for a, b in zip(self.limits, more.limits, strict=True)),
        )

    def observe(self, row: int) -> None:
        """Counts a candidate as evaluated: what is expected of those like it becomes more certain."""
        for prediction in self.predictions:
            prediction.observe(row)
        for limit in self.limits:
            limit.metric.observe(row)
