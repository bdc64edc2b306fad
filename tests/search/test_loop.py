"""The study loop: budget, failures, lost workers, stale reports, events."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from search_toys import BOTH, COST, ERROR, Toy, flat_space, hashes, make_loop, price, run

from nas.errors import MissingPluginError, UsageError
from nas.search.events import LoopEvent, Notice, Resumed, StepDone, TrialEnded, TrialStarted
from nas.search.journal import MemoryJournal
from nas.search.loop import StudyLoop
from nas.search.objective import Objective
from nas.search.seeding import trial_seed
from nas.search.trial import (
    Decision,
    Failed,
    Finished,
    Lost,
    Progress,
    Refused,
    Started,
    TrialRequest,
    TrialState,
)


def start(loop: StudyLoop) -> TrialRequest:
    """The next trial, begun."""
    request = loop.next()
    assert request is not None
    assert loop.report(Started(request.number, request.attempt, "host")) is Decision.CONTINUE
    return request


def step(loop: StudyLoop, request: TrialRequest, step: int = 1, **metrics: float) -> Decision:
    return loop.report(Progress(request.number, request.attempt, step, metrics or {"error": 0.5}))


def finish(loop: StudyLoop, request: TrialRequest, *, stopped: bool = False) -> Decision:
    return loop.report(Finished(request.number, request.attempt, 0.1, stopped))


def error_after(loop: StudyLoop, **metrics: float) -> str:
    """What is recorded for a trial that reported these metrics."""
    request = start(loop)
    assert step(loop, request, 3, **metrics) is Decision.STOP
    assert finish(loop, request, stopped=True) is Decision.CONTINUE
    [result] = loop.results
    assert result.state is TrialState.FAILED
    assert result.values == {}
    return loop.errors[0]


def test_a_run_spends_the_budget_on_different_architectures() -> None:
    toy = Toy()
    loop = run(make_loop(trials=20), toy)
    assert len(loop.results) == 20
    assert len(set(toy.hashes)) == 20
    assert [result.number for result in loop.results] == list(range(20))
    assert loop.exhausted
    assert loop.message is None
    assert loop.next() is None


def test_results_hold_objectives_known_ones_too() -> None:
    loop = run(make_loop(trials=3))
    for result in loop.results:
        assert set(result.values) == {"error", "cost"}
        assert result.values["cost"] == price([result.architecture])[0]


def test_the_front_of_a_whole_space() -> None:
    loop = run(make_loop(space=flat_space(2, 2), trials=4))
    best = {member.architecture.hash for member in loop.front()}
    for result in loop.results:
        beaten = any(
            all(other.values[name] <= result.values[name] for name in ("error", "cost"))
            and other.values != result.values
            for other in loop.results
        )
        assert (result.architecture.hash in best) is not beaten


def test_the_last_step_is_the_result() -> None:
    loop = run(make_loop(trials=1, fidelity=4))
    [result] = loop.results
    assert result.fidelity == 4
    first = make_loop(trials=1, fidelity=1)
    run(first)
    assert result.values["error"] == pytest.approx(first.results[0].values["error"] - 0.75)


def test_seeds_depend_on_the_study_and_the_architecture_not_on_the_order() -> None:
    seeds: dict[str, int] = {}

    def note(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        assert seeds.setdefault(request.architecture.hash, request.seed) == request.seed
        yield {"error": 1.0}

    for searcher in ("random", "evolution"):
        run(make_loop(searcher, space=flat_space(3, 3), trials=9), note)
    assert len(seeds) == 9
    assert len(set(seeds.values())) == 9
    for architecture_hash, seed in seeds.items():
        assert seed == trial_seed(0, architecture_hash) != trial_seed(1, architecture_hash)
        assert 0 <= seed < 2**31


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_no_number_fails_the_trial(bad: float) -> None:
    assert error_after(make_loop(), error=bad) == f"metric 'error' is {bad} at step 3"


def test_a_side_metric_that_is_no_number_fails_the_trial_too() -> None:
    assert error_after(make_loop(), error=0.1, loss=math.nan) == "metric 'loss' is nan at step 3"


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 201, "line\nbreak"])
def test_a_metric_name_the_store_would_refuse_fails_the_trial(name: str) -> None:
    assert "is not a metric name" in error_after(make_loop(), **{name: 1.0})


def test_a_step_below_one_fails_the_trial() -> None:
    loop = make_loop()
    request = start(loop)
    assert step(loop, request, 0) is Decision.STOP
    assert "step 0" in loop.errors[0]


def test_a_missing_objective_fails_the_trial_and_offers_the_nearest_metric() -> None:
    loop = make_loop()
    request = start(loop)
    step(loop, request, 2, eror=0.5)
    finish(loop, request)
    assert loop.results[0].state is TrialState.FAILED
    assert loop.errors[0] == "metric 'error' is missing after step 2. Did you mean 'eror'?"


def test_a_trial_that_reports_nothing_fails() -> None:
    loop = make_loop()
    finish(loop, start(loop))
    assert loop.errors[0] == "metric 'error' is missing and no step was reported."


def test_a_constrained_metric_has_to_be_reported() -> None:
    loop = make_loop(constraints=["accuracy>=0.5"])
    request = start(loop)
    step(loop, request, error=0.1)
    finish(loop, request)
    assert "metric 'accuracy' is missing" in loop.errors[0]


def test_a_constraint_on_a_metric_keeps_its_breakers_off_the_front() -> None:
    loop = make_loop(constraints=["accuracy>=0.5"], trials=2)
    for accuracy, error in ((0.4, 0.0), (0.6, 1.0)):
        request = start(loop)
        step(loop, request, error=error, accuracy=accuracy, cost=1.0)
        finish(loop, request)
    assert [result.state for result in loop.results] == [TrialState.FINISHED] * 2
    assert [member.number for member in loop.front()] == [1]
    assert loop.results[0].values["accuracy"] == 0.4


def test_failed_trials_never_win() -> None:
    loop = run(make_loop(trials=10), Toy({n: ValueError("no") for n in range(0, 10, 2)}))
    assert [r.state.value for r in loop.results] == ["failed", "finished"] * 5
    assert all(member.state is TrialState.FINISHED for member in loop.front())


def test_a_deterministic_error_is_recorded_once_with_its_traceback_and_not_retried() -> None:
    toy = Toy({0: ValueError("kernel 4 is even")})
    journal = MemoryJournal()
    loop = run(make_loop(trials=3, store=journal, study="s"), toy)
    record = journal.trials("s")[0]
    assert record.error == "ValueError: kernel 4 is even"
    assert "search_toys.py" in record.traceback
    assert record.attempt == 1
    assert len(toy.hashes) == len(set(toy.hashes)) == 3
    assert loop.errors == {0: "ValueError: kernel 4 is even"}


def test_stopped_trials_count_against_the_budget() -> None:
    loop = make_loop(trials=2)
    for _ in range(2):
        request = start(loop)
        step(loop, request)
        finish(loop, request, stopped=True)
    assert loop.exhausted
    assert [result.state for result in loop.results] == [TrialState.STOPPED] * 2
    assert len(loop.front()) == 0


def test_trials_on_their_way_count_against_the_budget() -> None:
    loop = make_loop(trials=3)
    requests = [start(loop) for _ in range(3)]
    assert loop.next() is None
    assert not loop.exhausted
    for request in requests:
        step(loop, request)
        finish(loop, request)
    assert loop.exhausted


def test_trials_that_run_at_once_are_different() -> None:
    loop = make_loop(space=flat_space(2, 2, 2), trials=8)
    requests = [start(loop) for _ in range(8)]
    assert len({request.architecture.hash for request in requests}) == 8


def test_a_lost_trial_runs_again_with_the_next_attempt() -> None:
    loop = make_loop(trials=1, max_lost=2)
    first = start(loop)
    step(loop, first)
    assert loop.report(Lost(0, 1, "killed")) is Decision.CONTINUE
    again = start(loop)
    assert again.attempt == 2
    assert (again.number, again.architecture, again.seed) == (0, first.architecture, first.seed)
    step(loop, again)
    finish(loop, again)
    assert loop.results[0].state is TrialState.FINISHED
    assert loop.exhausted


def test_a_trial_that_is_lost_too_often_fails() -> None:
    loop = make_loop(trials=1, max_lost=2)
    for attempt in (1, 2, 3):
        assert not loop.exhausted
        request = start(loop)
        assert request.attempt == attempt
        loop.report(Lost(0, attempt, f"signal {attempt}"))
    assert loop.exhausted
    assert loop.errors[0] == "lost 3 times; last: signal 3"


def test_with_max_lost_zero_the_first_loss_fails() -> None:
    loop = make_loop(trials=1, max_lost=0)
    start(loop)
    loop.report(Lost(0, 1, "gone"))
    assert loop.results[0].state is TrialState.FAILED


def test_a_lost_trial_comes_before_new_ones() -> None:
    loop = make_loop(trials=5)
    start(loop)
    start(loop)
    loop.report(Lost(0, 1, "gone"))
    again = loop.next()
    assert again is not None
    assert (again.number, again.attempt) == (0, 2)


def test_reports_of_an_older_attempt_change_nothing() -> None:
    loop = make_loop(trials=1)
    old = start(loop)
    loop.report(Lost(0, 1, "network"))
    new = start(loop)
    assert step(loop, old, error=-99.0) is Decision.STOP
    assert finish(loop, old) is Decision.CONTINUE
    assert loop.report(Failed(0, 1, "late")) is Decision.CONTINUE
    assert loop.report(Lost(0, 1, "again")) is Decision.CONTINUE
    assert loop.results == ()
    step(loop, new, error=0.25)
    finish(loop, new)
    assert loop.results[0].values["error"] == 0.25


def test_reports_of_unknown_and_ended_trials_change_nothing() -> None:
    loop = make_loop(trials=2)
    request = start(loop)
    step(loop, request)
    finish(loop, request)
    assert loop.report(Progress(7, 1, 1, {"error": 0.0})) is Decision.STOP
    assert loop.report(Failed(0, 1, "late")) is Decision.CONTINUE
    assert loop.results[0].state is TrialState.FINISHED


def test_a_steps_metrics_that_vanish_later_are_no_result() -> None:
    loop = make_loop(trials=1, fidelity=2)
    request = start(loop)
    step(loop, request, 1, error=0.5)
    step(loop, request, 2, other=1.0)
    finish(loop, request)
    assert "metric 'error' is missing after step 2" in loop.errors[0]


def test_a_known_value_that_is_no_number_fails_the_trial_without_an_evaluation() -> None:
    toy = Toy()
    known = {"cost": lambda many: [math.nan if a.values()["a"] else 1.0 for a in many]}
    loop = run(make_loop(space=flat_space(2, 2), known=known, trials=4), toy)
    assert len(toy.hashes) == 2
    assert sorted(loop.errors.values()) == ["known metric 'cost' is nan"] * 2
    assert all(result.values["cost"] == 1.0 for result in loop.front())


def test_what_an_evaluation_measures_replaces_what_was_known() -> None:
    loop = make_loop(trials=1)
    request = start(loop)
    step(loop, request, error=0.5, cost=123.0)
    finish(loop, request)
    assert loop.results[0].values == {"error": 0.5, "cost": 123.0}


def test_each_trial_has_a_folder(tmp_path: Path) -> None:
    folders: list[str | None] = []

    def note(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        assert request.directory is not None
        assert Path(request.directory).is_dir()
        folders.append(request.directory)
        yield {"error": 1.0}

    run(make_loop(trials=3, directory=tmp_path / "files"), note)
    assert folders == [str(tmp_path / "files" / str(number)) for number in range(3)]


def test_without_a_directory_there_is_no_folder() -> None:
    request = make_loop().next()
    assert request is not None
    assert request.directory is None


def test_costs_are_stored_with_each_trial() -> None:
    from nas.costs.cost import Cost

    asked: list[int] = []

    stored: list[object] = []

    class Journal(MemoryJournal):
        def add_trial(self, *words: object, costs: object = (), **rest: object) -> int:  # type: ignore[override]
            stored.append(costs)
            return super().add_trial(*words, **rest)  # type: ignore[arg-type]

    def costs(architectures: object) -> list[tuple[Cost, ...]]:
        asked.append(len(architectures))  # type: ignore[arg-type]
        return [("cost",)]  # type: ignore[list-item]

    journal = Journal()
    run(make_loop(trials=3, store=journal, costs=costs))
    assert asked == [1, 1, 1]
    assert stored == [("cost",)] * 3


def test_events_tell_the_story() -> None:
    events: list[LoopEvent] = []
    loop = make_loop(trials=2, fidelity=2, listener=events.append)
    loop.resume()
    run(loop, Toy({1: RuntimeError("no")}))
    kinds = [type(event) for event in events]
    assert kinds == [Resumed, TrialStarted, StepDone, StepDone, TrialEnded, TrialStarted, TrialEnded]
    assert events[0] == Resumed(0, 0)
    started, ended, failed = events[1], events[4], events[6]
    assert isinstance(started, TrialStarted)
    assert isinstance(ended, TrialEnded)
    assert isinstance(failed, TrialEnded)
    assert started.architecture == ended.result.architecture
    assert ended.error is None
    assert failed.error == "RuntimeError: no"


def test_a_lost_trial_is_a_notice() -> None:
    events: list[LoopEvent] = []
    loop = make_loop(listener=events.append)
    start(loop)
    loop.report(Lost(0, 1, "killed by signal 9"))
    assert events[-1] == Notice("trial 0 was lost and runs again: killed by signal 9")


def test_an_interrupt_passes_and_leaves_a_trial_to_resume() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyboardInterrupt):
        run(make_loop(trials=5, store=journal, study="s"), Toy({2: KeyboardInterrupt()}))
    assert [trial.state.value for trial in journal.trials("s")] == ["finished", "finished", "running"]
    toy = Toy()
    loop = make_loop(trials=5, store=journal, study="s")
    loop.resume()
    run(loop, toy)
    assert len(toy.hashes) == 3
    assert len(set(hashes(loop))) == 5
    assert journal.trials("s")[2].attempt == 2


def test_two_searches_may_share_a_journal() -> None:
    journal = MemoryJournal()
    one = run(make_loop(trials=3, store=journal, study="one"))
    two = run(make_loop(trials=3, store=journal, study="two", seed=1))
    assert len(journal.trials("one")) == len(one.results) == 3
    assert len(journal.trials("two")) == len(two.results) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": 0}, "trials must be a whole number of at least 1, not 0"),
        ({"trials": -3}, "trials must be"),
        ({"trials": 2.5}, "trials must be"),
        ({"trials": True}, "trials must be"),
        ({"fidelity": 0}, "fidelity must be a whole number of at least 1"),
        ({"max_lost": -1}, "max_lost must be a whole number of at least 0"),
        ({"objectives": ()}, "at least one objective"),
        ({"objectives": (ERROR, COST, ERROR)}, "objective 'error' is given twice"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_loop(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("searcher", ["random", "evolution", "optuna-nsga2", "optuna-tpe"])
def test_every_number_of_objectives(searcher: str, count: int) -> None:
    objectives = (*BOTH, Objective("accuracy", "max"), Objective("memory", "min"))[:count]

    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        total = float(sum(request.architecture.values().values()))
        yield {"error": -total, "accuracy": total % 3, "memory": total % 5}

    loop = run(make_loop(searcher, objectives=objectives, trials=30), evaluate)
    assert len(loop.results) == 30
    assert loop.front().values.shape == (len(loop.front()), count)


def test_a_refused_trial_stays_queued_and_ends_the_run() -> None:
    journal = MemoryJournal()
    toy = Toy()
    loop = make_loop(trials=2, store=journal, study="s")
    request = start(loop)
    with pytest.raises(MissingPluginError, match=r"trial 0 stays queued: nas-ghost is not on worker-7"):
        loop.report(Refused(request.number, request.attempt, "nas-ghost is not on worker-7"))
    assert loop.results == ()

    again = make_loop(trials=2, store=journal, study="s")
    again.resume()
    assert [result.number for result in run(again, toy).results] == [0, 1]
    assert toy.hashes[0] == request.architecture.hash
