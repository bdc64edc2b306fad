"""Fits the corrections of a calibration to measured kernels: as much as their number carries, no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.calibration import Correction, Point, Size, closeness, sizes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator

SCALE_KERNELS = 3
"""From so many kernels of a kind on it has a scale of its own, drawn towards that of all."""
SIZE_KERNELS = 6
"""From so many on its factor depends on sizes."""
LINE_VARIANCE = 0.1
NAME_VARIANCE = 1.0
NEAR_VARIANCE = 0.5
NOISE_VARIANCE = 0.02
REACH = 2.0
"""The prior of a log factor, as of a Gaussian process: how much it is believed to change by a width of each
size, by the operator's name, near what was measured; and how noisy a measurement is."""
PRIOR_KERNELS = 3.0
"""The scale of all counts as much as so many kernels."""


@dataclass(frozen=True)
class Sample:
    """A measured kernel: the logarithm of the factor that would have made its prediction right."""

    operator: Operator
    log_factor: float


def fit_corrections(samples: Sequence[Sample]) -> tuple[float, Mapping[str, Correction]]:
    """The scale of all kernels, and the correction of each kind of which enough were measured."""
    if not samples:
        return 1.0, {}
    everything = float(np.median([sample.log_factor for sample in samples]))
    by_kind: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_kind[sample.operator.kind].append(sample)
    return float(np.exp(everything)), {
        kind: fit_kind(found, everything)
        for kind, found in sorted(by_kind.items())
        if len(found) >= SCALE_KERNELS
    }


def fit_kind(samples: Sequence[Sample], everything: float) -> Correction:
    """The correction of one kind; `everything` is the log of the scale of all kernels."""
    factors = np.array([sample.log_factor for sample in samples])
    number = len(samples)
    weight = number / (number + PRIOR_KERNELS)
    scale = float(weight * np.median(factors) + (1 - weight) * everything)
    bounds = (float(np.exp(min(scale, factors.min()))), float(np.exp(max(scale, factors.max()))))
    if number < SIZE_KERNELS:
        return Correction(float(np.exp(scale)), number, *bounds)
    operators = [sample.operator for sample in samples]
    sizes = _standard(operators)
    if not sizes:
        return Correction(float(np.exp(scale)), number, *bounds)
    places = Correction(1.0, number, 1.0, 1.0, sizes=sizes).places(sizes_of(operators))
    names = sorted({operator.name for operator in operators})
    named = np.array([[operator.name == name for name in names] for operator in operators], dtype=float)
    prior = LINE_VARIANCE * places @ places.T + NAME_VARIANCE * named @ named.T
    prior += NEAR_VARIANCE * closeness(places, places, REACH)
    pulls = np.linalg.solve(prior + NOISE_VARIANCE * np.eye(number), factors - scale)
    return Correction(
        float(np.exp(scale)),
        number,
        *bounds,
        names=_each(names, np.exp(NAME_VARIANCE * named.T @ pulls)),
        sizes=_weighted(sizes, LINE_VARIANCE * places.T @ pulls),
        points=tuple(_points(places, NEAR_VARIANCE * pulls)),
        reach=REACH,
    )


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
