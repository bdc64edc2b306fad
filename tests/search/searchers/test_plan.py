"""The order in which candidates are picked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from model_toys import judged, learnt, random_features, random_values

from nas.search.searchers.improvement import Improvement, Uncertain
from nas.search.searchers.judged import Judged, Limit
from nas.search.searchers.plan import SHORTLIST, Plan
from nas.search.searchers.surrogate import Surrogate


def plan_of(candidates: Judged, front: Sequence[Sequence[float]] = (), pending: int = 0) -> Plan:
    """A plan between 0 and 1 of each objective."""
    objectives = len(candidates.predictions)
    members = np.array(front, dtype=np.float64).reshape(-1, objectives)
    improvement = Improvement(members, np.zeros(objectives), np.ones(objectives), 0)
    return Plan(candidates, improvement, members, pending)


def picks(plan: Plan, count: int) -> list[int]:
    """The numbers of the candidates that are picked."""
    found = []
    for _ in range(count):
        architecture = plan.pick()
        if architecture is None:
            break
        found.append(int(architecture.values()["a"]))
    return found


def test_the_largest_improvement_comes_first() -> None:
    assert picks(plan_of(judged([0.9, 0.2, 0.5])), 1) == [1]
    assert picks(plan_of(judged([0.9, 0.2, 0.5], [0.1, 0.9, 0.5])), 1) == [2]


def test_a_pick_counts_as_part_of_the_front() -> None:
    """The twin of the best adds nothing once that is picked; a lesser one elsewhere does."""
    found = picks(plan_of(judged([0.3, 0.3, 0.8, 0.1], [0.3, 0.3, 0.1, 0.9])), 3)
    assert found[0] == 0
    assert 1 not in found


def test_the_twin_of_a_pending_candidate_is_not_picked_next() -> None:
    columns = [0.3, 0.3, 0.8, 0.95], [0.3, 0.3, 0.1, 0.9]
    assert picks(plan_of(judged(*columns)), 1) == [0]
    assert picks(plan_of(judged(*columns), pending=1), 1) == [2]


def test_pending_candidates_are_never_picked() -> None:
    plan = plan_of(judged([0.1, 0.2, 0.3, 0.4]), pending=2)
    assert picks(plan, 9) == [2, 3]
    assert plan.pick() is None


def test_an_uncertain_twin_of_a_pending_one_gains_less() -> None:
    """One metric to learn: what is on its way will tell most about those like it."""
    rows = random_features(15)
    surrogate = Surrogate(rows, random_values(rows))
    others = random_features(12, 1)
    twins = others.take([*range(12), *range(12)])

    def first_gain(pending: int) -> tuple[np.ndarray, Judged]:
        prediction = Uncertain(surrogate.posterior(twins))
        candidates = judged(prediction)
        bound = np.array([float(prediction.expected.min())])
        improvement = Improvement(np.zeros((0, 1)), bound - 1, bound, 0)
        plan = Plan(candidates, improvement, np.zeros((0, 1)), pending)
        return plan._score().copy(), candidates

    (alone, _), (beside, candidates) = first_gain(0), first_gain(1)
    assert beside[12] < alone[12]
    assert candidates.predictions[0].expected[12] == pytest.approx(candidates.predictions[0].expected[0])


@pytest.mark.parametrize("count", [1, 5, 40, SHORTLIST + 40])
def test_picks_are_distinct_and_all_come(count: int) -> None:
    rng = np.random.default_rng(0)
    found = picks(plan_of(judged(rng.random(count), rng.random(count))), count + 5)
    assert len(set(found)) == len(found) == min(count, SHORTLIST)


def test_uncertain_picks_are_distinct_too() -> None:
    prediction = learnt(12, 30)
    found = picks(plan_of(judged(prediction, np.linspace(0, 1, 30))), 40)
    assert sorted(found) == list(range(30))


def test_the_shortlist_holds_the_best() -> None:
    values = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 2 * SHORTLIST))
    plan = plan_of(judged(values))
    assert values[picks(plan, 3)[0]] == values.min()
    chosen = [values[row] for row in picks(plan, SHORTLIST)]
    assert max(chosen) <= np.sort(values)[SHORTLIST - 1]


def test_pending_ones_are_not_on_the_shortlist() -> None:
    values = np.linspace(0.9, 0.1, 2 * SHORTLIST)
    found = picks(plan_of(judged(values), pending=SHORTLIST), 2 * SHORTLIST)
    assert min(found) >= SHORTLIST


# -- where nothing improves ------------------------------------------------------------------------------


def test_where_nothing_improves_the_nearest_to_the_front_is_picked() -> None:
    plan = plan_of(judged([0.9, 0.6, 0.8], [0.9, 0.6, 0.7]), [[0.0, 0.0]])
    assert picks(plan, 3) == [1, 2, 0]


def test_nearness_is_in_the_spans_of_the_objectives() -> None:
    """A thousandth of the first objective's span beats a tenth of the second's, whatever the units."""
    candidates = judged([1000.0, 1000.001], [1.0, 2.0])
    members = np.array([[0.0, 0.0], [900.0, -9.0]])
    improvement = Improvement(members, np.array([-1.0, -10.0]), np.array([0.0, 0.0]), 0)
    assert picks(Plan(candidates, improvement, members), 1) == [0]


def test_nothing_improves_and_there_is_no_front() -> None:
    candidates = judged([5.0, 4.0])
    improvement = Improvement(np.zeros((0, 1)), np.array([0.0]), np.array([1.0]), 0)
    assert sorted(picks(Plan(candidates, improvement, np.zeros((0, 1))), 3)) == [0, 1]


def test_no_candidates_at_all() -> None:
    plan = plan_of(judged([]))
    assert plan.pick() is None
    assert len(plan.best(5)) == 0


# -- limits ----------------------------------------------------------------------------------------------


def limit_on(values: np.ndarray, candidates: int, largest: float) -> Limit:
    """A limit on a metric of which the first candidates have been evaluated."""
    rows = random_features(len(values))
    return Limit(Uncertain(Surrogate(rows, values).posterior(rows.take(np.arange(candidates)))), largest)


def test_what_hardly_keeps_a_limit_is_passed_over() -> None:
    metric = np.array([0.0, 10.0] * 10)
    limit = limit_on(metric, 6, 5.0)
    assert ((limit.chance > 0.5) == (metric[:6] < 5)).all()
    candidates = judged([0.5, 0.4, 0.5, 0.4, 0.5, 0.4], limits=[limit])
    assert picks(plan_of(judged([0.5, 0.4, 0.5, 0.4, 0.5, 0.4])), 1) == [1]
    assert picks(plan_of(candidates), 1)[0] in (0, 2, 4)


def test_the_chance_to_keep_a_limit_is_a_chance() -> None:
    limit = limit_on(np.linspace(0, 1, 20), 20, 0.5)
    assert ((limit.chance >= 0) & (limit.chance <= 1)).all()
    assert (np.diff(limit.chance) < 1e-2).mean() > 0.8
    assert limit.take(np.array([3, 5])).chance == pytest.approx(limit.chance[[3, 5]])
    # To be joined both must be of one surrogate.
    assert limit.take(np.array([3])).join(limit.take(np.array([5]))).chance == pytest.approx(
        limit.chance[[3, 5]]
    )


def test_a_limit_that_nobody_keeps_leaves_something_to_pick() -> None:
    limit = limit_on(np.linspace(5, 6, 20), 5, -1e9)
    assert limit.chance.tolist() == [0.0] * 5
    found = picks(plan_of(judged([0.5, 0.1, 0.2, 0.3, 0.4], limits=[limit])), 5)
    assert sorted(found) == list(range(5))


def test_until_something_keeps_the_limits_their_keeping_comes_first() -> None:
    """Here the likeliest to keep the limit is expected to be worse than all that was seen."""
    limit = limit_on(np.array([0.0, 10.0, 10.0, 10.0] * 5), 4, 5.0)
    objective = [2.0, 0.1, 0.2, 0.3]
    assert picks(plan_of(judged(objective, limits=[limit])), 1) == [0]
    assert picks(plan_of(judged(objective, limits=[limit]), [[0.9]]), 1) != [0]


# -- judged candidates -----------------------------------------------------------------------------------


def test_the_best_are_those_of_the_highest_scores() -> None:
    plan = plan_of(judged([0.9, 0.2, 0.5, 0.1]), pending=1)
    assert [a.values()["a"] for a in plan.best(2).architectures] == [3, 1]
    assert len(plan.best(9)) == 3
    assert picks(plan, 1) == [3]


def test_new_candidates_are_added_once() -> None:
    few, many = judged([0.5, 0.6]), judged([0.9, 0.9, 0.7, 0.8])
    both = few.with_new(many)
    assert len(both) == 4
    assert both.expected[:, 0].tolist() == [0.5, 0.6, 0.7, 0.8]
    assert [a.values()["a"] for a in both.candidates.architectures] == [0, 1, 2, 3]
    assert len(few.with_new(few)) == 2
    assert both.take(np.array([3, 0])).expected[:, 0].tolist() == [0.8, 0.5]


def test_observing_reaches_objectives_and_limits() -> None:
    limit = limit_on(np.linspace(0, 1, 20), 4, 0.5)
    candidates = judged(learnt(10, 4), limits=[limit])
    prediction = candidates.predictions[0]
    assert isinstance(prediction, Uncertain)
    before = prediction.posterior.deviation[2], limit.metric.posterior.deviation[2]
    candidates.observe(2)
    after = prediction.posterior.deviation[2], limit.metric.posterior.deviation[2]
    assert after[0] < before[0]
    assert after[1] < before[1]
