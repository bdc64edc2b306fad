"""What a surrogate sees of an architecture: its choices, how often each option occurs, what is known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nas.spaces.decision import Decision
    from nas.spaces.space import Space

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """Rows of three kinds, one row an architecture, scaled so that each kind's distances are about 1.

    `choices` says which option every active decision takes, `shares` which share of the decisions of one kind
    takes each option (depth and widths show there), `amounts` holds the known costs and the fidelity.
    """

    choices: Matrix
    shares: Matrix
    amounts: Matrix

    def __len__(self) -> int:
        return len(self.choices)

    @property
    def parts(self) -> tuple[Matrix, Matrix, Matrix]:
        """The three kinds, in order."""
        return self.choices, self.shares, self.amounts

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Features:
        """Some of the rows."""
        return Features(*(part[rows] for part in self.parts))

    @staticmethod
    def join(parts: Sequence[Features]) -> Features:
        """The rows of all of them."""
        return Features(*(np.concatenate(kind) for kind in zip(*(p.parts for p in parts), strict=True)))


class FeatureEncoder:
    """Turns vectors of a space, with their known amounts, into features.

    The scale of amounts is that of the `reference` it is made with, of shape (n, amounts): logarithmic where
    all are above zero. A decision of three or more numbers is seen as their rank too.
    """

    def __init__(self, space: Space, reference: Matrix) -> None:
        self._space = space
        decisions = space.decisions
        self._first = np.cumsum([0, *(len(decision.options) for decision in decisions)])
        self._ordinal = [c for c, decision in enumerate(decisions) if _is_ordinal(decision)]
        self._ranks = [_ranks(decisions[column]) for column in self._ordinal]
        self._groups = _groups(decisions)
        free = sum(len(decision.options) > 1 for decision in decisions)
        self._choice_scale = np.sqrt(2 / max(free, 1))
        self._is_log = (reference > 0).all(axis=0)
        self._center, self._spread = _center_and_spread(self._logs(reference))

    def __call__(self, vectors: NDArray[np.int64], amounts: Matrix) -> Features:
        """The features of (n, decisions) vectors with (n, amounts) known amounts."""
        active = self._active(vectors)
        choices = np.zeros((len(vectors), int(self._first[-1])))
        rows, columns = np.nonzero(active)
        choices[rows, self._first[columns] + vectors[rows, columns]] = self._choice_scale
        shares = [self._share(choices, active, group) for group in self._groups]
        scaled = (self._logs(amounts) - self._center) / self._spread
        return Features(
            np.concatenate([choices, *self._ordinals(vectors, active)], axis=1),
            np.concatenate([np.zeros((len(vectors), 0)), *shares], axis=1),
            np.concatenate([scaled, np.zeros((len(vectors), 1))], axis=1),
        )

    def at_fidelity(self, features: Features, ratios: Matrix) -> Features:
        """The features of results that were trained for these shares of the full fidelity."""
        amounts = features.amounts.copy()
        amounts[:, -1] = np.log(ratios) / 2
        return Features(features.choices, features.shares, amounts)

    def _logs(self, amounts: Matrix) -> Matrix:
        floor = np.finfo(np.float64).tiny
        return np.where(self._is_log, np.log(np.maximum(amounts, floor)), amounts)

    def _active(self, vectors: NDArray[np.int64]) -> NDArray[np.bool_]:
        if not self._space.slots:
            return np.ones(vectors.shape, dtype=np.bool_)
        mask = np.zeros(vectors.shape, dtype=np.bool_)
        for row, vector in enumerate(vectors.tolist()):
            mask[row, self._space.active(vector)] = True
        return mask

    def _ordinals(self, vectors: NDArray[np.int64], active: NDArray[np.bool_]) -> list[Matrix]:
        scale = self._choice_scale
        return [
            np.where(active[:, [column]], scale * ranks[vectors[:, [column]]], 0.0)
            for column, ranks in zip(self._ordinal, self._ranks, strict=True)
        ]

    def _share(self, choices: Matrix, active: NDArray[np.bool_], group: Sequence[int]) -> Matrix:
        """Of the decisions of a group, the share that takes each option; the inactive ones take none."""
        options = len(self._space.decisions[group[0]].options)
        taken = [choices[:, self._first[c] : self._first[c] + options] for c in group]
        scale = self._choice_scale * np.sqrt(len(group) * len(self._groups))
        return np.asarray(sum(taken) / scale)


def _center_and_spread(columns: Matrix) -> tuple[Matrix, Matrix]:
    """The mean of each column and twice its standard deviation, 1 where all are equal."""
    if len(columns) == 0:
        return np.zeros(columns.shape[1]), np.ones(columns.shape[1])
    # Rounding may give equal numbers a deviation, in their last digit.
    differs = np.ptp(columns, axis=0) > 0
    return columns.mean(axis=0), np.where(differs, 2 * columns.std(axis=0), 1.0)


def _is_ordinal(decision: Decision) -> bool:
    numbers = [o for o in decision.options if isinstance(o, int | float) and not isinstance(o, bool)]
    return len(numbers) == len(decision.options) >= 3


def _ranks(decision: Decision) -> Matrix:
    """-1 for the least number, 1 for the largest, even steps between."""
    order = np.argsort(np.argsort(np.array(decision.options, dtype=np.float64)))
    return 2 * order / (len(order) - 1) - 1.0


def _groups(decisions: Sequence[Decision]) -> list[list[int]]:
    """The columns of decisions of one kind: equal options, and equal last words where names have dots."""
    kinds: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for column, decision in enumerate(decisions):
        if len(decision.options) > 1:
            word = decision.name.rpartition(".")[2] if "." in decision.name else ""
            kinds[word, repr(decision.options)].append(column)
    return [columns for columns in kinds.values() if len(columns) > 1]
