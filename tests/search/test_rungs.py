"""Rungs: their steps, who goes on, and a study that pauses and promotes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toys import BOTH, COST, ERROR, QUICK_SEARCHERS, error_of, flat_space, hashes, make_loop, run

from nas.errors import UsageError
from nas.search.events import LoopEvent, StepDone, TrialEnded, TrialPromoted, TrialStarted
from nas.search.journal import MemoryJournal
from nas.search.loop import StudyLoop
from nas.search.objective import Constraint, Objective
from nas.search.rungs import Rungs, epsilon_net, ranking, rung_steps
from nas.search.trial import Decision, Failed, Finished, Lost, Progress, Started, TrialRequest, TrialState
from nas.store import Store, StudyRecord

RUNGS = {"fidelity": 9, "rungs": 3}


class Kept:
    """An evaluator that keeps checkpoints, counts its steps and may be interrupted at one of them."""

    def __init__(self, kept: dict[int, int] | None = None, stop_at: int | None = None) -> None:
        self.kept = {} if kept is None else kept
        self.steps: list[tuple[int, int]] = []
        self._stop_at = stop_at

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        begun = self.kept.get(request.number, 0)
        if begun:
            yield self._metrics(request, begun)
        for step in range(begun + 1, request.fidelity + 1):
            if len(self.steps) == self._stop_at:
                raise KeyboardInterrupt
            self.steps.append((request.number, step))
            self.kept[request.number] = step
            yield self._metrics(request, step)

    def _metrics(self, request: TrialRequest, step: int) -> Mapping[str, float]:
        return {"error": error_of(request.architecture) + 1.0 / step, "step": step}


# -- the steps --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fidelity", "rungs", "steps"),
    [
        (27, 3, (3, 9, 27)),
        (27, 4, (1, 3, 9, 27)),
        (10, 3, (2, 4, 10)),
        (5, 3, (1, 2, 5)),
        (7, 1, (7,)),
        (1, 1, (1,)),
    ],
)
def test_steps_are_the_fidelity_divided_again_and_again(
    fidelity: int, rungs: int, steps: tuple[int, ...]
) -> None:
    assert rung_steps(fidelity, rungs) == steps


@pytest.mark.parametrize("rungs", [0, -1, True, 1.5])
def test_less_than_one_rung_is_refused(rungs: Any) -> None:
    with pytest.raises(UsageError, match="rungs must be a whole number of at least 1"):
        rung_steps(9, rungs)


@pytest.mark.parametrize(("fidelity", "most"), [(1, 1), (2, 2), (5, 3), (27, 4), (28, 5)])
def test_too_many_rungs_name_how_many_are_possible(fidelity: int, most: int) -> None:
    assert len(rung_steps(fidelity, most)) == most
    with pytest.raises(UsageError, match=f"{most + 1} rungs are too many .* at most {most} are possible"):
        rung_steps(fidelity, most + 1)


def test_the_loop_refuses_them_too() -> None:
    with pytest.raises(UsageError, match="at most 3 are possible"):
        make_loop(fidelity=5, rungs=4)


# -- the order --------------------------------------------------------------------------------------------


def test_ranking_follows_the_fronts() -> None:
    points = [{"error": e, "cost": c} for e, c in [(2, 2), (1, 3), (3, 1), (3, 3), (2, 3), (4, 4)]]
    best = ranking(points, BOTH)
    assert set(best[:3]) == {0, 1, 2}
    assert best[3:] == [4, 3, 5]


def test_ranking_of_one_objective_is_its_order() -> None:
    goal = [Objective("accuracy", "max")]
    assert ranking([{"accuracy": a} for a in (0.1, 0.5, 0.3)], goal) == [1, 2, 0]


def test_what_keeps_the_constraints_comes_first() -> None:
    points = [{"error": e, "cost": 1.0} for e in (0.5, 0.1, 0.9, 0.3)]
    best = ranking(points, BOTH, [Constraint("error", ">=", 0.4)])
    assert best == [0, 2, 3, 1]


def test_nothing_is_ranked_among_none() -> None:
    assert ranking([], BOTH) == []


def test_any_beginning_of_the_net_covers_the_front() -> None:
    line = np.array([[x, 1.0 - x] for x in np.linspace(0.0, 1.0, 9)])
    assert epsilon_net(line)[:3] == [0, 8, 4]
    assert sorted(epsilon_net(line)[:5]) == [0, 2, 4, 6, 8]
    assert sorted(epsilon_net(line)) == list(range(9))


def test_the_net_of_equal_points_takes_each_once() -> None:
    assert sorted(epsilon_net(np.ones((4, 2)))) == [0, 1, 2, 3]


# -- who goes on ------------------------------------------------------------------------------------------


def three_rungs(*errors: float) -> Rungs:
    rungs = Rungs((1, 3, 9), [ERROR])
    for number, error in enumerate(errors):
        rungs.pause(number, 1, {"error": error})
    return rungs


def test_the_best_of_three_goes_on() -> None:
    assert three_rungs(3.0, 1.0).candidate() is None
    rungs = three_rungs(3.0, 1.0, 2.0)
    assert rungs.candidate() == 1
    rungs.go_on(1)
    assert rungs.candidate() is None
    assert set(rungs.waiting) == {0, 2}


def test_those_that_went_on_still_count() -> None:
    """Else the second best of three would follow the best."""
    rungs = three_rungs(3.0, 1.0, 2.0, 4.0, 5.0)
    rungs.go_on(1)
    assert rungs.candidate() is None
    rungs.pause(5, 1, {"error": 6.0})
    assert rungs.candidate() == 2


def test_the_highest_rung_comes_first() -> None:
    rungs = three_rungs(*range(1, 13))
    for number in range(3):
        rungs.go_on(number)
        rungs.pause(number, 3, {"error": float(number)})
    assert rungs.candidate() == 0
    rungs.go_on(0)
    assert rungs.candidate() == 3


def test_the_front_of_a_rung_goes_on_up_to_half_of_it() -> None:
    rungs = Rungs((1, 3), BOTH)
    for number in range(8):
        rungs.pause(number, 1, {"error": float(number), "cost": float(-number)})
    chosen = []
    while (number := rungs.candidate()) is not None:
        rungs.go_on(number)
        chosen.append(number)
    assert len(chosen) == 4
    assert chosen[:2] == [0, 7]


def test_a_small_front_leaves_it_at_a_third() -> None:
    rungs = Rungs((1, 3), BOTH)
    for number in range(9):
        rungs.pause(number, 1, {"error": float(number), "cost": float(number)})
    chosen = []
    while (number := rungs.candidate()) is not None:
        rungs.go_on(number)
        chosen.append(number)
    assert chosen == [0, 1, 2]


def test_one_that_is_not_worth_it_is_passed_over() -> None:
    rungs = three_rungs(*range(6))
    assert rungs.candidate(lambda number: number != 0) == 1
    assert rungs.candidate(lambda number: False) is None


def test_levels_and_pauses() -> None:
    rungs = Rungs((1, 3, 9), [ERROR])
    assert [rungs.level(step) for step in (0, 1, 2, 3, 8, 9)] == [0, 1, 1, 2, 2, 2]
    assert rungs.pauses(0, 1)
    assert not rungs.pauses(1, 2)
    assert rungs.pauses(1, 4), "an evaluator that reports every fourth step pauses at its first beyond"
    assert not rungs.pauses(3, 9), "the end is no pause"
    assert not Rungs((9,), [ERROR]).pauses(0, 5)


@pytest.mark.parametrize(
    ("steps", "waits", "base", "waiting"),
    [
        ([], False, 0, []),
        ([1], True, 1, [0]),
        ([1, 2], False, 1, []),
        ([1, 2, 3], True, 3, [0]),
        ([1, 2], True, 1, []),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], False, 3, []),
        ([4], True, 4, [0]),
    ],
)
def test_recalling_a_trial(steps: list[int], waits: bool, base: int, waiting: list[int]) -> None:
    rungs = Rungs((1, 3, 9), [ERROR])
    history = [(step, {"error": 1.0 / step}) for step in steps]
    assert rungs.recall(0, {}, history, waits=waits) == base
    assert list(rungs.waiting) == waiting


# -- a study ----------------------------------------------------------------------------------------------


def test_a_study_trains_few_of_its_trials_to_the_end() -> None:
    evaluator = Kept()
    journal = MemoryJournal()
    loop = run(make_loop(trials=27, store=journal, **RUNGS), evaluator)
    states = [result.state for result in loop.results]
    assert len(states) == 27
    finished = states.count(TrialState.FINISHED)
    assert 3 <= finished <= 13
    assert states.count(TrialState.STOPPED) == 27 - finished
    assert len(evaluator.steps) == len(set(evaluator.steps)), "no step is done twice"
    assert len(evaluator.steps) < 0.55 * 27 * 9
    assert loop.exhausted


def test_results_tell_how_far_they_came() -> None:
    loop = run(make_loop(trials=12, **RUNGS), Kept())
    for result in loop.results:
        expected = error_of(result.architecture) + 1.0 / result.fidelity
        assert result.values["error"] == pytest.approx(expected)
        assert (result.fidelity == 9) is (result.state is TrialState.FINISHED)
        assert result.fidelity in (1, 3, 9)


def test_only_the_finished_stand_on_the_front() -> None:
    loop = run(make_loop(trials=27, **RUNGS), Kept())
    assert len(loop.front())
    assert all(member.state is TrialState.FINISHED for member in loop.front())


def test_when_all_are_begun_those_go_on_that_qualify() -> None:
    loop = run(make_loop(trials=9, objectives=[ERROR], **RUNGS), Kept())
    best = sorted(loop.results, key=lambda result: error_of(result.architecture))
    assert best[0].state is TrialState.FINISHED
    reached = sorted((result.fidelity for result in loop.results), reverse=True)
    assert reached[0] == 9
    assert sum(fidelity >= 3 for fidelity in reached) >= 3


def test_one_rung_is_as_without() -> None:
    plain = run(make_loop(trials=9, fidelity=9), Kept())
    assert run(make_loop(trials=9, fidelity=9, rungs=1), Kept()).results == plain.results


def test_events_tell_of_pauses_and_promotions() -> None:
    events: list[LoopEvent] = []
    run(make_loop(trials=3, fidelity=2, rungs=2, listener=events.append), Kept())
    kinds = [type(event) for event in events]
    assert kinds[-4:] == [TrialPromoted, TrialStarted, StepDone, TrialEnded]
    promoted, ended = events[-4], events[-1]
    assert isinstance(promoted, TrialPromoted)
    assert isinstance(ended, TrialEnded)
    assert (promoted.step, promoted.until) == (1, 2)
    assert ended.result.number == promoted.number
    assert ended.result.state is TrialState.FINISHED


def test_the_searcher_hears_of_a_pause_and_of_the_end() -> None:
    told: list[tuple[int, TrialState, int]] = []

    class Ear:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def ask(self, n: int) -> Any:
            return self._inner.ask(n)

        def tell(self, results: Any) -> None:
            told.extend((r.number, r.state, r.fidelity) for r in results)
            self._inner.tell(results)

    from search_toys import make_searcher

    run(make_loop(Ear(make_searcher("random", flat_space(4, 4, 4))), trials=3, fidelity=2, rungs=2), Kept())
    assert [entry[1:] for entry in told] == [(TrialState.STOPPED, 1)] * 3 + [(TrialState.FINISHED, 2)]
    assert told[3][0] in (0, 1, 2)


def test_a_constraint_on_a_metric_counts_at_a_rung() -> None:
    loop = run(make_loop(trials=27, constraints=["error<=2.5"], **RUNGS), Kept())
    assert len(loop.front())
    assert all(member.values["error"] <= 2.5 for member in loop.front())


def test_a_metric_that_is_missing_at_a_rung_fails_the_trial() -> None:
    def silent(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        yield {"loss": 1.0}

    loop = run(make_loop(trials=1, **RUNGS), silent)
    assert "metric 'error' is missing after step 1" in loop.errors[0]


def test_an_evaluator_without_checkpoints_begins_again() -> None:
    def plain(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        for step in range(1, request.fidelity + 1):
            yield {"error": error_of(request.architecture) + 1.0 / step}

    with_checkpoints = run(make_loop(trials=12, **RUNGS), Kept())
    assert run(make_loop(trials=12, **RUNGS), plain).results == with_checkpoints.results


# -- one report after the other ---------------------------------------------------------------------------


def begun(loop: StudyLoop) -> TrialRequest:
    request = loop.next()
    assert request is not None
    loop.report(Started(request.number, request.attempt, "host"))
    return request


def paused(loop: StudyLoop, error: float) -> TrialRequest:
    request = begun(loop)
    progress = Progress(request.number, request.attempt, 1, {"error": error})
    assert loop.report(progress) is Decision.STOP
    return request


def test_a_paused_trial_goes_on_only_when_its_worker_has_let_go() -> None:
    loop = make_loop(trials=3, fidelity=3, rungs=2, objectives=[ERROR])
    requests = [paused(loop, error) for error in (3.0, 1.0, 2.0)]
    assert loop.next() is None
    assert not loop.exhausted
    for request in requests:
        loop.report(Finished(request.number, request.attempt, 0.1, stopped=True))
    again = loop.next()
    assert again is not None
    assert (again.number, again.attempt, again.seed) == (1, 2, requests[1].seed)
    assert again.architecture == requests[1].architecture


@pytest.mark.parametrize("end", [Lost(0, 1, "killed"), Failed(0, 1, "closing failed")])
def test_what_happens_to_a_worker_after_the_pause_does_not_matter(end: Any) -> None:
    loop = make_loop(trials=1, fidelity=3, rungs=2)
    paused(loop, 1.0)
    assert loop.report(Progress(0, 1, 2, {"error": 0.0})) is Decision.STOP
    loop.report(end)
    assert [result.state for result in loop.results] == [TrialState.STOPPED]
    assert loop.results[0].values["error"] == 1.0
    assert loop.errors == {}


def test_a_promoted_trial_that_is_lost_goes_on_to_its_rung() -> None:
    loop = make_loop(trials=3, fidelity=9, rungs=3, objectives=[ERROR])
    for error in (3.0, 1.0, 2.0):
        request = paused(loop, error)
        loop.report(Finished(request.number, request.attempt, 0.1, stopped=True))
    again = begun(loop)
    assert loop.report(Progress(1, 2, 1, {"error": 1.0})) is Decision.CONTINUE
    assert loop.report(Progress(1, 2, 2, {"error": 0.8})) is Decision.CONTINUE
    loop.report(Lost(1, again.attempt, "killed"))
    again = begun(loop)
    assert again.attempt == 3
    for step in (1, 2):
        assert loop.report(Progress(1, 3, step, {"error": 0.8})) is Decision.CONTINUE
    assert loop.report(Progress(1, 3, 3, {"error": 0.7})) is Decision.STOP


def test_a_promoted_trial_that_fails_is_a_failed_trial() -> None:
    loop = make_loop(trials=3, fidelity=3, rungs=2, objectives=[ERROR])
    for error in (3.0, 1.0, 2.0):
        request = paused(loop, error)
        loop.report(Finished(request.number, request.attempt, 0.1, stopped=True))
    again = begun(loop)
    loop.report(Failed(again.number, again.attempt, "diverged"))
    assert loop.errors == {1: "diverged"}
    assert loop.exhausted


# -- resuming ---------------------------------------------------------------------------------------------


def interrupted(searcher: str, every: int, trials: int, **settings: Any) -> tuple[StudyLoop, MemoryJournal]:
    """The loop of a study that was killed after each so many steps, taken up again each time."""
    journal, kept = MemoryJournal(), dict[int, int]()
    for _ in range(400):
        loop = make_loop(searcher, flat_space(5, 5, 5), trials=trials, store=journal, **settings)
        loop.resume()
        try:
            return run(loop, Kept(kept, stop_at=every)), journal
        except KeyboardInterrupt:
            continue
    raise AssertionError("the study never ends")


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
@pytest.mark.parametrize("every", [2, 7])
def test_killed_again_and_again_it_does_the_same(searcher: str, every: int) -> None:
    trials = 14
    straight = run(make_loop(searcher, flat_space(5, 5, 5), trials=trials, **RUNGS), Kept())
    loop, _ = interrupted(searcher, every, trials, **RUNGS)
    assert loop.results == straight.results


@pytest.mark.parametrize("searcher", ["random", "evolution", "optuna-tpe"])
def test_a_larger_budget_goes_on(searcher: str) -> None:
    space, journal, kept = flat_space(5, 5, 5), MemoryJournal(), dict[int, int]()
    straight = run(make_loop(searcher, space, trials=20, **RUNGS), Kept())
    run(make_loop(searcher, space, trials=9, store=journal, **RUNGS), Kept(kept))
    loop = make_loop(searcher, space, trials=20, store=journal, **RUNGS)
    loop.resume()
    assert run(loop, Kept(kept)).results == straight.results


def test_a_promoted_trial_that_was_interrupted_is_not_paused_again() -> None:
    journal, kept = MemoryJournal(), dict[int, int]()
    settings = {"trials": 3, "objectives": [ERROR], "store": journal, **RUNGS}
    with pytest.raises(KeyboardInterrupt):
        run(make_loop(**settings), Kept(kept, stop_at=3))
    [number] = [trial.number for trial in journal.trials("memory") if not trial.state.is_final]
    loop = make_loop(**settings)
    loop.resume()
    evaluator = Kept(kept)
    run(loop, evaluator)
    assert evaluator.steps[:2] == [(number, 2), (number, 3)]
    assert loop.results[number].fidelity == 3


def test_after_a_failure_behind_a_rung_it_does_the_same() -> None:
    class Failing(Kept):
        def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
            for metrics in super().__call__(request):
                if metrics["step"] == 2 and int(request.architecture.hash[:2], 16) % 2:
                    raise ValueError("diverged")
                yield metrics

    space = flat_space(5, 5, 5)
    straight = run(make_loop("evolution", space, trials=16, **RUNGS), Failing())
    journal = MemoryJournal()
    for trials in (5, 10, 16):
        loop = make_loop("evolution", space, trials=trials, store=journal, **RUNGS)
        loop.resume()
        run(loop, Failing())
    assert hashes(loop) == hashes(straight)
    assert straight.errors


def test_through_the_store(tmp_path: Path) -> None:
    space, kept = flat_space(5, 5, 5), dict[int, int]()
    straight = run(make_loop("evolution", space, trials=12, **RUNGS), Kept())
    for stop in (5, 9, None):
        with Store.open(tmp_path / "nas.db") as store:
            if not store.studies():
                store.create_study(StudyRecord("study", "{}"))
            loop = make_loop("evolution", space, trials=12, store=store, study="study", **RUNGS)
            loop.resume()
            try:
                run(loop, Kept(kept, stop_at=stop))
            except KeyboardInterrupt:
                continue
            assert loop.results == straight.results
            for record in store.trials("study"):
                assert record.state is loop.results[record.number].state
                assert record.last_step == loop.results[record.number].fidelity
                assert [step for step, _ in store.steps("study", record.number)] == list(
                    range(1, record.last_step + 1)
                )


def test_costs_and_errors_of_trials_on_their_way_are_known_beside_a_pause() -> None:
    """Two workers: what one of them is told while the other's promoted trial was cut off."""
    journal = MemoryJournal()
    loop = make_loop(trials=4, objectives=[ERROR, COST], store=journal, fidelity=3, rungs=2)
    for error in (3.0, 1.0, 2.0):
        request = paused(loop, error)
        loop.report(Finished(request.number, request.attempt, 0.1, stopped=True))
    begun(loop)
    told: list[Any] = []

    class Ear:
        def ask(self, n: int) -> Any:
            return []

        def tell(self, results: Any) -> None:
            told.extend(results)

    make_loop(Ear(), trials=4, store=journal, fidelity=3, rungs=2).resume()
    assert [result.number for result in told] == [0, 1, 2]
    assert [result.state for result in told] == [TrialState.STOPPED] * 3
