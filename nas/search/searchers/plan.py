"""A plan: candidates in the order in which they are expected to improve the front, each pick counted in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nas.search.searchers.improvement import Improvement
from nas.search.searchers.judged import Judged
from nas.search.searchers.pool import Candidates
from nas.spaces.architecture import Architecture

Matrix = NDArray[np.float64]
SHORTLIST = 256
"""So many of the best candidates are looked at again for every further pick."""


class Plan:
    """Picks candidates one after the other by expected hypervolume improvement.

    The first `pending` candidates are being evaluated: what is expected of them counts as part of the front,
    and they are never picked. As long as the front is empty for want of results that keep the limits, those
    come first that keep them most likely.
    """

    def __init__(self, judged: Judged, improvement: Improvement, front: Matrix, pending: int = 0) -> None:
        self._judged = judged
        self._improvement = improvement
        self._front = front
        self._free = np.ones(len(judged), dtype=np.bool_)
        for row in range(pending):
            self._take(row)
        self._scores: Matrix | None = None
        self._distances: Matrix | None = None

    def best(self, count: int) -> Candidates:
        """The candidates of the highest scores, each looked at by itself."""
        rows = self._ranked()[:count]
        return self._judged.candidates.take(rows[self._free[rows]])

    def pick(self) -> Architecture | None:
        """The next one; None where no candidate is left."""
        if not self._free.any():
            return None
        if len(self._free) > SHORTLIST:  # at the first pick
            self._shorten()
        if self._distances is None:
            row = int(self._ranked()[0])
            if self._score()[row] <= 0:  # and no later pick improves the front either
                self._distances = self._distances_to_front()
        if self._distances is not None:
            row = int(np.argmin(np.where(self._free, self._distances, np.inf)))
        self._take(row)
        return self._judged.candidates.architectures[row]

    def _ranked(self) -> NDArray[np.int64]:
        """All rows, the free ones with the highest scores first."""
        return np.argsort(-np.where(self._free, self._score(), -np.inf), kind="stable")

    def _score(self) -> Matrix:
        if self._scores is None:
            scores = np.ones(len(self._judged))
            # Until something keeps the limits, their keeping alone counts: the worst value seen, from which
            # improvement is measured, is that of others.
            if len(self._front) or not self._judged.limits:
                scores = self._improvement.of(self._judged.predictions)
            for limit in self._judged.limits:
                scores = scores * limit.chance
            self._scores = np.nan_to_num(scores, nan=0.0, posinf=np.finfo(np.float64).max)
        return self._scores

    def _take(self, row: int) -> None:
        self._free[row] = False
        self._improvement.add(np.array([float(p.expected[row]) for p in self._judged.predictions]))
        self._judged.observe(row)
        self._scores = None

    def _shorten(self) -> None:
        rows = np.sort(self._ranked()[:SHORTLIST])
        self._scores = self._score()[rows]
        self._judged = self._judged.take(rows)
        self._free = self._free[rows]

    def _distances_to_front(self) -> Matrix:
        """How far each candidate is expected to lie behind the front, for where nothing improves it."""
        values = self._judged.expected
        spans = np.ptp(np.concatenate([values, self._front]), axis=0)
        gaps = (values[:, None, :] - self._front[None, :, :]) / np.where(spans > 0, spans, 1.0)
        return np.asarray(gaps.max(axis=2).min(axis=1) if len(self._front) else np.zeros(len(values)))
