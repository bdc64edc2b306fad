"""The journal in memory keeps the rules of the store; both serve the loop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import NasError, StoreError
from nas.search.journal import Journal, MemoryJournal
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

FIRST = Architecture(None, (("x", 1),))
SECOND = Architecture(None, (("x", 2),))


@pytest.fixture(params=["memory", "store"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "memory":
        yield MemoryJournal()
        return
    with Store.open(tmp_path / "nas.db") as store:
        store.create_study(StudyRecord("s", "{}"))
        yield store


def added(journal: Journal) -> int:
    return journal.add_trial("s", FIRST, fidelity=3, seed=5, known={"cost": 2.0})


def test_a_trial_from_its_queue_to_its_end(journal: Journal) -> None:
    assert added(journal) == 0
    assert journal.add_trial("s", SECOND, fidelity=3, seed=6) == 1
    journal.start_trial("s", 0, attempt=1, host="here")
    journal.record_step("s", 0, attempt=1, step=1, metrics={"error": 2.0, "loss": 1.0})
    journal.record_step("s", 0, attempt=1, step=2, metrics={"error": 1.0})
    journal.finish_trial("s", 0, attempt=1, seconds=0.5)
    first, second = journal.trials("s")
    assert (first.number, first.state, first.architecture) == (0, TrialState.FINISHED, FIRST)
    assert (first.fidelity, first.seed, first.attempt, first.error) == (3, 5, 1, None)
    assert dict(first.metrics) == {"cost": 2.0, "error": 1.0}
    assert (second.number, second.state) == (1, TrialState.QUEUED)


def test_stopped_and_failed_trials(journal: Journal) -> None:
    added(journal)
    journal.start_trial("s", 0, attempt=1, host="here")
    journal.finish_trial("s", 0, attempt=1, seconds=0.5, stopped=True)
    journal.add_trial("s", SECOND, fidelity=3, seed=5)
    journal.fail_trial("s", 1, attempt=1, error="no", traceback="at", state=TrialState.INFEASIBLE)
    first, second = journal.trials("s")
    assert first.state is TrialState.STOPPED
    assert (second.state, second.error) == (TrialState.INFEASIBLE, "no")


def test_a_stale_attempt_is_refused(journal: Journal) -> None:
    added(journal)
    journal.start_trial("s", 0, attempt=1, host="here")
    assert journal.requeue_trial("s", 0) == 2
    assert journal.trials("s")[0].state is TrialState.QUEUED
    for refused in (
        lambda: journal.record_step("s", 0, attempt=1, step=1, metrics={"error": 1.0}),
        lambda: journal.finish_trial("s", 0, attempt=1, seconds=0.0),
        lambda: journal.fail_trial("s", 0, attempt=1, error="late"),
        lambda: journal.start_trial("s", 0, attempt=1, host="here"),
    ):
        with pytest.raises(StoreError, match="attempt 1 is refused, attempt 2 is current"):
            refused()
    journal.start_trial("s", 0, attempt=2, host="there")
    assert journal.trials("s")[0].attempt == 2


def test_an_ended_trial_changes_no_more(journal: Journal) -> None:
    added(journal)
    journal.start_trial("s", 0, attempt=1, host="here")
    journal.finish_trial("s", 0, attempt=1, seconds=0.0)
    with pytest.raises(StoreError, match="is finished"):
        journal.fail_trial("s", 0, attempt=1, error="late")
    with pytest.raises(StoreError, match="is finished"):
        journal.requeue_trial("s", 0)


def paused(journal: Journal) -> None:
    added(journal)
    journal.start_trial("s", 0, attempt=1, host="here")
    journal.pause_trial("s", 0, attempt=1, step=1, metrics={"error": 2.0}, seconds=1.5)


def test_a_trial_pauses_and_goes_on(journal: Journal) -> None:
    paused(journal)
    [trial] = journal.trials("s")
    assert (trial.state, trial.last_step) == (TrialState.STOPPED, 1)
    assert dict(trial.metrics) == {"cost": 2.0, "error": 2.0}
    assert journal.promote_trial("s", 0) == 2
    assert journal.trials("s")[0].state is TrialState.QUEUED
    with pytest.raises(StoreError, match="attempt 1 is refused, attempt 2 is current"):
        journal.start_trial("s", 0, attempt=1, host="here")
    journal.start_trial("s", 0, attempt=2, host="here")
    for step in (2, 3):
        journal.record_step("s", 0, attempt=2, step=step, metrics={"error": 1.0 / step})
    journal.finish_trial("s", 0, attempt=2, seconds=2.0)
    [trial] = journal.trials("s")
    assert (trial.state, trial.last_step, trial.attempt) == (TrialState.FINISHED, 3, 2)


def test_only_a_stopped_trial_is_promoted(journal: Journal) -> None:
    added(journal)
    with pytest.raises(StoreError, match="is queued"):
        journal.promote_trial("s", 0)
    journal.start_trial("s", 0, attempt=1, host="here")
    journal.finish_trial("s", 0, attempt=1, seconds=0.0)
    with pytest.raises(StoreError, match="is finished"):
        journal.promote_trial("s", 0)


def test_histories_hold_the_steps_of_every_trial(journal: Journal) -> None:
    added(journal)
    journal.add_trial("s", SECOND, fidelity=3, seed=6)
    for number, steps in ((0, (1, 2, 3, 2)), (1, (1,))):
        journal.start_trial("s", number, attempt=1, host="here")
        for step in steps:
            journal.record_step("s", number, attempt=1, step=step, metrics={"error": step / 2, "x": 0.5})
    found = {number: list(steps) for number, steps in journal.histories("s").items()}
    first = [(step, {"error": step / 2, "x": 0.5}) for step in (1, 2)]
    assert found == {0: first, 1: first[:1]}


def test_a_trial_that_is_not_there(journal: Journal) -> None:
    added(journal)
    with pytest.raises(NasError, match="no trial s#7"):
        journal.start_trial("s", 7, attempt=1, host="here")


def test_what_was_read_does_not_change_under_later_writes(journal: Journal) -> None:
    added(journal)
    journal.start_trial("s", 0, attempt=1, host="here")
    before = journal.trials("s")[0]
    journal.record_step("s", 0, attempt=1, step=1, metrics={"error": 1.0})
    assert before.state is TrialState.RUNNING
    assert dict(before.metrics) == {"cost": 2.0}


def test_metrics_are_copied() -> None:
    journal = MemoryJournal()
    known = {"cost": 1.0}
    journal.add_trial("s", FIRST, fidelity=1, seed=0, known=known)
    known["cost"] = 9.0
    assert dict(journal.trials("s")[0].metrics) == {"cost": 1.0}
