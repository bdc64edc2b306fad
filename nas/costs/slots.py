"""From the decisions of many architectures to the layer that stands in each slot of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_CODE = 2**53
"""Codes below it are exact as floating-point numbers, which matrix products are fast for."""


class SlotRows:
    """The rows of all slots by the decisions that determine what stands in each.

    `slots` are the columns of these decisions for each slot, `options` how many options each decision has.
    The decisions of a slot, read as the digits of one number in mixed radix, are the code of what stands
    there. `find` is asked once for each code that is met, and its answer is kept.
    """

    def __init__(self, slots: Sequence[Sequence[int]], options: Sequence[int]) -> None:
        self._columns = [np.array(columns, dtype=np.intp) for columns in slots]
        self._weights = np.zeros((len(options), len(slots)))
        self._numbers: dict[int, dict[bytes, int]] = {}
        for place, columns in enumerate(self._columns):
            weights = _mixed_radix([options[column] for column in columns])
            if weights is None:
                self._numbers[place] = {}
            else:
                self._weights[columns, place] = weights
        self._known = [_KnownCodes() for _ in slots]

    def rows(
        self, population: NDArray[np.int64], find: Callable[[list[tuple[int, int]]], Sequence[int]]
    ) -> NDArray[np.int64]:
        """The rows of all slots of an (n, decisions) array, of shape (n, slots).

        `find` takes the index of an architecture and the slot, of each code that is new, and returns rows.
        """
        codes = self._codes_of(population)
        places = [known.places(column) for known, column in zip(self._known, codes, strict=True)]
        new = [known.new(*pair) for known, *pair in zip(self._known, codes, places, strict=True)]
        asked = [(index, slot) for slot, indices in enumerate(new) for index in indices.tolist()]
        if asked:
            self._learn(codes, new, np.array(find(asked), dtype=np.int64))
            places = [known.places(column) for known, column in zip(self._known, codes, strict=True)]
        found = [known.rows[place] for known, place in zip(self._known, places, strict=True)]
        return np.stack(found, axis=1)

    def _learn(
        self, codes: NDArray[np.float64], new: list[NDArray[np.intp]], rows: NDArray[np.int64]
    ) -> None:
        parts = np.split(rows, np.cumsum([len(indices) for indices in new])[:-1])
        for known, column, indices, part in zip(self._known, codes, new, parts, strict=True):
            known.learn(column[indices], part)

    def _codes_of(self, population: NDArray[np.int64]) -> NDArray[np.float64]:
        """One number for each combination of decisions of a slot, of shape (slots, n)."""
        codes: NDArray[np.float64] = np.ascontiguousarray((population.astype(np.float64) @ self._weights).T)
        for place, numbers in self._numbers.items():
            codes[place] = _numbered(population[:, self._columns[place]], numbers)
        return codes


class _KnownCodes:
    """The codes of one slot that were met, in order, and the row of each; infinity stands behind the last."""

    def __init__(self) -> None:
        self._codes = np.full(1, np.inf)
        self.rows = np.full(1, -1, dtype=np.int64)

    def places(self, codes: NDArray[np.float64]) -> NDArray[np.intp]:
        """Where each code stands, or would."""
        return np.searchsorted(self._codes, codes)

    def new(self, codes: NDArray[np.float64], places: NDArray[np.intp]) -> NDArray[np.intp]:
        """The index of the first of each code that was not met yet."""
        missing = np.flatnonzero(self._codes[places] != codes)
        return missing[np.unique(codes[missing], return_index=True)[1]]

    def learn(self, codes: NDArray[np.float64], rows: NDArray[np.int64]) -> None:
        """Keeps the rows of new codes."""
        all_codes = np.concatenate([self._codes, codes])
        order = np.argsort(all_codes)
        self._codes = all_codes[order]
        self.rows = np.concatenate([self.rows, rows])[order]


def _mixed_radix(options: Sequence[int]) -> list[int] | None:
    """What each digit counts, or None where the largest number does not fit."""
    weights = []
    combinations = 1
    for count in options:
        weights.append(combinations)
        combinations *= count
    return weights if combinations < LARGEST_CODE else None


def _numbered(picked: NDArray[np.int64], numbers: dict[bytes, int]) -> NDArray[np.int64]:
    """A number for each combination of decisions: the next free one where it is new."""
    distinct, inverse = np.unique(picked, axis=0, return_inverse=True)
    found = [numbers.setdefault(row.tobytes(), len(numbers)) for row in distinct]
    return np.array(found, dtype=np.int64)[inverse.reshape(-1)]
