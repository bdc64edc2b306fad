"""Local search: steps from the front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model_toys import told
from search_toys import BOTH, COST, ERROR, error_of, flat_space, make_searcher, price
from test_pareto import FOUR, gap, hashes, known, result, search

from nas.search.objective import Constraint, Objective
from nas.search.searchers.local import INITIAL, LocalSearch
from nas.search.trial import TrialResult, TrialState
from nas.testing import SearcherConformance
from nas.testing.problems import problems

LARGE = flat_space(*[8] * 8)


class TestConformance(SearcherConformance):
    @pytest.fixture
    def searcher(self) -> str:
        return "local"


def steps(one: Any, other: Any) -> int:
    return int((LARGE.encode(one) != LARGE.encode(other)).sum())


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("names", [(), ("cost",), ("error", "cost", "score", "memory")], ids=len)
def test_any_objectives_known_or_not(count: int, names: tuple[str, ...]) -> None:
    searcher = make_searcher("local", flat_space(4, 4, 4), FOUR[:count], known(*names))
    assert len(set(hashes(search(searcher, 25)))) == 25


def test_it_starts_spread_over_the_cost() -> None:
    costs = price(make_searcher("local", LARGE).ask(INITIAL))
    assert costs[0] == min(costs) < 10
    assert costs[1] == max(costs)


def test_then_it_steps_from_the_front() -> None:
    searcher = make_searcher("local", LARGE, (ERROR,), {})
    told_so_far = search(searcher, INITIAL)
    for number in range(INITIAL, INITIAL + 20):
        [architecture] = searcher.ask(1)
        best = min(told_so_far, key=error_of)
        assert steps(architecture, best) == 1
        searcher.tell([told(architecture, number)])
        told_so_far.append(architecture)


def test_it_leaves_a_neighbourhood_that_is_used_up() -> None:
    """A best one all of whose neighbours were told: two steps, then anywhere."""
    space = flat_space(2, 2, 2)
    searcher = make_searcher("local", space, (ERROR,), {})
    found = search(searcher, 8)
    assert len(set(hashes(found))) == 8
    assert searcher.ask(1) == []


def test_members_that_stand_alone_are_visited_more() -> None:
    space = flat_space(*[12] * 3)
    searcher = make_searcher("local", space, (ERROR, COST), {})
    crowd = [(0.50, 0.50), (0.51, 0.49), (0.52, 0.48), (0.53, 0.47), (0.0, 1.0), (1.0, 0.0)]
    members = [space.decode([n, n, n]) for n in range(len(crowd))]
    filler = [(space.decode([11, n, 11]), (2.0, 2.0)) for n in range(INITIAL)]
    pairs = [*zip(members, crowd, strict=True), *filler]
    for number, (architecture, (error, cost)) in enumerate(pairs):
        values = {"error": error, "cost": cost}
        searcher.tell([TrialResult(architecture, TrialState.FINISHED, values, 1, number)])
    visits = np.zeros(len(crowd))
    for architecture in searcher.ask(120):
        distances = [(space.encode(architecture) != n).sum() for n in range(len(crowd))]
        if min(distances) == 1:
            visits[int(np.argmin(distances))] += 1
    assert visits[4:].mean() > 1.4 * visits[1:3].mean()


def test_a_batch_is_of_different_architectures() -> None:
    searcher = make_searcher("local", LARGE)
    search(searcher, 12)
    batch = hashes(searcher.ask(8))
    assert len(set(batch)) == 8
    one, other = (make_searcher("local", LARGE) for _ in range(2))
    assert hashes(search(one, 12)) == hashes(search(other, 12))
    assert hashes(one.ask(2)) == hashes(other.ask(1)) + hashes(other.ask(1))


@pytest.mark.parametrize("limit", [Constraint("cost", "<=", 12.0), Constraint("cost", ">=", 30.0)], ids=str)
def test_known_constraints_are_kept(limit: Constraint) -> None:
    searcher = make_searcher("local", LARGE, constraints=(limit,))
    assert all(limit.allows(price([architecture])[0]) for architecture in search(searcher, 25))


def test_only_those_that_keep_a_metrics_limit_are_stepped_from() -> None:
    limit = Constraint("error", ">=", 0.5)
    searcher = make_searcher("local", LARGE, (Objective("cost", "max"),), {}, (limit,))
    good, better = LARGE.decode([1] * 8), LARGE.decode([7] * 8)
    values = [(good, 1.0, 9.0), (better, 0.1, 57.0)]
    values += [(LARGE.decode([0] * 7 + [n]), 0.9, 1.0) for n in range(INITIAL)]
    for number, (architecture, error, cost) in enumerate(values):
        searcher.tell(
            [TrialResult(architecture, TrialState.FINISHED, {"error": error, "cost": cost}, 1, number)]
        )
    assert all(steps(architecture, good) == 1 for architecture in searcher.ask(10))


@pytest.mark.parametrize("options", [(1,), (2,), (2, 3)], ids=str)
def test_a_space_ends(options: tuple[int, ...]) -> None:
    space = flat_space(*options)
    searcher = make_searcher("local", space, BOTH)
    assert len(set(hashes(search(searcher, space.size())))) == space.size()
    assert searcher.ask(3) == []


def test_all_trials_may_fail() -> None:
    searcher = make_searcher("local", flat_space(4, 4, 4))
    seen = []
    for number in range(20):
        [architecture] = searcher.ask(1)
        seen.append(architecture.hash)
        searcher.tell([told(architecture, number, TrialState.FAILED)])
    assert len(set(seen)) == 20


def test_all_results_may_be_equal_or_stopped() -> None:
    searcher = make_searcher("local", flat_space(4, 4, 4), BOTH)
    seen = []
    for number in range(20):
        [architecture] = searcher.ask(1)
        seen.append(architecture.hash)
        state = TrialState.STOPPED if number % 2 else TrialState.FINISHED
        searcher.tell([TrialResult(architecture, state, {"error": 0.1, "cost": 0.1}, 1, number)])
    assert len(set(seen)) == 20


@pytest.mark.parametrize("problem", [problems()[1], problems()[3]], ids=["flat", "tree"])
def test_told_at_once_it_goes_on_as_told_one_by_one(problem: Any) -> None:
    straight, at_once = (LocalSearch(problem.setup()) for _ in range(2))
    results = []
    for number in range(15):
        [architecture] = straight.ask(1)
        results.append(problem.result(architecture, number))
        straight.tell(results[-1:])
    at_once.tell(results)
    assert hashes(at_once.ask(3)) == hashes(straight.ask(3))


def test_results_that_nobody_asked_for_are_stepped_from() -> None:
    searcher = make_searcher("local", LARGE, (ERROR,), {})
    best = LARGE.decode([7] * 8)
    others = [LARGE.decode([0] * 7 + [n]) for n in range(INITIAL)]
    searcher.tell([result(architecture, number) for number, architecture in enumerate([best, *others])])
    assert all(steps(architecture, best) == 1 for architecture in searcher.ask(5))


def test_it_beats_random_search() -> None:
    space = flat_space(*[4] * 6)
    mine = [gap("local", seed, space) for seed in range(4)]
    random = [gap("random", seed, space) for seed in range(4)]
    assert np.mean(mine) < 0.7 * np.mean(random)
