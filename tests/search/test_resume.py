"""A study that is thrown away in the middle goes on exactly as it would have gone on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from search_toys import QUICK_SEARCHERS, BranchSpace, Toy, flat_space, hashes, make_loop, run

from nas.errors import UsageError
from nas.search.events import LoopEvent, Resumed
from nas.search.journal import MemoryJournal
from nas.search.loop import StudyLoop
from nas.store import Store, StudyRecord

TRIALS = 20


def straight(searcher: str, space: Any, **settings: Any) -> list[str]:
    return hashes(run(make_loop(searcher, space, trials=TRIALS, **settings)))


def resumed(loop: StudyLoop, toy: Toy | None = None) -> StudyLoop:
    loop.resume()
    return run(loop, toy)


def test_the_gaussian_process_goes_on_too(one_thread: None) -> None:
    """Few trials: it proposes by itself from the eleventh on, and takes its time."""
    space, journal = flat_space(5, 5, 5), MemoryJournal()
    whole = hashes(run(make_loop("optuna-gp", space, trials=13)))
    run(make_loop("optuna-gp", space, trials=11, store=journal))
    assert hashes(resumed(make_loop("optuna-gp", space, trials=13, store=journal))) == whole


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
@pytest.mark.parametrize("budget", ["same budget", "larger budget"])
def test_ten_then_twenty_is_twenty(searcher: str, budget: str) -> None:
    """The first half ends by a crash in trial 10, or because its budget was 10."""
    space, journal = flat_space(5, 5, 5), MemoryJournal()
    if budget == "same budget":
        with pytest.raises(KeyboardInterrupt):
            run(make_loop(searcher, space, trials=TRIALS, store=journal), Toy({10: KeyboardInterrupt()}))
    else:
        run(make_loop(searcher, space, trials=10, store=journal))
    loop = resumed(make_loop(searcher, space, trials=TRIALS, store=journal))
    assert hashes(loop) == straight(searcher, space)


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
@pytest.mark.parametrize("every", [1, 3])
def test_killed_again_and_again(searcher: str, every: int) -> None:
    """In a space so small that suggestions repeat, so that the novel ones are reproduced too."""
    space, journal = BranchSpace(5), MemoryJournal()
    toys = []
    for _ in range(TRIALS):
        toys.append(Toy({every: KeyboardInterrupt()}))
        try:
            resumed(make_loop(searcher, space, trials=TRIALS, store=journal), toys[-1])
        except KeyboardInterrupt:
            continue
        break
    loop = make_loop(searcher, space, trials=TRIALS, store=journal)
    loop.resume()
    assert loop.exhausted
    assert hashes(loop) == straight(searcher, space)


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
@pytest.mark.parametrize("constraint", ["cost<=6", "cost>=9"])
def test_with_constraints_and_failures(searcher: str, constraint: str) -> None:
    space, journal = flat_space(5, 5, 5), MemoryJournal()
    errors = {n: ValueError("no") for n in range(1, TRIALS, 4)}
    whole = hashes(run(make_loop(searcher, space, trials=TRIALS, constraints=[constraint]), Toy(errors)))
    with pytest.raises(KeyboardInterrupt):
        stop = Toy({**errors, 10: KeyboardInterrupt()})
        run(make_loop(searcher, space, trials=TRIALS, constraints=[constraint], store=journal), stop)
    # The second process counts its calls from 0: it begins with trial 10.
    rest = Toy({n - 10: error for n, error in errors.items() if n >= 10})
    loop = resumed(make_loop(searcher, space, trials=TRIALS, constraints=[constraint], store=journal), rest)
    assert hashes(loop) == whole


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
def test_through_the_store(searcher: str, tmp_path: Path) -> None:
    space = flat_space(5, 5, 5)
    with Store.open(tmp_path / "nas.db") as store:
        store.create_study(StudyRecord("study", "{}"))
        with pytest.raises(KeyboardInterrupt):
            run(
                make_loop(searcher, space, trials=TRIALS, store=store, study="study"),
                Toy({10: KeyboardInterrupt()}),
            )
    with Store.open(tmp_path / "nas.db") as store:
        loop = resumed(make_loop(searcher, space, trials=TRIALS, store=store, study="study"))
        assert hashes(loop) == straight(searcher, space)
        states = [trial.state.value for trial in store.trials("study")]
        assert states == ["finished"] * TRIALS
        assert store.trial("study", 10).attempt == 2


def test_the_seed_changes_the_sequence() -> None:
    space = flat_space(5, 5, 5)
    for searcher in QUICK_SEARCHERS:
        assert straight(searcher, space, seed=1) != straight(searcher, space, seed=2)


def test_results_survive() -> None:
    journal = MemoryJournal()
    first = run(make_loop(trials=6, store=journal), Toy({2: ValueError("no")}))
    second = make_loop(trials=6, store=journal)
    second.resume()
    assert second.results == first.results
    assert second.errors == first.errors
    assert list(second.front()) == list(first.front())
    assert second.exhausted


def test_finished_architectures_are_never_run_again() -> None:
    space, journal = flat_space(3, 3), MemoryJournal()
    run(make_loop("random", space, trials=5, store=journal))
    toy = Toy()
    loop = resumed(make_loop("evolution", space, trials=100, seed=9, store=journal), toy)
    assert len(toy.hashes) == 4
    assert len(set(hashes(loop))) == 9
    assert loop.message == "space exhausted: 9 of 9"


def test_a_trial_that_lacked_only_its_end_is_not_lost() -> None:
    """The worker did all its steps, the driver died: the evaluator has nothing left to report."""
    from nas.search.trial import Finished, Progress, Started, TrialState

    journal = MemoryJournal()
    loop = make_loop(trials=1, store=journal)
    request = loop.next()
    assert request is not None
    loop.report(Started(0, 1, "host"))
    loop.report(Progress(0, 1, 1, {"error": 0.25}))
    loop = make_loop(trials=1, store=journal)
    loop.resume()
    again = loop.next()
    assert again is not None
    assert (again.number, again.attempt, again.seed) == (0, 2, request.seed)
    loop.report(Started(0, 2, "host"))
    loop.report(Finished(0, 2, 0.0))
    assert loop.results[0].state is TrialState.FINISHED
    assert loop.results[0].values["error"] == 0.25


def test_the_listener_hears_how_much_is_done() -> None:
    journal = MemoryJournal()
    with pytest.raises(KeyboardInterrupt):
        run(make_loop(trials=9, store=journal), Toy({4: KeyboardInterrupt()}))
    events: list[LoopEvent] = []
    make_loop(trials=9, store=journal, listener=events.append).resume()
    assert events == [Resumed(4, 1)]


def test_a_driver_that_dies_again_and_again_does_not_fail_the_trial() -> None:
    """Only workers that are lost are counted, not drivers that the user starts again."""
    journal = MemoryJournal()
    for _ in range(6):
        with pytest.raises(KeyboardInterrupt):
            resumed(make_loop(trials=1, store=journal), Toy({0: KeyboardInterrupt()}))
    loop = resumed(make_loop(trials=1, store=journal))
    assert loop.errors == {}
    assert journal.trials("memory")[0].attempt == 7


def test_a_smaller_budget_ends_the_study() -> None:
    journal = MemoryJournal()
    run(make_loop(trials=8, store=journal))
    loop = make_loop(trials=5, store=journal)
    loop.resume()
    assert loop.exhausted
    assert loop.next() is None
    assert len(loop.results) == 8


def test_constraints_that_cannot_be_kept_are_found_on_resuming_an_empty_study() -> None:
    with pytest.raises(UsageError, match=r"meet cost <= 0\.5"):
        make_loop(constraints=["cost<=0.5"]).resume()
