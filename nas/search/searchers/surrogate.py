"""A surrogate of what only an evaluation tells: Gaussian processes weighed by their evidence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from nas.search.searchers.features import Features

Matrix = NDArray[np.float64]
MEMBERS = 4
"""So many of the most likely kernels predict together."""

NOISES = (1e-4, 1e-3, 1e-2, 5e-2, 0.2)
TUNING_LIMIT = 100
"""Kernels are chosen by the evidence of at most so many results."""


@dataclass(frozen=True)
class Pairs:
    """What all kernels ask of two sets of rows: of each kind of feature the (n, m) products and distances."""

    products: tuple[Matrix, ...]
    distances: tuple[Matrix, ...]

    @classmethod
    def of(cls, one: Features, other: Features) -> Pairs:
        """All pairs of rows."""
        products = tuple(a @ b.T for a, b in zip(one.parts, other.parts, strict=True))
        norms = [_norms(one), _norms(other)]
        squared = (
            np.maximum(a[:, None] + b - 2 * product, 0.0)
            for a, b, product in zip(*norms, products, strict=True)
        )
        return cls(products, tuple(squared))


@dataclass(frozen=True)
class Kernel:
    """How alike two architectures are: a Matern 5/2 part of `smooth`, a linear part of the rest.

    `length` is the distance over which results forget each other, `amounts` the weight of what is known.
    """

    length: float
    amounts: float
    smooth: float

    def __call__(self, pairs: Pairs) -> Matrix:
        """The (n, m) covariances."""
        choices, shares, amounts = pairs.distances
        root = np.sqrt(5 * (choices + 0.25 * shares + self.amounts * amounts)) / self.length
        matern = (1 + root + root * root / 3) * np.exp(-root)
        return np.asarray(self.smooth * matern + (1 - self.smooth) * self._linear(pairs.products))

    def diagonal(self, rows: Features) -> Matrix:
        """The variance of each row."""
        return np.asarray(self.smooth + (1 - self.smooth) * self._linear(_norms(rows)))

    def _linear(self, products: Sequence[Matrix]) -> Matrix:
        choices, shares, amounts = products
        return choices + 0.5 * shares + self.amounts * amounts


KERNELS = tuple(
    Kernel(length, amounts, smooth)
    for length, amounts, smooth in itertools.product((0.5, 1.0, 2.0, 4.0), (0.25, 1.0), (0.3, 0.9))
)


@dataclass(frozen=True)
class _Setting:
    """A kernel and a noise with their log evidence, and the mean and amplitude that fit them best."""

    kernel: Kernel
    noise: float
    evidence: float
    mean: float
    amplitude: float


class Surrogate:
    """Predicts one metric, less is better, from the features of what was evaluated.

    Values are seen as the logarithm of their distance to a point below the best one, so that a few bad
    networks do not hide what tells good ones apart; `shift` is that point. Each kernel is a Gaussian
    process with a constant mean (Rasmussen and Williams 2006, chapter 2); the four most likely ones of
    sixteen, at one of five noise levels each, make an ensemble.
    """

    def __init__(self, rows: Features, values: Matrix) -> None:
        self.shift = shift_of(values)
        self.range = [float(values.min()), float(values.max())]
        logs = np.log(values - self.shift)
        # Rounding may give equal numbers a deviation, in their last digit.
        self._center, self._scale = float(logs.mean()), float(logs.std()) if np.ptp(logs) > 0 else 1.0
        self._rows = rows
        self._targets = (logs - self._center) / self._scale
        chosen = np.unique(np.linspace(0, len(logs) - 1, min(len(logs), TUNING_LIMIT)).astype(np.int64))
        settings = _likely(rows.take(chosen), self._targets[chosen])
        evidence = np.exp([setting.evidence - settings[0].evidence for setting in settings])
        self._weights = evidence / evidence.sum()
        pairs = Pairs.of(rows, rows)
        self._members = [_Member(setting, pairs, self._targets) for setting in settings]

    def posterior(self, rows: Features) -> Posterior:
        """What is expected of other rows."""
        pairs = Pairs.of(self._rows, rows)
        parts = [member.predict(rows, pairs) for member in self._members]
        return Posterior(parts, self._weights, self._center, self._scale, self.shift)


class Posterior:
    """What a surrogate expects of some rows: `mean` and `deviation` of the logarithm above `shift`.

    `observe` tells it that a row will be evaluated: the deviations of rows like it shrink.
    """

    def __init__(
        self, parts: list[_Part], weights: Matrix, center: float, scale: float, shift: float
    ) -> None:
        self._parts = parts
        self._weights = weights
        self._center = center
        self._scale = scale
        self.shift = shift

    @property
    def mean(self) -> Matrix:
        """The expected logarithms, (n,)."""
        return np.asarray(self._weights @ [part.mean for part in self._parts]) * self._scale + self._center

    @property
    def deviation(self) -> Matrix:
        """Their standard deviations, (n,): of the members, and among them."""
        means = np.array([part.mean for part in self._parts])
        spread = self._weights @ (means - self._weights @ means) ** 2
        variance = self._weights @ [part.variance for part in self._parts] + spread
        return np.asarray(np.sqrt(np.maximum(variance, 1e-12)) * self._scale)

    @property
    def expected(self) -> Matrix:
        """The median of each row in the metric's own unit."""
        return np.exp(self.mean) + self.shift

    @property
    def optimistic(self) -> Matrix:
        """What each row may reach with luck, two deviations below, in the metric's own unit."""
        return np.exp(self.mean - 2 * self.deviation) + self.shift

    def take(self, rows: NDArray[np.int64]) -> Posterior:
        """The posterior of some of the rows."""
        parts = [part.take(rows) for part in self._parts]
        return Posterior(parts, self._weights, self._center, self._scale, self.shift)

    def join(self, other: Posterior) -> Posterior:
        """These rows, then those of another posterior of the same surrogate; neither has observed any."""
        parts = [one.join(more) for one, more in zip(self._parts, other._parts, strict=True)]
        return Posterior(parts, self._weights, self._center, self._scale, self.shift)

    def observe(self, row: int) -> None:
        """Counts one of the rows as known from now on."""
        for part in self._parts:
            part.observe(row)


