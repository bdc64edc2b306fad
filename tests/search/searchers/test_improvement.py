"""The expected hypervolume improvement against chance, drawn a million times, and against exact volumes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_toys import learnt, random_features, random_values

from nas.search.dominated_volume import hypervolume
from nas.search.front import non_dominated
from nas.search.searchers.improvement import CELLS, Exact, Improvement, Prediction, Uncertain
from nas.search.searchers.surrogate import Surrogate


def exact(values: object) -> Exact:
    return Exact(np.asarray(values, dtype=np.float64))


def unit(ideal: np.ndarray, reference: np.ndarray, axis: int) -> float:
    """The volume of one cell of the axes that are not integrated exactly."""
    others = [index for index in range(len(reference)) if index != axis]
    cells = {0: 1, 1: CELLS}.get(len(others), 512)
    return float(np.prod((reference - ideal)[others])) / cells


def difference(front: np.ndarray, point: np.ndarray, reference: np.ndarray) -> float:
    """By how much a point raises the hypervolume."""
    before = hypervolume(front, reference) if len(front) else 0.0
    return hypervolume(np.vstack([front.reshape(-1, len(reference)), point]), reference) - before


def drawn(prediction: Prediction, row: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Values that a candidate may turn out to have."""
    if isinstance(prediction, Exact):
        return np.full(count, prediction.values[row])
    posterior = prediction.posterior
    logs = rng.normal(posterior.mean[row], posterior.deviation[row], size=count)
    return np.exp(logs) + posterior.shift


def brute_force(
    predictions: list[Prediction], row: int, front: np.ndarray, reference: np.ndarray, draws: int
) -> tuple[float, float]:
    """The mean of the hypervolume differences of drawn outcomes, and its standard error."""
    rng = np.random.default_rng(row)
    points = np.column_stack([drawn(prediction, row, draws, rng) for prediction in predictions])
    gains = [difference(front, point, reference) for point in points]
    return float(np.mean(gains)), float(np.std(gains) / np.sqrt(draws))


def problem(kinds: str, seed: int = 0, count: int = 4) -> tuple[list[Prediction], np.ndarray, np.ndarray]:
    """Predictions ("k" known, "u" unknown), a front amid them, and a reference point."""
    rng = np.random.default_rng(seed)
    predictions: list[Prediction] = []
    for place, kind in enumerate(kinds):
        unknown = learnt(15, count, seed + place)
        known = exact(rng.uniform(unknown.expected.min() - 0.5, unknown.expected.max(), size=count))
        predictions.append(unknown if kind == "u" else known)
    expected = np.column_stack([prediction.expected for prediction in predictions])
    low, high = expected.min(axis=0), expected.max(axis=0)
    span = np.maximum(high - low, 0.5)
    points = rng.uniform(low, high + 0.3 * span, size=(6, len(kinds)))
    return predictions, points[non_dominated(points)], high + 0.5 * span


def ideal_of(predictions: list[Prediction], front: np.ndarray) -> np.ndarray:
    lows = np.array([prediction.optimistic.min() for prediction in predictions])
    return np.minimum(lows, front.min(axis=0)) if len(front) else lows


def first_unknown(kinds: str) -> int:
    return max(kinds.find("u"), 0)


# -- against chance --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", ["u", "k", "uk", "ku", "kk", "uu"])
@pytest.mark.parametrize("seed", [1])
def test_it_is_what_chance_gives(kinds: str, seed: int) -> None:
    """To within four standard errors of the draws and one cell of 256 on either side of a step."""
    predictions, front, reference = problem(kinds, seed)
    ideal, axis = ideal_of(predictions, front), first_unknown(kinds)
    improvement = Improvement(front, ideal, reference, axis)
    found = improvement.of(predictions) * unit(ideal, reference, axis)
    whole = float(np.prod(reference - ideal))
    for row in range(len(found)):
        expected, error = brute_force(predictions, row, front, reference, 500)
        # Below the ideal there are no cells: an outcome better than two deviations counts as the ideal.
        beyond = 0.025 * expected if kinds.count("u") > 1 else 0.0
        assert abs(found[row] - expected) < 4 * error + 2 * whole / CELLS + beyond, (
            row,
            found[row],
            expected,
        )


