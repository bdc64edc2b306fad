"""Axes: from values to pixels, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

LOG_RATIO = 20.0
"""An axis is logarithmic where its largest value is more than so many times its smallest."""

_HUGE = 1e100


@dataclass(frozen=True)
class Tick:
    """A round value, where it stands in pixels, and its label."""

    value: float
    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A line of pixels from `start` (value `low`) to `end` (value `high`), linear or logarithmic.

    `is_whole` keeps its ticks at whole numbers.
    """

    title: str
    low: float
    high: float
    start: float
    end: float
    is_log: bool = False
    is_whole: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; one outside the axis is put at its end."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(min(max(value, self.low), self.high)) - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 2)

    def ticks(self, spacing: float = 70.0) -> tuple[Tick, ...]:
        """Ticks at round values, about `spacing` pixels apart."""
        number = max(2, int(abs(self.end - self.start) / spacing))
        make = log_ticks if self.is_log else linear_ticks
        values = make(self.low, self.high, number)
        if self.is_whole:
            values = tuple(value for value in values if value == int(value))
        return tuple(
            Tick(value, self.at(value), label)
            for value, label in zip(values, tick_labels(values), strict=True)
        )

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.is_log else value


def make_axis(
    title: str, values: Iterable[float], start: float, end: float, *, may_be_log: bool = True
) -> Axis:
    """The axis that holds all values with a little room; without values it runs from 0 to 1.

    It is logarithmic where every value is positive and the largest exceeds the smallest `LOG_RATIO` times.
    """
    numbers = [_bounded(value) for value in values if math.isfinite(value)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 1.0)
    is_log = may_be_log and low > 0 and high / low > LOG_RATIO
    if is_log:
        room = (high / low) ** 0.05
        return Axis(title, low / room, high * room, start, end, is_log=True)
    room = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(title, low - room, high + room, start, end)


def _bounded(value: float) -> float:
    """The value kept to where arithmetic on it neither overflows nor vanishes."""
    return 0.0 if abs(value) < 1 / _HUGE else max(-_HUGE, min(_HUGE, value))


def linear_ticks(low: float, high: float, number: int = 6) -> tuple[float, ...]:
    """About `number` round values between `low` and `high`, steps of 1, 2, 2.5 or 5 times ten to a power.

    >>> linear_ticks(0.0, 10.0, 5)
    (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)
    """
    step = _round_step((high - low) / max(1, number))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, min(last, first + 4 * number) + 1))


def log_ticks(low: float, high: float, number: int = 6) -> tuple[float, ...]:
    """Powers of ten between `low` and `high`, with 2 and 5 between them where there is room.

    >>> log_ticks(0.1, 10.0, 8)
    (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        values = [digit * 10.0**power for power in range(first, last + 1) for digit in digits]
        inside = [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(inside) <= number + 1:
            break
    return tuple(inside[:: max(1, math.ceil(len(inside) / (number + 1)))])


def tick_labels(values: Sequence[float]) -> tuple[str, ...]:
    """The values with as many decimals as tell them apart.

    >>> tick_labels((0.5, 1.0, 1.5)), tick_labels((0.01, 0.1, 1.0, 10.0))
    (('0.5', '1.0', '1.5'), ('0.01', '0.1', '1', '10'))
    """
    if not values:
        return ()
    if max(map(abs, values)) >= 1e6 or 0 < max(map(abs, values)) < 1e-4:
        written = [tuple(f"{value:.{digits}g}" for value in values) for digits in (3, 6, 17)]
        return next((labels for labels in written if len(set(labels)) == len(labels)), written[-1])
    steps = [b - a for a, b in pairwise(values)]
    if steps and max(steps) > 1.5 * min(steps):
        return tuple(f"{value:g}" for value in values)
    step = min(steps, default=abs(values[0]) or 1.0)
    decimals = next((d for d in range(12) if all(abs(round(v, d) - v) < 1e-6 * step for v in values)), 12)
    return tuple(f"{value:.{decimals}f}" for value in values)


def _round_step(step: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(digit * power for digit in (1, 2, 2.5, 5, 10) if digit * power >= step * (1 - 1e-9))
