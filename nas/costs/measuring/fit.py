"""Fits the corrections of a calibration to measured kernels: as much as their number carries, no more."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.calibration import Correction, Point, Size, closeness, named, sizes_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator

LEAST_KERNELS = 3
"""From so many kernels of a kind on it has a correction of its own, drawn towards the scale of all."""
NAMED = 12
"""From so many kernels of one operator on it has a correction of its own beside that of its kind."""
LINE_VARIANCE = 0.1
NAME_VARIANCE = 1.0
NEAR_VARIANCE = 0.5
NOISE_VARIANCE = 0.01
REACH = 2.5
"""The prior of a log factor, as of a Gaussian process: how much it is believed to change by a width of each
size, by the operator's name, near what was measured; and how noisy a measurement is."""
POINTS = 400
"""What is near is told for at most so many kernels of a kind, spread over all of them."""
LEAST_WIDTH = 0.8
"""Sizes of which few kernels have another one are not told apart more sharply."""
JITTER = 1e-6
"""What is added to the nearness of a point to itself, so that points that lie close can be told apart."""
MOST_LEVERAGE = 0.999
"""A kernel decides at most such a share of its own factor, so that it can be left out."""
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
    and what it took; `traffic` is what its network moves in one run, in bytes, where it ran in one."""

    operator: Operator
    multiplied_ms: float
    rest_ms: float
    latency_ms: float
    traffic: float = 1.0

    def log_factor(self, added_ms: float = 0.0) -> float:
        """The logarithm of the factor that makes the prediction right beside what is added."""
        left = max(self.latency_ms - self.rest_ms - added_ms, LEAST_LEFT * self.latency_ms)
        return math.log(left / self.multiplied_ms)

    def own_share(self, added_ms: float = 0.0) -> float:
        """The share of what it took that factors multiply."""
        return max(1 - (self.rest_ms + added_ms) / self.latency_ms, LEAST_LEFT)


def fit_corrections(
    samples: Sequence[Sample], added: Mapping[str, float] | None = None
) -> tuple[float, Mapping[str, Correction]]:
    """The scale of all kernels, and the correction of each kind of which enough were measured; operators of
    which NAMED were have one of their own, by ``kind/name``, beside that of their kind. `added` are the
    milliseconds on top of all kernels of these, where they are known."""
    if not samples:
        return 1.0, {}
    everything = float(np.median([sample.log_factor() for sample in samples]))
    groups: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[sample.operator.kind].append(sample)
    for found in list(groups.values()):
        names: dict[str, list[Sample]] = defaultdict(list)
        for sample in found:
            names[named(sample.operator)].append(sample)
        if len(names) > 1:
            groups.update({name: each for name, each in names.items() if len(each) >= NAMED})
    return float(np.exp(everything)), {
        key: fit_kind(found, everything, (added or {}).get(key))
        for key, found in sorted(groups.items())
        if len(found) >= LEAST_KERNELS
    }


def fit_kind(samples: Sequence[Sample], everything: float, added: float | None = None) -> Correction:
    """The correction of one kind; `everything` is the log of the scale of all kernels, `added` the
    milliseconds on top of each, if they are known."""
    process = _Process(samples, everything)
    return process.correction(_added(samples, process) if added is None else added)


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
        factors = process.left_out(added)
        error = float(np.abs(np.log((rest + added + multiplied * np.exp(factors)) / latency)).mean())
        if error < BETTER * least:
            best, least = added, error
    return best


class _Process:
    """A Gaussian process over the kernels of a kind, from the log factors that they need.

    It is solved for the weights of what a log factor is the sum of: a line over sizes, a part for each name,
    and one for what is near each of at most POINTS of the kernels. The part of a kernel that is its own
    counts: what is added says nothing of a factor.
    """

    def __init__(self, samples: Sequence[Sample], everything: float) -> None:
        operators = [sample.operator for sample in samples]
        self._samples, self._everything = samples, everything
        self._names = sorted({operator.name for operator in operators})
        traffic = np.array([sample.traffic for sample in samples])
        sizes = {**sizes_of(operators), "traffic": traffic}
        self._sizes = _standard(sizes)
        at = Correction(1.0, 0, 1.0, 1.0, sizes=self._sizes)
        places = at.places(sizes) if self._sizes else np.zeros((len(operators), 0))
        self._points = _spread_over(places, POINTS) if self._sizes else places[:0]
        named = np.array([[o.name == name for name in self._names] for o in operators], dtype=float)
        self._parts = np.hstack([places, named, closeness(places, self._points, REACH)])
        lines, names = places.shape[1], named.shape[1]
        penalty = np.zeros((self._parts.shape[1], self._parts.shape[1]))
        penalty[:lines, :lines] = np.eye(lines) / LINE_VARIANCE
        penalty[lines : lines + names, lines : lines + names] = np.eye(names) / NAME_VARIANCE
        near = closeness(self._points, self._points, REACH) + JITTER * np.eye(len(self._points))
        penalty[lines + names :, lines + names :] = near / NEAR_VARIANCE
        self._penalty = NOISE_VARIANCE * penalty
        self._ends = (lines, lines + names)

    def correction(self, added_ms: float) -> Correction:
        """The correction that the kernels lead to beside what is added."""
        factors, scale, weights = self._solved(added_ms)[:3]
        line, names, pulls = np.split(weights, self._ends)
        return Correction(
            float(np.exp(scale)),
            len(factors),
            float(np.exp(min(scale, factors.min()))),
            float(np.exp(max(scale, factors.max()))),
            names=_each(self._names, np.exp(names)),
            sizes=_weighted(self._sizes, line),
            points=tuple(_points(self._points, pulls)) if self._sizes else (),
            reach=REACH,
            added_ms=added_ms,
        )

    def left_out(self, added_ms: float) -> NDArray[np.float64]:
        """The log factor of each kernel as the others predict it."""
        factors, scale, weights, leverage = self._solved(added_ms)
        off = (factors - scale - self._parts @ weights) / (1 - leverage)
        found: NDArray[np.float64] = factors - off
        return found

    def _solved(
        self, added_ms: float
    ) -> tuple[NDArray[np.float64], float, NDArray[np.float64], NDArray[np.float64]]:
        """Log factors, their scale, the weights of the parts, and how much each kernel decides its own."""
        factors = np.array([sample.log_factor(added_ms) for sample in self._samples])
        own = np.array([sample.own_share(added_ms) for sample in self._samples])
        scale = self._scale(factors)
        weighed = self._parts * own[:, None]
        solver = np.linalg.solve(weighed.T @ weighed + self._penalty, weighed.T)
        leverage = np.minimum((weighed * solver.T).sum(axis=1), MOST_LEVERAGE)
        return factors, scale, solver @ (own * (factors - scale)), leverage

    def _scale(self, factors: NDArray[np.float64]) -> float:
        weight = len(factors) / (len(factors) + PRIOR_KERNELS)
        return float(weight * np.median(factors) + (1 - weight) * self._everything)


def _spread_over(places: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    """At most so many distinct places, each as far from those before it as there is one."""
    distinct = np.unique(places, axis=0)
    if len(distinct) <= number:
        return distinct
    chosen = [int(np.argmin((distinct**2).sum(axis=1)))]
    away = np.full(len(distinct), np.inf)
    while len(chosen) < number:
        away = np.minimum(away, ((distinct - distinct[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(np.argmax(away)))
    return distinct[chosen]


def _standard(sizes: Mapping[str, NDArray[np.float64]]) -> Mapping[str, Size]:
    """The sizes that differ between operators, with their centre, width and range."""
    found = {}
    for name, values in sizes.items():
        logs = np.log(values)
        centre, width = float(logs.mean()), max(float(logs.std()), LEAST_WIDTH)
        if np.ptp(logs) > 1e-6:
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
