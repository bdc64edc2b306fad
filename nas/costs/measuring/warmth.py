"""Fits how much quicker short networks are than the sum of their operators."""

from __future__ import annotations

import numpy as np

from nas.costs.calibration import Warmth

BOUNDS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Which share of networks is short is sought among these."""
LEAST_NETWORKS = 20
"""Fewer networks do not tell short ones from long ones."""
MOST_POWER = 0.5
BETTER = 0.97
"""Only what makes errors so much smaller is told of short networks."""


def fit_warmth(predicted_ms: np.typing.ArrayLike, latencies_ms: np.typing.ArrayLike) -> Warmth | None:
    """The warmth of networks that took these latencies and were predicted from others, both of shape (n,);
    None where short ones are not quicker."""
    predicted, latencies = np.asarray(predicted_ms, dtype=float), np.asarray(latencies_ms, dtype=float)
    if len(predicted) < LEAST_NETWORKS:
        return None
    logs = np.log(latencies / predicted)
    found, least = None, BETTER * float(np.abs(logs).mean())
    for below in np.quantile(predicted, BOUNDS).tolist():
        short = np.minimum(0.0, np.log(predicted / below))
        power = min(float(short @ logs / (short @ short)), MOST_POWER) if short.any() else 0.0
        error = float(np.abs(logs - power * short).mean())
        if power > 0 and error < least:
            found, least = Warmth(below, power), error
    return found
