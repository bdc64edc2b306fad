"""Fits the corrections of a calibration to measured kernels: as much as their number carries, no more."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.calibration import Correction, Point, Size, closeness, sizes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator

LEAST_KERNELS = 3
"""From so many kernels of a kind on it has a correction of its own, drawn towards the scale of all."""
LINE_VARIANCE = 0.1
NAME_VARIANCE = 1.0
NEAR_VARIANCE = 0.5
NOISE_VARIANCE = 0.02
REACH = 2.0
"""The prior of a log factor, as of a Gaussian process: how much it is believed to change by a width of each
size, by the operator's name, near what was measured; and how noisy a measurement is."""
PRIOR_KERNELS = 3.0
"""The scale of all counts as much as so many kernels."""
ADDED_SHARES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
"""What every kernel of a kind takes beside is sought among these shares of the shortest."""
TELLING_RATIO = 4.0
TELLING_KERNELS = 8
"""Fewer kernels, or such whose predictions differ less, do not tell what is added from what is multiplied."""
BETTER = 0.97
"""More is added only where it makes errors so much smaller."""
LEAST_LEFT = 0.02
"""So much of what a kernel took is its own, whatever is added."""


@dataclass(frozen=True)
class Sample:
    """A measured kernel in milliseconds: the predicted time that factors multiply, the one that they do not,
    and what it took."""

    operator: Operator
    multiplied_ms: float
    rest_ms: float
    latency_ms: float

    def log_factor(self, added_ms: float = 0.0) -> float:
        """The logarithm of the factor that makes the prediction right beside what is added."""
        left = max(self.latency_ms - self.rest_ms - added_ms, LEAST_LEFT * self.latency_ms)
        return math.log(left / self.multiplied_ms)


def fit_corrections(samples: Sequence[Sample]) -> tuple[float, Mapping[str, Correction]]:
    """The scale of all kernels, and the correction of each kind of which enough were measured."""
    if not samples:
        return 1.0, {}
    everything = float(np.median([sample.log_factor() for sample in samples]))
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[sample.operator.kind].append(sample)
    return float(np.exp(everything)), {
        kind: fit_kind(found, everything)
        for kind, found in sorted(by_kind.items())
        if len(found) >= LEAST_KERNELS
    }


def fit_kind(samples: Sequence[Sample], everything: float) -> Correction:
    """The correction of one kind; `everything` is the log of the scale of all kernels."""
    process = _Process([sample.operator for sample in samples], everything)
    added = _added(samples, process)
    factors = np.array([sample.log_factor(added) for sample in samples])
    return process.correction(factors, added)


def _added(samples: Sequence[Sample], process: _Process) -> float:
    """The milliseconds to add to all kernels that leave the least error where each is left out once."""
    latency = np.array([sample.latency_ms for sample in samples])
    rest = np.array([sample.rest_ms for sample in samples])
    multiplied = np.array([sample.multiplied_ms for sample in samples])
    differs = multiplied.max() >= TELLING_RATIO * multiplied.min()
    tells_apart = differs and len(samples) >= TELLING_KERNELS
    most = max(0.0, float((latency - rest).min())) if tells_apart else 0.0
    best, least = 0.0, math.inf
    for added in (share * most for share in ADDED_SHARES):
        factors = process.left_out(np.array([sample.log_factor(added) for sample in samples]))
        error = float(np.abs(np.log((rest + added + multiplied * np.exp(factors)) / latency)).mean())
        if error < BETTER * least:
            best, least = added, error
    return best


class _Process:
    """A Gaussian process over the kernels of a kind, from the log factors that they need."""

    def __init__(self, operators: Sequence[Operator], everything: float) -> None:
        self._everything = everything
        self._names = sorted({operator.name for operator in operators})
        self._sizes = _standard(operators)
        at = Correction(1.0, 0, 1.0, 1.0, sizes=self._sizes)
        self._places = at.places(sizes_of(operators)) if self._sizes else np.zeros((len(operators), 0))
        self._named = np.array([[o.name == name for name in self._names] for o in operators], dtype=float)
        prior = LINE_VARIANCE * self._places @ self._places.T + NAME_VARIANCE * self._named @ self._named.T
        prior += NEAR_VARIANCE * closeness(self._places, self._places, REACH)
        self._inverse = np.linalg.inv(prior + NOISE_VARIANCE * np.eye(len(operators)))

    def correction(self, factors: NDArray[np.float64], added_ms: float) -> Correction:
        """The correction that these log factors lead to."""
        scale = self._scale(factors)
        pulls = self._inverse @ (factors - scale)
        return Correction(
            float(np.exp(scale)),
            len(factors),
            float(np.exp(min(scale, factors.min()))),
            float(np.exp(max(scale, factors.max()))),
            names=_each(self._names, np.exp(NAME_VARIANCE * self._named.T @ pulls)),
            sizes=_weighted(self._sizes, LINE_VARIANCE * self._places.T @ pulls),
            points=tuple(_points(self._places, NEAR_VARIANCE * pulls)) if self._sizes else (),
            reach=REACH,
            added_ms=added_ms,
        )

    def left_out(self, factors: NDArray[np.float64]) -> NDArray[np.float64]:
        """The log factor of each kernel as the others predict it."""
        scale = self._scale(factors)
        found: NDArray[np.float64] = factors - self._inverse @ (factors - scale) / np.diag(self._inverse)
        return found

    def _scale(self, factors: NDArray[np.float64]) -> float:
        weight = len(factors) / (len(factors) + PRIOR_KERNELS)
        return float(weight * np.median(factors) + (1 - weight) * self._everything)


def _standard(operators: Sequence[Operator]) -> Mapping[str, Size]:
    """The sizes that differ between operators, with their centre, width and range."""
    found = {}
    for name, values in sizes_of(operators).items():
        logs = np.log(values)
        centre, width = float(logs.mean()), float(logs.std())
        if width > 1e-6:
            low, high = (logs.min() - centre) / width, (logs.max() - centre) / width
            found[name] = Size(centre, width, 0.0, float(low), float(high))
    return found


def _weighted(sizes: Mapping[str, Size], weights: NDArray[np.float64]) -> Mapping[str, Size]:
    return {
        name: Size(size.centre, size.width, float(weight), size.low, size.high)
        for (name, size), weight in zip(sizes.items(), weights, strict=True)
    }


def _each(names: Sequence[str], factors: NDArray[np.float64]) -> Mapping[str, float]:
    return dict(zip(names, factors.tolist(), strict=True))


def _points(places: NDArray[np.float64], pulls: NDArray[np.float64]) -> list[Point]:
    rows = zip(places.round(4).tolist(), pulls.round(6).tolist(), strict=True)
    return [Point(tuple(place), pull) for place, pull in rows]