@pytest.mark.parametrize("kinds", ["kuk", "ukk", "uuk", "kkk", "kukk", "ukku"])
def test_it_is_nearly_what_chance_gives_with_more_objectives(kinds: str) -> None:
    """512 evenly spread points: a region of share p is met to about the root of p(1-p)/512 at worst."""
    predictions, front, reference = problem(kinds, 3)
    ideal, axis = ideal_of(predictions, front), first_unknown(kinds)
    found = Improvement(front, ideal, reference, axis).of(predictions) * unit(ideal, reference, axis)
    whole = float(np.prod(reference - ideal))
    pairs = [brute_force(predictions, row, front, reference, 200) for row in range(len(found))]
    expected, errors = np.array(pairs).T
    assert (np.abs(found - expected) < 4 * errors + 0.02 * whole + 0.05 * expected).all()
    assert np.corrcoef(found, expected)[0, 1] > 0.93


def test_the_expectation_of_one_uncertain_objective_is_a_log_normals() -> None:
    prediction = learnt(10, 5)
    bound = float(np.median(prediction.expected))
    gains = prediction.below(np.array([bound]))[:, 0]
    for row in range(5):
        values = drawn(prediction, row, 200_000, np.random.default_rng(row))
        saved = np.maximum(bound - values, 0)
        assert gains[row] == pytest.approx(saved.mean(), abs=5 * saved.std() / np.sqrt(len(values)) + 1e-9)
        chance = prediction.chance(np.array([bound]))[row, 0]
        assert chance == pytest.approx((values <= bound).mean(), abs=0.006)


# -- against exact volumes -------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("members", [0, 1, 7])
def test_certain_candidates_of_two_objectives_improve_by_the_exact_volume(axis: int, members: int) -> None:
    rng = np.random.default_rng(members)
    points = rng.random((members, 2))
    front = points[non_dominated(points)] if members else points
    candidates = rng.random((40, 2)) * 1.2
    ideal, reference = np.zeros(2), np.ones(2)
    improvement = Improvement(front, ideal, reference, axis)
    found = improvement.of([exact(candidates[:, 0]), exact(candidates[:, 1])]) / CELLS
    expected = [difference(front, point, reference) for point in candidates]
    # Each step of the front is moved by at most half a cell.
    assert np.abs(found - expected).max() <= (len(front) + 1) * 0.5 / CELLS


def test_a_candidate_that_certainly_loses_improves_nothing() -> None:
    front = np.array([[0.5, 0.5]])
    improvement = Improvement(front, np.zeros(2), np.ones(2), 0)
    found = improvement.of([exact([0.6, 1.0, 2.0, 0.5]), exact([0.6, 0.0, 2.0, 0.5])])
    # A member that stands in the middle of a cell covers the cell from its edge on: half a cell is left.
    assert found == pytest.approx(np.zeros(4), abs=0.5)


def test_one_known_objective() -> None:
    improvement = Improvement(np.array([[3.0]]), np.array([0.0]), np.array([5.0]), 0)
    assert improvement.of([exact([1.0, 3.0, 4.0, -2.0])]).tolist() == [2.0, 0.0, 0.0, 5.0]


def test_without_a_front_the_reference_is_what_must_be_beaten() -> None:
    none = np.zeros((0, 2))
    improvement = Improvement(none, np.zeros(2), np.array([2.0, 4.0]), 1)
    found = improvement.of([exact([0.0, 1.0, 1.0]), exact([0.0, 0.0, 2.0])]) * 2.0 / CELLS
    assert found == pytest.approx([8.0, 4.0, 2.0])


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_no_candidates(objectives: int) -> None:
    improvement = Improvement(np.zeros((0, objectives)), np.zeros(objectives), np.ones(objectives), 0)
    assert len(improvement.of([exact([])] * objectives)) == 0


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_an_axis_without_extent(objectives: int) -> None:
    """All candidates cost the same, and the reference lies there."""
    ideal, reference = np.zeros(objectives), np.ones(objectives)
    ideal[1] = reference[1]
    improvement = Improvement(np.zeros((0, objectives)), ideal, reference, 0)
    columns = [exact([0.2, 0.7]) for _ in range(objectives)]
    columns[1] = exact([1.0, 1.0])
    found = improvement.of(columns)
    assert found[0] > found[1] > 0


