"""What is checked of the figures that a cost model's `finish` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.costs.cost import FINISHED, ROUNDING

if TYPE_CHECKING:
    from numpy.typing import NDArray


def figures_problem(figures: NDArray[np.float64], networks: int) -> str | None:
    """What makes the figures of n networks impossible, in a few words; None where nothing does."""
    if figures.shape != (networks, len(FINISHED)):
        return f"figures of shape {figures.shape} for {networks} networks, not ({networks}, {len(FINISHED)}),"
    if not (np.isfinite(figures).all() and (figures >= 0).all()):
        row, column = np.argwhere(~(np.isfinite(figures) & (figures >= 0)))[0]
        return f"{FINISHED[column]} = {figures[row, column]:g}"
    latency, low, high = figures[:, 0], figures[:, 1], figures[:, 2]
    outside = (low > latency * (1 + ROUNDING)) | (latency > high * (1 + ROUNDING))
    if outside.any():
        row = int(np.argmax(outside))
        return f"latency_ms = {latency[row]:g} outside low_ms = {low[row]:g} to high_ms = {high[row]:g}"
    return None
