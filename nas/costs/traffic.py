"""What a network moves in one run: how much the caches see before an operator runs again.

A layer of a small network finds its code and its weights where the last run left them; within a large one the
caches have long been filled with something else. So a calibration tells the time of every operator at several
traffics, and a network has those at its own, which adds up over its operators as times do.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

TRAFFICS = (0.25e6, 1e6, 4e6, 16e6, 64e6)
"""The bytes at which operators are told: from the nearest caches of a processor to more than all of them."""


def in_range(traffic: float) -> float:
    """Bytes moved in one run, held to the range of TRAFFICS.

    >>> in_range(5e9), in_range(2e6)
    (64000000.0, 2000000.0)
    """
    return min(max(traffic, TRAFFICS[0]), TRAFFICS[-1])


def traffic_shares(traffic: ArrayLike) -> NDArray[np.float64]:
    """How much each of TRAFFICS counts for networks that move so many bytes, of shape (n, TRAFFICS): those on
    either side of it by how near they are, on a logarithmic scale.

    >>> traffic_shares([1e6, 2e6, 1e12]).tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 1.0]]
    """
    places = np.arange(len(TRAFFICS))
    given = np.maximum(np.asarray(traffic, dtype=np.float64), 1.0)
    found = np.interp(np.log(given), np.log(TRAFFICS), places)
    shares: NDArray[np.float64] = np.maximum(0.0, 1.0 - np.abs(found[:, None] - places))
    return shares
