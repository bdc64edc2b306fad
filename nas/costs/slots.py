"""From the decisions of many architectures to the layer that stands in one slot of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LARGEST_CODE = 2**62


class SlotRows:
    """The rows of one slot by the decisions that determine what stands there.

    The decisions of an architecture, read as the digits of one number in mixed radix, are the code of what
    stands in the slot. `find` is asked once for each code that is met, with the index of an architecture that
    has it, and its answer is kept.
    """

    def __init__(self, columns: Sequence[int], options: Sequence[int]) -> None:
        self._columns = np.array(columns, dtype=np.intp)
        self._weights = _mixed_radix(options)
        self._codes = np.empty(0, dtype=np.int64)
        self._rows = np.empty(0, dtype=np.int64)
        self._numbers: dict[bytes, int] = {}

    def rows(self, population: NDArray[np.int64], find: Callable[[int], int]) -> NDArray[np.int64]:
        """One row for each architecture of an (n, decisions) array."""
        codes = self._codes_of(population[:, self._columns])
        places = np.searchsorted(self._codes, codes)
        missing = np.flatnonzero(self._at(self._codes, places) != codes)
        if len(missing):
            self._learn(codes, missing, find)
            places = np.searchsorted(self._codes, codes)
        return self._rows[places]

    def _learn(self, codes: NDArray[np.int64], missing: NDArray[np.intp], find: Callable[[int], int]) -> None:
        new, first = np.unique(codes[missing], return_index=True)
        rows = [find(int(missing[index])) for index in first]
        all_codes = np.concatenate([self._codes, new])
        order = np.argsort(all_codes)
        self._codes = all_codes[order]
        self._rows = np.concatenate([self._rows, np.array(rows, dtype=np.int64)])[order]

    def _codes_of(self, picked: NDArray[np.int64]) -> NDArray[np.int64]:
        """One number for each combination of decisions; where it would be too large, the next one free."""
        if self._weights is not None:
            codes: NDArray[np.int64] = picked @ self._weights
            return codes
        distinct, inverse = np.unique(picked, axis=0, return_inverse=True)
        numbers = [self._numbers.setdefault(row.tobytes(), len(self._numbers)) for row in distinct]
        return np.array(numbers, dtype=np.int64)[inverse.reshape(-1)]

    @staticmethod
    def _at(values: NDArray[np.int64], places: NDArray[np.intp]) -> NDArray[np.int64]:
        """The values at these places, -1 behind the last."""
        return np.append(values, -1)[places]


def _mixed_radix(options: Sequence[int]) -> NDArray[np.int64] | None:
    """What each digit counts, or None where the largest number does not fit."""
    weights = []
    combinations = 1
    for count in options:
        weights.append(combinations)
        combinations *= count
    return np.array(weights, dtype=np.int64) if combinations < LARGEST_CODE else None
