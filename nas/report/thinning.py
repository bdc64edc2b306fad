"""Fewer points that look the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def thin(xy: np.ndarray, limit: int) -> np.ndarray:
    """Indices of at most `limit` of the points (n, columns), in order, that cover the same area.

    Points are put on a grid over the extent of their first two columns and the first of each cell is kept;
    the grid is the finest that keeps few enough.
    """
    import numpy as np

    if len(xy) <= limit:
        return np.arange(len(xy))
    if xy.shape[1] == 1:
        xy = np.repeat(xy, 2, axis=1)
    low, extent = xy.min(0), np.ptp(xy, 0)
    share = (xy - low) / np.where(extent > 0, extent, 1)
    for cells in (1024, 512, 256, 192, 128, 96, 64, 48, 32, 24, 16, 8, 4, 2, 1):
        grid = np.minimum((share * cells).astype(np.int64), cells - 1)
        _, kept = np.unique(grid[:, 0] * cells + grid[:, 1], return_index=True)
        if len(kept) <= limit:
            break
    return np.sort(kept)[:limit]


def spread(number: int, limit: int) -> list[int]:
    """At most `limit` indices of `number` things in order, evenly spread, with the first and the last.

    >>> spread(9, 3)
    [0, 4, 8]
    """
    if number <= limit:
        return list(range(number))
    if limit < 2:
        return [0][:limit]
    return [round(i * (number - 1) / (limit - 1)) for i in range(limit)]
