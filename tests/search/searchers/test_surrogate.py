"""The surrogate against the textbook: dense inverses, one entry after the other."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from model_toys import random_features, random_values

from nas.search.searchers.features import Features
from nas.search.searchers.surrogate import (
    KERNELS,
    MEMBERS,
    NOISES,
    TUNING_LIMIT,
    Kernel,
    Pairs,
    Surrogate,
    shift_of,
)

# -- a naive surrogate -----------------------------------------------------------------------------------


def naive_covariance(kernel: Kernel, one: Features, other: Features) -> np.ndarray:
    found = np.zeros((len(one), len(other)))
    for i in range(len(one)):
        for j in range(len(other)):
            weights = (1.0, 0.25, kernel.amounts)
            squared = sum(
                weight * ((a[i] - b[j]) ** 2).sum()
                for weight, a, b in zip(weights, one.parts, other.parts, strict=True)
            )
            scaled = np.sqrt(5 * squared) / kernel.length
            matern = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
            weights = (1.0, 0.5, kernel.amounts)
            linear = sum(
                weight * (a[i] @ b[j]) for weight, a, b in zip(weights, one.parts, other.parts, strict=True)
            )
            found[i, j] = kernel.smooth * matern + (1 - kernel.smooth) * linear
    return found


class Naive:
    """The same ensemble by dense inverses: mean and deviation of the logarithm above the shift."""

    def __init__(self, rows: Features, values: np.ndarray) -> None:
        self.rows, self.shift = rows, shift_of(values)
        logs = np.log(values - self.shift)
        self.center, self.scale = logs.mean(), logs.std()
        self.targets = (logs - self.center) / self.scale
        found = [self._fit(kernel, noise) for kernel in KERNELS for noise in NOISES]
        found.sort(key=lambda entry: -entry[0])
        self.members = found[:MEMBERS]

    def _fit(self, kernel: Kernel, noise: float) -> tuple:
        count = len(self.targets)
        covariance = naive_covariance(kernel, self.rows, self.rows) + noise * np.eye(count)
        inverse = np.linalg.inv(covariance)
        ones = np.ones(count)
        mean = ones @ inverse @ self.targets / (ones @ inverse @ ones)
        left = self.targets - mean
        amplitude = (left @ inverse @ left + 0.5) / (count + 1)
        evidence = -0.5 * (np.linalg.slogdet(covariance)[1] + (count + 1) * np.log(amplitude))
        return evidence, kernel, noise, mean, amplitude, inverse

    def predict(self, rows: Features) -> tuple[np.ndarray, np.ndarray]:
        means, variances = [], []
        for _, kernel, _, mean, amplitude, inverse in self.members:
            cross = naive_covariance(kernel, rows, self.rows)
            own = np.diag(naive_covariance(kernel, rows, rows))
            means.append(mean + cross @ inverse @ (self.targets - mean))
            variances.append(amplitude * (own - np.einsum("ij,jk,ik->i", cross, inverse, cross)))
        evidence = np.array([member[0] for member in self.members])
        weights = np.exp(evidence - evidence.max())
        weights /= weights.sum()
        mean = weights @ np.array(means)
        variance = weights @ (np.array(variances) + (np.array(means) - mean) ** 2)
        return mean * self.scale + self.center, np.sqrt(variance) * self.scale


def made(count: int, seed: int = 0) -> tuple[Features, np.ndarray]:
    rows = random_features(count, seed)
    return rows, random_values(rows, seed)


@pytest.mark.parametrize("count", [3, 8, 16])
def test_it_is_the_textbooks(count: int) -> None:
    rows, values = made(count)
    others = random_features(12, 1)
    mean, deviation = Naive(rows, values).predict(others)
    posterior = Surrogate(rows, values).posterior(others)
    assert posterior.mean == pytest.approx(mean, rel=1e-6, abs=1e-6)
    assert posterior.deviation == pytest.approx(deviation, rel=1e-5)
    assert posterior.expected == pytest.approx(np.exp(mean) + shift_of(values), rel=1e-6)
    low = np.exp(mean - 2 * deviation) + shift_of(values)
    assert posterior.optimistic == pytest.approx(low, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kernel", KERNELS[::3], ids=str)
def test_a_kernel_is_a_covariance(kernel: Kernel) -> None:
    rows, others = random_features(15), random_features(7, 1)
    covariance = kernel(Pairs.of(rows, rows))
    assert covariance == pytest.approx(naive_covariance(kernel, rows, rows))
    assert kernel(Pairs.of(rows, others)) == pytest.approx(naive_covariance(kernel, rows, others))
    assert kernel.diagonal(rows) == pytest.approx(np.diag(covariance), abs=1e-6)
    assert np.linalg.eigvalsh(covariance).min() > -1e-9


# -- learning --------------------------------------------------------------------------------------------


def test_it_learns_what_the_features_tell() -> None:
    rows, _ = made(60)
    others = random_features(200, 1)
    values = random_values(Features.join([rows, others]))
    expected = Surrogate(rows, values[:60]).posterior(others).expected
    assert np.corrcoef(expected, values[60:])[0, 1] > 0.9


def test_its_deviations_say_how_wrong_it_is() -> None:
    rows = random_features(260)
    values = random_values(rows)
    posterior = Surrogate(rows.take(np.arange(60)), values[:60]).posterior(rows.take(np.arange(60, 260)))
    score = (np.log(np.maximum(values[60:] - posterior.shift, 1e-9)) - posterior.mean) / posterior.deviation
    assert (np.abs(score) < 2).mean() > 0.8
    assert 0.3 < np.median(np.abs(score)) < 1.5


def test_what_was_seen_is_certain_and_what_is_far_is_not() -> None:
    rows, values = made(30)
    surrogate = Surrogate(rows, values)
    seen = surrogate.posterior(rows)
    new = surrogate.posterior(random_features(60, 1))
    assert np.median(seen.deviation) < np.median(new.deviation)
    assert np.corrcoef(seen.expected, values)[0, 1] > 0.95


def test_observing_is_knowing_one_row_more() -> None:
    """The deviations of one member after `observe` are those of dense algebra with that row added."""
    rows, values = made(12)
    others = random_features(9, 1)
    posterior = Surrogate(rows, values).posterior(others)
    naive = Naive(rows, values)
    before = posterior.mean.copy()
    for row in (4, 0):
        posterior.observe(row)
    more = Features.join([rows, others.take([4, 0])])
    for part, (_, kernel, noise, _, amplitude, _) in zip(posterior._parts, naive.members, strict=True):
        inverse = np.linalg.inv(naive_covariance(kernel, more, more) + noise * np.eye(len(more)))
        cross = naive_covariance(kernel, others, more)
        own = np.diag(naive_covariance(kernel, others, others))
        variance = amplitude * (own - np.einsum("ij,jk,ik->i", cross, inverse, cross))
        assert part.variance == pytest.approx(variance, rel=1e-4, abs=1e-7)
    assert posterior.mean.tolist() == before.tolist()


def test_observing_makes_twins_certain_and_others_hardly() -> None:
    rows, values = made(20)
    others = random_features(30, 1)
    posterior = Surrogate(rows, values).posterior(Features.join([others, others.take([7])]))
    before = posterior.deviation.copy()
    posterior.observe(7)
    after = posterior.deviation
    assert (after <= before + 1e-9).all()
    assert after[30] == pytest.approx(after[7])
    assert after[7] <= before[7]
    assert (before - after).argmax() in (7, 30) or before[7] < before.max()


def test_parts_are_the_whole() -> None:
    rows, values = made(20)
    surrogate = Surrogate(rows, values)
    others = random_features(20, 1)
    whole = surrogate.posterior(others)
    first, second = (surrogate.posterior(others.take(np.arange(*ends))) for ends in ((0, 8), (8, 20)))
    joined = first.join(second)
    chosen = np.array([3, 17, 9])
    for name in ("mean", "deviation", "expected", "optimistic"):
        expected = getattr(whole, name)
        assert getattr(joined, name) == pytest.approx(expected, rel=1e-9)
        assert getattr(whole.take(chosen), name) == pytest.approx(expected[chosen], rel=1e-9)
    for posterior, row in ((joined, 9), (whole, 9)):
        posterior.observe(row)
    assert joined.deviation == pytest.approx(whole.deviation, rel=1e-9)
    part = surrogate.posterior(others).take(chosen)
    part.observe(2)
    assert part.deviation == pytest.approx(whole.deviation[chosen], rel=1e-9)


def test_taking_leaves_the_whole_alone() -> None:
    rows, values = made(15)
    posterior = Surrogate(rows, values).posterior(random_features(10, 1))
    before = posterior.deviation.tolist()
    posterior.take(np.arange(5)).observe(0)
    assert posterior.deviation.tolist() == before


def test_nothing_is_expected_of_nothing() -> None:
    rows, values = made(10)
    surrogate = Surrogate(rows, values)
    none = surrogate.posterior(rows.take([]))
    assert len(none.mean) == len(none.deviation) == len(none.optimistic) == 0
    assert len(none.join(surrogate.posterior(rows)).mean) == 10


def test_the_order_of_results_does_not_matter() -> None:
    rows, values = made(30)
    others = random_features(10, 1)
    order = np.random.default_rng(0).permutation(30)
    one = Surrogate(rows, values).posterior(others)
    other = Surrogate(rows.take(order), values[order]).posterior(others)
    assert one.mean == pytest.approx(other.mean, rel=1e-6)
    assert one.deviation == pytest.approx(other.deviation, rel=1e-5)


# -- scales ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("factor", "constant"), [(1e-12, 0.0), (1e12, 0.0), (3.0, -50.0), (0.01, 99.0)])
def test_the_unit_of_a_metric_does_not_matter(factor: float, constant: float) -> None:
    rows, values = made(25)
    others = random_features(40, 1)
    plain = Surrogate(rows, values).posterior(others)
    changed = Surrogate(rows, values * factor + constant).posterior(others)
    size = factor * np.ptp(values)
    for name in ("expected", "optimistic"):
        expected = getattr(plain, name) * factor + constant
        assert np.abs(getattr(changed, name) - expected).max() < 1e-6 * size
    assert changed.deviation == pytest.approx(plain.deviation, rel=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.9, -0.1, 1e-12, -1e12, 1e12])
@pytest.mark.parametrize("count", [3, 7, 40])
def test_equal_values_are_expected_everywhere_without_certainty(value: float, count: int) -> None:
    rows = random_features(count)
    surrogate = Surrogate(rows, np.full(count, value))
    posterior = surrogate.posterior(random_features(20, 1))
    assert posterior.expected == pytest.approx(np.full(20, value), abs=1e-3 * max(1.0, abs(value)))
    assert surrogate.range == [value, value]
    assert (posterior.deviation > 1e-3).all()
    assert np.isfinite(posterior.optimistic).all()


def _is_sound(values: np.ndarray, rows: Features) -> None:
    posterior = Surrogate(rows, values).posterior(random_features(30, 1))
    for name in ("mean", "deviation", "expected", "optimistic"):
        assert np.isfinite(getattr(posterior, name)).all(), name
    assert (posterior.deviation > 0).all()
    assert (posterior.optimistic <= posterior.expected).all()
    for row in range(10):
        posterior.observe(row)
    assert (posterior.deviation > 0).all()


@pytest.mark.parametrize("factor", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("count", [3, 4, 10, 60])
def test_it_is_sound_at_any_magnitude(count: int, factor: float) -> None:
    rows, values = made(count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _is_sound(values * factor, rows)


@pytest.mark.parametrize(
    "values",
    [
        [0.0, 0.0, 0.0, 0.0, 5.0],
        [0.0, 1.0, 1.0, 1.0, 1.0],
        [1e-12, 1.0, 1e3, 1e6, 1e12],
        [-1e12, -1.0, 0.0, 1.0, 1e12],
        [1.0, 1.0, 1.0, np.nextafter(1.0, 2.0), np.nextafter(1.0, 2.0)],
        [1e12, 1e12 + 1e-3, 1e12 + 2e-3, 1e12, 1e12],
        [5e-324, 1e-323, 0.0, 0.0, 1e-320],
        [1e300, -1e300, 0.0, 1.0, 2.0],
    ],
    ids=str,
)
def test_it_is_sound_for_strange_values(values: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _is_sound(np.array(values), random_features(5))


def test_it_is_sound_for_equal_rows() -> None:
    rows = random_features(3).take([0, 0, 0, 1, 1, 2] * 4)
    values = np.random.default_rng(0).random(24)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _is_sound(values, rows)
        same = random_features(1).take([0] * 9)
        _is_sound(values[:9], same)
        _is_sound(np.ones(9), same)


def test_equal_rows_are_expected_at_about_their_mean() -> None:
    rows = random_features(1).take([0] * 30)
    values = 5 + np.random.default_rng(0).normal(size=30)
    expected = Surrogate(rows, values).posterior(rows).expected
    assert expected == pytest.approx(np.full(30, np.median(values)), abs=0.5)


def test_many_results_are_tuned_by_some_and_learnt_from_all() -> None:
    rows, values = made(1_200)
    assert len(rows) > TUNING_LIMIT
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior = Surrogate(rows, values).posterior(rows.take(np.arange(1_200)))
    assert np.corrcoef(posterior.expected, values)[0, 1] > 0.95
    assert np.isfinite(posterior.deviation).all()


# -- the shift -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 9.0], 0.0),
        ([1.0, 1.0, 1.0, 3.0], -1.0),
        ([-5.0, -4.0, -3.0], -6.0),
        ([2.0, 2.0], 2.0 - 2e-3),
        ([0.0, 0.0], -1e-3),
    ],
)
def test_the_shift_lies_below_the_best(values: list[float], expected: float) -> None:
    assert shift_of(np.array(values)) == pytest.approx(expected)


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1.0, 1e12, 1e300])
def test_the_shift_is_always_below(size: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = size * (1.0 + rng.integers(0, 3, size=4) * rng.choice([1e-15, 1e-3, 1.0]))
        assert (values - shift_of(values) > 0).all()
