"""Non-dominated points against the definition, and the order of a front."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from search_toys import BOTH, result

from nas.errors import UsageError
from nas.search.front import (
    Front,
    crowding_distance,
    front_of,
    non_dominated,
    non_dominated_ranks,
)
from nas.search.objective import Constraint, Objective
from nas.search.trial import TrialState

# Few different numbers, so that ties and equal points are common.
small = st.integers(-3, 3).map(float)
points = st.integers(1, 5).flatmap(
    lambda m: st.integers(0, 24).flatmap(lambda n: arrays(np.float64, (n, m), elements=small))
)


def brute_force(values: np.ndarray) -> list[bool]:
    def dominates(one: np.ndarray, other: np.ndarray) -> bool:
        return bool((one <= other).all() and (one < other).any())

    return [not any(dominates(other, point) for other in values) for point in values]


@settings(max_examples=150, deadline=None)
@given(points)
def test_non_dominated_is_the_definition(values: np.ndarray) -> None:
    assert non_dominated(values).tolist() == brute_force(values)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_non_dominated_is_the_definition_on_real_numbers(objectives: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(40, objectives))
    assert non_dominated(values).tolist() == brute_force(values)


@settings(max_examples=100, deadline=None)
@given(points, st.randoms())
def test_the_order_of_the_points_does_not_matter(values: np.ndarray, random: object) -> None:
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert non_dominated(values)[order].tolist() == non_dominated(values[order]).tolist()


@pytest.mark.parametrize("objectives", [2, 3])
def test_a_hundred_thousand_points(objectives: int) -> None:
    values = np.random.default_rng(0).normal(size=(100_000, objectives))
    mask = non_dominated(values)
    front = values[mask]
    assert 0 < mask.sum() < 1_000
    assert non_dominated(front).all()
    for row in values[~mask][::2_000]:
        assert ((front <= row).all(axis=1) & (front < row).any(axis=1)).any()


def test_equal_points_all_stay() -> None:
    assert non_dominated([[1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]).tolist() == [True, True, False]


def test_no_points() -> None:
    assert non_dominated([]).tolist() == []
    assert non_dominated(np.empty((0, 3))).tolist() == []
    assert non_dominated_ranks(np.empty((0, 2))).tolist() == []
    assert crowding_distance(np.empty((0, 2))).tolist() == []


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_non_finite_values_are_refused_with_their_row(bad: float) -> None:
    with pytest.raises(UsageError, match="row 1"):
        non_dominated([[1.0, 2.0], [bad, 2.0]])


@pytest.mark.parametrize("bad", [[1.0, 2.0], [[[1.0]]], [["a", "b"]], [[1.0], [1.0, 2.0]], None, [[None]]])
def test_what_is_no_table_of_numbers_is_refused(bad: object) -> None:
    with pytest.raises(UsageError, match="objective values"):
        non_dominated(bad)  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(points)
def test_ranks_peel_fronts(values: np.ndarray) -> None:
    ranks = non_dominated_ranks(values)
    for rank in range(int(ranks.max(initial=-1)) + 1):
        left = values[ranks >= rank]
        assert brute_force(left) == (ranks[ranks >= rank] == rank).tolist()


def test_crowding_of_a_line() -> None:
    distance = crowding_distance([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]])
    assert distance.tolist() == [math.inf, 1.5, 1.5, math.inf]


def test_crowding_is_finite_within_a_column_of_equal_values() -> None:
    assert crowding_distance([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])[1] == 1.0


def test_crowding_survives_huge_ranges() -> None:
    distance = crowding_distance([[-1e300, 0.0], [0.0, 1.0], [1e300, 2.0]])
    assert not np.isnan(distance).any()


def test_a_front_leaves_out_what_failed_is_stopped_or_breaks_a_constraint() -> None:
    results = [
        result({"error": 1.0, "cost": 4.0}, 0),
        result({"error": 0.0, "cost": 0.0}, 1, TrialState.FAILED),
        result({"error": 0.0, "cost": 0.0}, 2, TrialState.STOPPED),
        result({"error": 0.5}, 3),
        result({"error": 0.1, "cost": 9.0}, 4),
        result({"error": 3.0, "cost": 1.0}, 5),
    ]
    front = front_of(results, BOTH, (Constraint("cost", "<=", 5.0),))
    assert [member.number for member in front] == [5, 0]


def test_a_front_maximises_what_is_to_be_maximised() -> None:
    objectives = (Objective("accuracy", "max"), Objective("cost", "min"))
    results = [result({"accuracy": a, "cost": c}, n) for n, (a, c) in enumerate([(0.9, 2.0), (0.8, 3.0)])]
    front = front_of(results, objectives)
    assert [member.number for member in front] == [0]
    assert front.values.tolist() == [[0.9, 2.0]]
    assert front.minimised.tolist() == [[-0.9, 2.0]]


@given(st.permutations(range(6)))
@settings(deadline=None)
def test_the_order_of_a_front_depends_on_its_members_alone(order: list[int]) -> None:
    values = [(1.0, 3.0), (1.0, 3.0), (2.0, 2.0), (2.0, 2.0), (3.0, 1.0), (3.0, 1.0)]
    results = [result({"error": e, "cost": c}, n) for n, (e, c) in enumerate(values)]
    straight = front_of(results, BOTH)
    shuffled = front_of([results[index] for index in order], BOTH)
    assert [m.number for m in shuffled] == [m.number for m in straight]
    assert [m.values["cost"] for m in straight] == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    pairs = list(straight)
    assert pairs[0].architecture.hash < pairs[1].architecture.hash


def test_a_front_is_a_sequence() -> None:
    front = front_of([result({"error": float(3 - n), "cost": float(n)}, n) for n in range(3)], BOTH)
    assert isinstance(front, Front)
    assert len(front) == 3
    assert front[0].number == 0
    assert [member.number for member in front[:2]] == [0, 1]
    assert front.crowding.tolist() == [math.inf, 2.0, math.inf]


def test_the_front_of_nothing() -> None:
    front = front_of([], BOTH)
    assert len(front) == 0
    assert list(front) == []
    assert front.values.shape == (0, 2)