# -- what must hold always -------------------------------------------------------------------------------

PLACES = st.floats(0.0, 1.0, allow_nan=False)


@given(data=st.data(), objectives=st.integers(1, 4), axis=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_one_more_point_on_the_front_never_helps(data: st.DataObject, objectives: int, axis: int) -> None:
    axis %= objectives
    points = data.draw(st.lists(st.tuples(*[PLACES] * objectives), min_size=1, max_size=6))
    candidates = np.random.default_rng(0).random((12, objectives))
    predictions = [exact(column) for column in candidates.T]
    improvement = Improvement(np.zeros((0, objectives)), np.zeros(objectives), np.ones(objectives), axis)
    before = improvement.of(predictions)
    for point in points:
        improvement.add(np.array(point))
        after = improvement.of(predictions)
        assert (after <= before + 1e-9 * np.maximum(before, 1.0)).all()
        assert (after >= 0).all()
        before = after


@given(data=st.data(), objectives=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_front_does_not_matter(data: st.DataObject, objectives: int) -> None:
    points = np.array(data.draw(st.lists(st.tuples(*[PLACES] * objectives), min_size=1, max_size=6)))
    order = data.draw(st.permutations(range(len(points))))
    predictions = [exact(column) for column in np.random.default_rng(1).random((8, objectives)).T]
    box = np.zeros(objectives), np.ones(objectives)
    one = Improvement(points, *box, 0).of(predictions)
    assert one == pytest.approx(Improvement(points[list(order)], *box, 0).of(predictions))


def test_uncertain_candidates_too_are_never_helped_by_the_front() -> None:
    for kinds in ("u", "uk", "ku", "uu", "kuk", "kukk"):
        predictions, front, reference = problem(kinds, 5)
        ideal = ideal_of(predictions, front)
        improvement = Improvement(front[:0], ideal, reference, first_unknown(kinds))
        before = improvement.of(predictions)
        assert np.isfinite(before).all()
        for member in front:
            improvement.add(member)
            after = improvement.of(predictions)
            assert (after <= before * (1 + 1e-9) + 1e-12).all()
            before = after


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_the_unit_of_an_objective_does_not_change_the_order(factor: float) -> None:
    predictions, front, reference = problem("uk", 2, count=20)
    ideal = ideal_of(predictions, front)
    plain = Improvement(front, ideal, reference, 0).of(predictions)
    scaled = [predictions[0], exact(predictions[1].expected * factor)]
    unit_of_cost = np.array([1.0, factor])
    found = Improvement(front * unit_of_cost, ideal * unit_of_cost, reference * unit_of_cost, 0).of(scaled)
    assert found == pytest.approx(plain, rel=1e-6, abs=1e-9)


# -- predictions -----------------------------------------------------------------------------------------


def test_exact_values_stay_what_they_are() -> None:
    prediction = exact([3.0, 1.0, 2.0])
    prediction.observe(0)
    assert prediction.expected.tolist() == prediction.optimistic.tolist() == [3.0, 1.0, 2.0]
    assert prediction.take(np.array([2, 0])).values.tolist() == [2.0, 3.0]
    assert prediction.join(exact([9.0])).values.tolist() == [3.0, 1.0, 2.0, 9.0]
    assert prediction.below(np.array([2.0, 4.0])).tolist() == [[0.0, 1.0], [1.0, 3.0], [0.0, 2.0]]
    shares = prediction.reaches(np.array([0.0, 1.5]), np.array([2.0, 2.5]))
    assert shares.tolist() == [[0.0, 0.0], [0.5, 1.0], [0.0, 0.5]]


def test_uncertain_ones_learn_of_what_is_on_its_way() -> None:
    rows = random_features(20)
    prediction = Uncertain(Surrogate(rows, random_values(rows)).posterior(random_features(6, 1)))
    low, high = np.array([2.0]), np.array([3.0])
    before = prediction.posterior.deviation.copy()
    assert prediction.reaches(low, high).tolist() == prediction.chance(np.array([2.5])).tolist()
    prediction.observe(2)
    assert prediction.posterior.deviation[2] < before[2]
    chances = prediction.chance(np.array([-1e9, 1e9]))
    assert chances[:, 0].tolist() == [0.0] * 6
    assert chances[:, 1] == pytest.approx(np.ones(6))
