"""Results of earlier searches: what they are worth in another space, at another fidelity, at other prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from search_toys import (
    BOTH,
    COST,
    ERROR,
    QUICK_SEARCHERS,
    Toy,
    error_of,
    flat_space,
    hashes,
    make_loop,
    make_searcher,
    price,
    run,
)

from nas.search.journal import MemoryJournal
from nas.search.numbers import counted_text, read_counted
from nas.search.objective import Constraint
from nas.search.prices import Pricing
from nas.search.trial import TrialResult, TrialState
from nas.search.warm_start import WarmStart, join, warm_start
from nas.spaces.architecture import Architecture

WANTED = ("error", "cost")
PRICING = Pricing({"cost": price})


def earlier(
    vectors: Sequence[Sequence[int]],
    space: Any = None,
    *,
    fidelity: int = 1,
    state: TrialState = TrialState.FINISHED,
    source: str = "first",
    **values: float,
) -> list[TrialResult]:
    """Results of an earlier study, the cost of each out of date."""
    space = space or flat_space(4, 4, 4)
    return [
        TrialResult(a, state, {"error": error_of(a), "cost": -1.0, **values}, fidelity, number, source)
        for number, a in enumerate(map(space.decode, vectors))
    ]


def start(results: Sequence[TrialResult], space: Any = None, fidelity: int = 1) -> WarmStart:
    return warm_start(results, space or flat_space(4, 4, 4), PRICING, WANTED, fidelity)


def test_results_of_the_same_space_are_priced_afresh() -> None:
    found = start(earlier([[0, 0, 0], [1, 2, 3]]))
    assert [result.values["cost"] for result in found.results] == [1.0, 7.0]
    assert [result.number for result in found.results] == [0, 1]
    assert found.hints == ()


def test_values_that_nobody_asks_for_are_left_out() -> None:
    (result,) = start(earlier([[0, 0, 0]], loss=3.0)).results
    assert set(result.values) == set(WANTED)


def test_a_result_that_lacks_an_objective_is_counted() -> None:
    architecture = flat_space(4, 4, 4).decode([0, 0, 0])
    for values in ({}, {"error": float("nan")}, {"error": float("inf")}):
        found = start([TrialResult(architecture, TrialState.FINISHED, values, 1, 0, "first")])
        assert (found.all, found.partial) == ((), 1)


def test_architectures_of_another_space_are_counted_and_the_first_reason_is_kept() -> None:
    results = earlier([[3, 0, 0], [0, 0, 0], [0, 3, 0]])
    found = start(results, flat_space(2, 2, 2))
    assert [result.architecture.values() for result in found.results] == [{"a": 0, "b": 0, "c": 0}]
    assert found.foreign == 2
    assert "a has the options 0, 1; 3 is none of them" in found.reason


def test_a_smaller_space_of_fewer_decisions_takes_nothing() -> None:
    found = start(earlier([[0, 0, 0]]), flat_space(4, 4))
    assert (found.all, found.foreign) == ((), 1)


@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.INFEASIBLE, TrialState.RUNNING])
def test_trials_without_a_result_are_left_out(state: TrialState) -> None:
    assert start(earlier([[0, 0, 0]], state=state)) == WarmStart()


@pytest.mark.parametrize(
    ("state", "fidelity"), [(TrialState.FINISHED, 1), (TrialState.FINISHED, 9), (TrialState.STOPPED, 2)]
)
def test_another_fidelity_makes_a_hint(state: TrialState, fidelity: int) -> None:
    found = start(earlier([[0, 0, 0]], fidelity=fidelity, state=state), fidelity=3)
    assert found.results == ()
    (hint,) = found.hints
    assert (hint.state, hint.fidelity, hint.is_hint) == (TrialState.STOPPED, fidelity, True)


def test_of_repeats_the_first_counts_and_a_hint_gives_way() -> None:
    first, second = earlier([[0, 0, 0], [0, 0, 0]])
    low = earlier([[0, 0, 0], [1, 0, 0]], fidelity=2)
    found = start([*low, first, second])
    assert [result.number for result in found.results] == [0]
    assert [hint.architecture.values()["a"] for hint in found.hints] == [1]


def test_of_two_sources_the_first_counts() -> None:
    one = start(earlier([[0, 0, 0]], source="one"))
    other = start(earlier([[0, 0, 0], [1, 1, 1]], source="other"))
    low = start(earlier([[1, 1, 1], [2, 2, 2]], source="low", fidelity=5))
    found = join([one, low, other])
    assert [(r.source, r.number) for r in found.results] == [("one", 0), ("other", 1)]
    assert [(h.source, h.number) for h in found.hints] == [("low", 1)]


def test_what_is_reused_is_said_in_one_line() -> None:
    found = WarmStart(tuple(earlier([[0, 0, 0]])), tuple(earlier([[1, 0, 0]], fidelity=2)), 1, 2)
    assert found.describe("study 'x'") == (
        "reuses 1 result of study 'x'; 1 of another fidelity only guide the search; "
        "1 is of another space; 2 lack an objective of this study"
    )


@pytest.mark.parametrize("stopped", [{}, {3: 1}, {10: 2, 11: 27}])
@pytest.mark.parametrize("finished", [[], [0], [5], [0, 1, 2], [0, 2, 4], [0, 1, 7, 8, 9, 30]])
def test_what_counts_as_text_and_back(finished: list[int], stopped: dict[int, int]) -> None:
    assert read_counted(counted_text(reversed(finished), stopped)) == (finished, stopped)


# -- in the loop -------------------------------------------------------------------------------------------


def known(space: Any, count: int = 12) -> list[TrialResult]:
    """The results of a random search."""
    loop = run(make_loop("random", space, trials=count, seed=77))
    return [TrialResult(r.architecture, r.state, r.values, 1, r.number, "first") for r in loop.results]


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
def test_nothing_is_evaluated_again(searcher: str) -> None:
    """In a space of 20, of which 12 are known."""
    space = flat_space(5, 4)
    reused = known(space)
    toy = Toy()
    loop = run(make_loop(searcher, space, trials=100, earlier=reused), toy)
    assert not {result.architecture.hash for result in reused} & set(toy.hashes)
    assert len(set(toy.hashes)) == len(toy.hashes) == space.size() - len(reused)
    assert "space exhausted" in str(loop.message)


def test_reused_results_are_no_trials_of_the_budget_and_stand_on_the_front() -> None:
    space = flat_space(4, 4, 4)
    best = earlier([[3, 3, 3], [0, 0, 0]])
    reused = start(best).all
    loop = run(make_loop("random", space, trials=5, earlier=reused))
    assert len(loop.results) == 5
    assert [result.number for result in loop.results] == [0, 1, 2, 3, 4]
    assert {result.source for result in loop.results} == {""}
    assert {r.architecture.hash for r in loop.front() if r.source} == {r.architecture.hash for r in best}


def test_a_reused_result_is_beaten_like_any_other() -> None:
    bad = earlier([[1, 1, 1]], error=99.0)
    loop = run(make_loop("random", flat_space(4, 4, 4), trials=20, earlier=start(bad).all))
    assert [result for result in loop.front() if result.source] == []


def test_one_that_breaks_a_constraint_here_is_not_on_the_front() -> None:
    reused = start(earlier([[3, 3, 3]])).all
    loop = run(make_loop("random", flat_space(4, 4, 4), constraints=["cost<=5"], trials=3, earlier=reused))
    assert all(not result.source for result in loop.front())


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
@pytest.mark.parametrize("fidelity", [1, 3])
def test_a_resumed_study_proposes_what_it_would_have_proposed(searcher: str, fidelity: int) -> None:
    """With results, and with hints."""
    space, journal = flat_space(5, 5, 5), MemoryJournal()
    reused = warm_start(known(space), space, PRICING, WANTED, fidelity).all
    settings: dict[str, Any] = {"trials": 14, "fidelity": fidelity, "earlier": reused}
    whole = hashes(run(make_loop(searcher, space, **settings)))
    with pytest.raises(KeyboardInterrupt):
        run(make_loop(searcher, space, store=journal, **settings), Toy({7: KeyboardInterrupt()}))
    loop = make_loop(searcher, space, store=journal, **settings)
    loop.resume()
    assert hashes(run(loop)) == whole


def test_evolution_breeds_from_what_is_known() -> None:
    """Its first proposals are near the known front, not its design."""
    space = flat_space(9, 9, 9, 9)
    without = hashes(run(make_loop("evolution", space, trials=4)))
    with_results = run(make_loop("evolution", space, trials=4, earlier=known(space, 20)))
    assert not set(without) & set(hashes(with_results))


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
def test_the_architecture_of_a_hint_may_be_proposed(searcher: str) -> None:
    """All but one of the space are known; the one left has a result at another fidelity."""
    space = flat_space(3, 4)
    vectors = list(space.enumerate())
    reused = [*earlier(vectors[1:], space), *earlier(vectors[:1], space, fidelity=5)]
    found = warm_start(reused, space, PRICING, WANTED, 1).all
    toy = Toy()
    run(make_loop(searcher, space, trials=20, earlier=found), toy)
    assert toy.hashes == [space.decode(vectors[0]).hash]


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
def test_a_searcher_takes_hints(searcher: str) -> None:
    space = flat_space(3, 3)
    asked = make_searcher(searcher, space)
    asked.tell(warm_start(earlier([[0, 0], [1, 1]], space, fidelity=4), space, PRICING, WANTED, 1).all)
    assert len(asked.ask(1)) == 1


def test_only_what_is_known_afresh_replaces_the_old_value() -> None:
    architecture = Architecture(None, (("a", 1), ("b", 0), ("c", 0)))
    old = TrialResult(architecture, TrialState.FINISHED, {"error": 0.25, "cost": 40.0}, 1, 3, "first")
    pricing = Pricing({}, [Constraint.parse("cost<=50")])
    (result,) = warm_start([old], flat_space(4, 4, 4), pricing, [ERROR.name, COST.name], 1).results
    assert dict(result.values) == {"error": 0.25, "cost": 40.0}
    assert {objective.name for objective in BOTH} == set(result.values)
