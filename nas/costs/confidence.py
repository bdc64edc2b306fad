"""How sure a limit on a predicted latency is: quantiles of its interval, and the names they go by.

Inside its interval the logarithm of a latency is taken as two half-normals that meet at the median
`latency_ms`: the lower one has its 5 % point at `low_ms`, the upper one its 95 % point at `high_ms`. So an
interval need not be symmetric, and its own bounds come out as they are.
"""

from __future__ import annotations

import math
import re
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING

from nas.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from nas.costs.cost import Cost

MEDIAN = 0.5
LEAST, MOST = 0.001, 0.999
"""A 90 % interval says little of what lies far outside of it."""
BOUND = NormalDist().inv_cdf(0.95)
"""Standard deviations from the median to a bound of the interval."""
_QUANTILE = re.compile(r"(latency)_p(\d{1,2}(?:\.\d)?)(@.*)?")


def check_confidence(confidence: object) -> float:
    """The confidence itself; UsageError where it is no number from 0.001 to 0.999."""
    is_number = isinstance(confidence, int | float) and not isinstance(confidence, bool)
    if not is_number or not LEAST <= float(confidence) <= MOST:  # type: ignore[arg-type]
        raise UsageError(
            f"--confidence is a probability from {LEAST:g} to {MOST:g}, such as 0.9, not {confidence!r:.60}"
        )
    return round(float(confidence), 3)  # type: ignore[arg-type]


def quantile(latency: ArrayLike, low: ArrayLike, high: ArrayLike, confidence: float) -> NDArray[np.float64]:
    """The latency that is kept with this probability, of the shape of the three arrays.

    0.05 gives `low`, 0.5 `latency` and 0.95 `high`, in the unit they come in.

    >>> quantile([2.0], [1.0], [8.0], 0.95).tolist()
    [8.0]
    """
    import numpy as np

    median = np.asarray(latency, dtype=np.float64)
    bound = np.asarray(low if confidence < MEDIAN else high, dtype=np.float64)
    power = abs(NormalDist().inv_cdf(confidence)) / BOUND
    is_positive = (median > 0) & (bound > 0)
    ratio = np.divide(bound, median, out=np.ones(np.shape(median)), where=is_positive)
    return np.where(is_positive, median * ratio**power, bound if power else median)


def probability_within(cost: Cost, limit: float) -> float:
    """The probability that the latency of a cost is at most `limit` milliseconds.

    A measured cost without an interval keeps a limit or does not: 1 or 0.
    """
    if limit <= 0:
        return float(cost.latency_ms <= limit)
    if limit == cost.latency_ms:
        return MEDIAN if cost.low_ms < cost.high_ms else 1.0
    bound = cost.high_ms if limit > cost.latency_ms else cost.low_ms
    if min(bound, cost.latency_ms) <= 0 or bound == cost.latency_ms:
        return float(cost.latency_ms <= limit)
    spread = abs(math.log(bound / cost.latency_ms)) / BOUND
    return NormalDist().cdf(math.log(limit / cost.latency_ms) / spread)


def quantile_name(name: str, confidence: float) -> str:
    """What a quantile of a cost is called; the name itself for the median and for costs without an interval.

    >>> quantile_name("latency@a100", 0.9), quantile_name("params", 0.9)
    ('latency_p90@a100', 'params')
    """
    cost, at, target = name.partition("@")
    if cost != "latency" or confidence == MEDIAN:
        return name
    return f"{cost}_p{100 * confidence:.4g}{at}{target}"


@cache
def split_quantile(name: str) -> tuple[str, float]:
    """The cost that a name stands for and the confidence in it: 0.5 where it names no quantile.

    >>> split_quantile("latency_p97.5@a100")
    ('latency@a100', 0.975)
    """
    match = _QUANTILE.fullmatch(name)
    confidence = round(float(match[2]) / 100, 3) if match else MEDIAN
    if match is None or not LEAST <= confidence <= MOST:
        return name, MEDIAN
    return f"{match[1]}{match[3] or ''}", confidence


def cost_of(name: str) -> str:
    """The cost behind a name, without its quantile and its target.

    >>> cost_of("latency_p90@a100"), cost_of("peak_memory")
    ('latency', 'peak_memory')
    """
    return split_quantile(name)[0].partition("@")[0]
