"""What was measured, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

SPREAD_LIMIT = 0.1
"""The spread, as a share of the median, above which a figure is called noisy."""


@dataclass(frozen=True)
class Measurement:
    """The time that something took on this machine, for one batch.

    `latency_ms` is the median of `samples` samples, `spread_ms` their median absolute deviation. `noisy` says
    that the machine was busy with something else: `conditions` tell with what, and how it was measured.
    `peak_memory_bytes` is what the device had allocated at most, where it can be asked. `speed` is how fast a
    processor was beside its calibration, where it has one: `latency_ms` is told at the calibrated speed, and
    is what it took times `speed`.
    """

    latency_ms: float
    spread_ms: float
    samples: int
    noisy: bool = False
    peak_memory_bytes: int | None = None
    speed: float | None = None
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def low_ms(self) -> float:
        """The lower end of the 90 % interval of a single run."""
        return max(0.0, self.latency_ms - NORMAL_90 * self.spread_ms)

    @property
    def high_ms(self) -> float:
        """The upper end of the 90 % interval of a single run."""
        return self.latency_ms + NORMAL_90 * self.spread_ms


NORMAL_90 = 1.645 * 1.4826
"""Median absolute deviations on each side that hold 90 % of a normal distribution."""


def spread(samples: Sequence[float]) -> float:
    """The median absolute deviation of samples.

    >>> spread([1.0, 2.0, 9.0])
    1.0
    """
    middle = median(samples)
    return median(abs(sample - middle) for sample in samples)


def is_noisy(samples: Sequence[float]) -> bool:
    """Whether samples scatter so much that their median says little."""
    return spread(samples) > SPREAD_LIMIT * median(samples)
