"""What a model-based searcher knows of its trials."""

from __future__ import annotations

import numpy as np
import pytest
from model_toys import told
from search_toys import BOTH, ERROR, flat_space

from nas.search.front import non_dominated
from nas.search.objective import Constraint, Objective
from nas.search.searchers.evaluated import Evaluated
from nas.search.trial import TrialResult, TrialState

SPACE = flat_space(5, 5, 5)
EVERY = [SPACE.decode(vector) for vector in SPACE.enumerate()]
STATES = [TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED, TrialState.FINISHED]


def evaluated(results: list[TrialResult], *constraints: str) -> Evaluated:
    found = Evaluated(BOTH, [Constraint.parse(text) for text in constraints])
    for result in results:
        found.add(result)
    return found


def some(count: int, fidelity: int = 9) -> list[TrialResult]:
    """Finished, stopped and failed ones."""
    states = [STATES[number % 4] for number in range(count)]
    fidelities = [fidelity if state is TrialState.FINISHED else 3 for state in states]
    return [told(EVERY[7 * n % 125], n, states[n], fidelities[n]) for n in range(count)]


def test_results_may_come_in_any_order() -> None:
    results = some(24)
    straight = evaluated(results)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(24)
        other = evaluated([results[index] for index in order])
        assert other.ordered == straight.ordered == results
        assert other.full_fidelity == straight.full_fidelity
        one, same = straight.lessons("error", 1.0), other.lessons("error", 1.0)
        assert one.architectures == same.architectures
        assert one.values.tolist() == same.values.tolist()
        assert one.fidelities.tolist() == same.fidelities.tolist()
        for mine, theirs in zip(straight.ranked, other.ranked, strict=True):
            assert np.array_equal(np.array(mine, dtype=object), np.array(theirs, dtype=object))


def test_stopped_results_teach_at_the_fidelity_they_reached() -> None:
    results = some(8)
    lessons = evaluated(results).lessons("error", 1.0)
    taught = [result for result in results if result.state is not TrialState.FAILED]
    assert lessons.architectures == [result.architecture for result in taught]
    assert lessons.fidelities.tolist() == [result.fidelity for result in taught]
    assert lessons.values.tolist() == [result.values["error"] for result in taught]
    assert {3.0, 9.0} == set(lessons.fidelities.tolist())


def test_failed_results_teach_nothing() -> None:
    failed = [told(EVERY[n], n, TrialState.FAILED) for n in range(5)]
    found = evaluated(failed)
    assert found.lessons("error", 1.0).architectures == []
    assert found.lessons("error", 1.0).values.shape == (0,)
    architectures, values, ranks = found.ranked
    assert architectures == []
    assert values.shape == (0, 2)
    assert len(ranks) == 0
    assert found.ordered == failed


def test_a_maximised_metric_is_turned() -> None:
    lessons = evaluated([told(EVERY[3], 0)]).lessons("error", -1.0)
    assert lessons.values.tolist() == [-told(EVERY[3], 0).values["error"]]


def test_a_metric_that_was_not_measured_teaches_nothing() -> None:
    assert evaluated(some(8)).lessons("score", 1.0).architectures == []


def test_the_better_result_of_an_architecture_takes_the_place_of_the_first() -> None:
    stopped, finished = told(EVERY[0], 0, TrialState.STOPPED, 3), told(EVERY[0], 0, fidelity=9)
    assert evaluated([stopped, finished]).ordered == [finished]
    failed = told(EVERY[0], 0, TrialState.FAILED)
    assert evaluated([stopped, failed]).ordered == [stopped]
    assert evaluated([failed, stopped]).ordered == [stopped]


def test_the_full_fidelity_is_that_of_the_finished() -> None:
    assert evaluated([]).full_fidelity == 1
    stopped = told(EVERY[0], 0, TrialState.STOPPED, 3)
    assert evaluated([stopped]).full_fidelity == 3
    assert evaluated([stopped, told(EVERY[1], 1, fidelity=27)]).full_fidelity == 27


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_hint_never_stands_for_a_trial(order: list[int]) -> None:
    hint = TrialResult(EVERY[0], TrialState.STOPPED, {"error": 0.0, "cost": 0.0}, 3, 0, "earlier")
    own = told(EVERY[0], 4, fidelity=9)
    results = [hint, own]
    found = evaluated([results[index] for index in order])
    assert found.ordered == [own]
    assert found.full_fidelity == 9
    alone = evaluated([hint, told(EVERY[1], 1, fidelity=9)])
    assert len(alone.lessons("error", 1.0).values) == 2
    assert EVERY[0] not in alone.ranked[0]


def test_ranks_are_those_of_the_finished_that_keep_the_constraints() -> None:
    results = some(40)
    architectures, values, ranks = evaluated(results, "cost<=8").ranked
    fit = [r for r in results if r.state is TrialState.FINISHED and r.values["cost"] <= 8]
    assert {a.hash for a in architectures} == {r.architecture.hash for r in fit}
    assert (ranks == 0).tolist() == non_dominated(values).tolist()
    assert (np.diff(ranks) >= 0).all()
    by_hash = {r.architecture.hash: r.values for r in results}
    for architecture, row in zip(architectures, values.tolist(), strict=True):
        assert row == [by_hash[architecture.hash][name] for name in ("error", "cost")]


def test_a_constraint_on_a_metric_that_is_missing_is_broken() -> None:
    assert evaluated(some(8), "score>=0.1").ranked[0] == []


def test_directions_count_in_ranks() -> None:
    objectives = (Objective("error", "max"),)
    found = Evaluated(objectives, ())
    for number, architecture in enumerate(EVERY[:10]):
        found.add(told(architecture, number))
    architectures, values, _ = found.ranked
    errors = [told(a, 0).values["error"] for a in architectures]
    assert errors[0] == max(errors)
    assert values[:, 0].tolist() == [-error for error in errors]


def test_a_hint_outlives_a_failure_in_whichever_order_they_come() -> None:
    architecture = flat_space(2, 2).decode([0, 1])
    hint = TrialResult(architecture, TrialState.STOPPED, {"error": 3.0}, 2, 0, source="earlier")
    failure = TrialResult(architecture, TrialState.FAILED, {}, 5, 1)
    for order in ([hint, failure], [failure, hint]):
        known = Evaluated((ERROR,), ())
        for result in order:
            known.add(result)
        assert known.lessons("error", 1.0).values.tolist() == [3.0]
