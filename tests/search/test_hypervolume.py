"""The hypervolume against counting cells of a grid, and against sampling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.errors import UsageError
from nas.search.dominated_volume import hypervolume, hypervolume_history
from nas.search.front import non_dominated

SIDE = 6
grid_points = st.integers(1, 4).flatmap(
    lambda m: st.integers(0, 9).flatmap(
        lambda n: arrays(np.float64, (n, m), elements=st.integers(-2, SIDE + 1).map(float))
    )
)


def cells(values: np.ndarray, objectives: int) -> int:
    """Unit cells between -2 and the reference point that some point dominates."""
    corners = itertools.product(range(-2, SIDE), repeat=objectives)
    return sum(bool((values <= np.array(corner)).all(axis=1).any()) for corner in corners)


@settings(max_examples=150, deadline=None)
@given(grid_points)
def test_it_counts_the_cells_of_a_grid(values: np.ndarray) -> None:
    reference = [float(SIDE)] * values.shape[1]
    expected = cells(values, values.shape[1]) if len(values) else 0
    assert hypervolume(values, reference) == pytest.approx(expected, abs=1e-9)


def inclusion_exclusion(values: np.ndarray, reference: np.ndarray) -> float:
    total = 0.0
    for count in range(1, len(values) + 1):
        for chosen in itertools.combinations(values, count):
            total -= (-1) ** count * float(np.prod(reference - np.max(chosen, axis=0)))
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 7), st.integers(0, 2**32 - 1))
def test_it_is_exact_on_real_numbers(objectives: int, count: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((count, objectives))
    reference = np.ones(objectives)
    assert hypervolume(values, reference) == pytest.approx(inclusion_exclusion(values, reference), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(grid_points)
def test_dominated_and_outside_points_add_nothing(values: np.ndarray) -> None:
    reference = [float(SIDE)] * values.shape[1]
    front = values[non_dominated(values)]
    outside = np.vstack([front, np.full((1, values.shape[1]), float(SIDE))])
    assert hypervolume(outside, reference) == pytest.approx(hypervolume(values, reference), abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(grid_points, st.randoms())
def test_the_order_of_points_and_of_objectives_does_not_matter(values: np.ndarray, random: object) -> None:
    rows, columns = list(range(len(values))), list(range(values.shape[1]))
    random.shuffle(rows)  # type: ignore[attr-defined]
    random.shuffle(columns)  # type: ignore[attr-defined]
    reference = np.arange(SIDE, SIDE + values.shape[1], dtype=float)
    shuffled = values[rows][:, columns]
    assert hypervolume(shuffled, reference[columns]) == pytest.approx(
        hypervolume(values, reference), abs=1e-9
    )


def test_three_objectives_and_many_points() -> None:
    values = np.random.default_rng(1).random((3_000, 3))
    sphere = values / np.linalg.norm(values, axis=1, keepdims=True)
    # The points lie on an eighth of a sphere round the reference point: they dominate it but for the steps.
    volume = hypervolume(1.0 - sphere, [1.0, 1.0, 1.0])
    assert math.pi / 6 - 0.03 < volume < math.pi / 6


def test_no_points_dominate_nothing() -> None:
    assert hypervolume([], [1.0, 1.0]) == 0.0
    assert hypervolume(np.empty((0, 3)), [1.0, 1.0, 1.0]) == 0.0
    assert hypervolume([[1.0, 0.0]], [1.0, 1.0]) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_numbers_are_refused(bad: float) -> None:
    with pytest.raises(UsageError, match="finite"):
        hypervolume([[bad, 0.0]], [1.0, 1.0])
    with pytest.raises(UsageError, match="finite"):
        hypervolume([[0.0, 0.0]], [1.0, bad])


def test_a_reference_of_another_dimension_is_refused() -> None:
    with pytest.raises(UsageError, match="the reference point has 3 values, the points have 2"):
        hypervolume([[0.0, 0.0]], [1.0, 1.0, 1.0])


@settings(max_examples=40, deadline=None)
@given(
    arrays(
        np.float64, st.tuples(st.integers(0, 12), st.integers(2, 3)), elements=st.integers(0, 7).map(float)
    )
)
def test_the_history_is_the_hypervolume_of_every_beginning(values: np.ndarray) -> None:
    reference = [6.0] * values.shape[1]
    history = hypervolume_history(values, reference)
    assert history.shape == (len(values),)
    for index, volume in enumerate(history):
        assert volume == pytest.approx(hypervolume(values[: index + 1], reference), abs=1e-9)
    assert (np.diff(history) >= -1e-9).all()