class _Member:
    """A Gaussian process with its settings, conditioned on all results."""

    def __init__(self, setting: _Setting, pairs: Pairs, targets: Matrix) -> None:
        self._setting = setting
        covariance = setting.kernel(pairs)
        covariance[np.diag_indices_from(covariance)] += setting.noise + 1e-10
        self._root = np.linalg.cholesky(covariance)
        self._whitened = solve_triangular(self._root, targets - setting.mean, lower=True)

    def predict(self, rows: Features, pairs: Pairs) -> _Part:
        setting = self._setting
        cross = solve_triangular(self._root, setting.kernel(pairs), lower=True, check_finite=False).T
        mean = setting.mean + cross @ self._whitened
        variance = np.maximum(setting.kernel.diagonal(rows) - (cross * cross).sum(axis=1), 1e-9)
        return _Part(setting, rows, mean, cross, variance)


class _Part:
    """What one member expects of some rows; `cross` holds their whitened covariances with what is known."""

    def __init__(
        self, setting: _Setting, rows: Features, mean: Matrix, cross: Matrix, variance: Matrix
    ) -> None:
        self._setting = setting
        self._rows = rows
        self._cross = cross
        self._relative = variance
        self.mean = mean

    @property
    def variance(self) -> Matrix:
        return self._setting.amplitude * self._relative

    def take(self, rows: NDArray[np.int64]) -> _Part:
        return _Part(
            self._setting, self._rows.take(rows), self.mean[rows], self._cross[rows], self._relative[rows]
        )

    def join(self, other: _Part) -> _Part:
        return _Part(
            self._setting,
            Features.join([self._rows, other._rows]),
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self._cross, other._cross]),
            np.concatenate([self._relative, other._relative]),
        )

    def observe(self, row: int) -> None:
        """One more column of the Cholesky factor."""
        covariance = self._setting.kernel(Pairs.of(self._rows, self._rows.take([row])))[:, 0]
        covariance = covariance - self._cross @ self._cross[row]
        column = covariance / np.sqrt(self._relative[row] + self._setting.noise)
        self._cross = np.column_stack([self._cross, column])
        self._relative = np.maximum(self._relative - column * column, 1e-9)


def shift_of(values: Matrix) -> float:
    """As far below the best value as the median lies above it; a little below where they are equal."""
    best = float(values.min())
    distance = float(np.median(values)) - best
    if distance <= 0:
        distance = float(values.max()) - best
    return best - (distance if distance > 0 else max(abs(best), 1.0) * 1e-3)


def _likely(rows: Features, targets: Matrix) -> list[_Setting]:
    """The most likely settings, best first."""
    pairs = Pairs.of(rows, rows)
    settings = [setting for kernel in KERNELS for setting in _settings(kernel, kernel(pairs), targets)]
    settings.sort(key=lambda setting: -setting.evidence)
    return settings[:MEMBERS]


def _settings(kernel: Kernel, covariance: Matrix, targets: Matrix) -> list[_Setting]:
    """A kernel with every noise: one eigendecomposition serves them all."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    ones, turned = vectors.sum(axis=0), vectors.T @ targets
    found = []
    for noise in NOISES:
        variances = eigenvalues + noise
        mean = float((ones * turned / variances).sum() / (ones * ones / variances).sum())
        left = turned - mean * ones
        # A prior of half an observation of amplitude 1 keeps a lucky handful from looking certain.
        amplitude = float((left * left / variances).sum() + 0.5) / (len(targets) + 1)
        evidence = -0.5 * float(np.log(variances).sum() + (len(targets) + 1) * np.log(amplitude))
        found.append(_Setting(kernel, noise, evidence, mean, amplitude))
    return found


def _norms(rows: Features) -> list[Matrix]:
    """The squared length of each row, by kind of feature."""
    return [(part * part).sum(axis=1) for part in rows.parts]
