"""What is refused when trials are written, and what the refusal says; the rest is in the conformance kit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nas.costs.cost import Cost
from nas.errors import StoreError, UnknownNameError, UsageError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store

Candidate = Callable[[int], Architecture]
COST = Cost("a100", "predicted", "T0", "roofline 1", 1.5, 1.0, 2.5, 2**40, 3.25, 10**6, 10**9, 2**35, 123)


def running(store: Store, architecture: Architecture, **known: float) -> int:
    number = store.add_trial("first", architecture, fidelity=3, seed=7, known=known)
    store.start_trial("first", number, attempt=1, host="box")
    return number


def test_one_architecture_once_per_fidelity_and_seed(store: Store, candidate: Candidate) -> None:
    store.add_trial("first", candidate(0), fidelity=1, seed=0)
    store.add_trial("first", candidate(0), fidelity=2, seed=0)
    store.add_trial("first", candidate(0), fidelity=1, seed=1)
    with pytest.raises(
        StoreError, match=r"study 'first' has this architecture already: trial 0, fidelity 1, seed 0"
    ):
        store.add_trial("first", candidate(0), fidelity=1, seed=0)
    assert store.add_trial("first", candidate(1), fidelity=1, seed=0) == 3  # the refused one left no gap


def test_a_stale_attempt_is_refused_whatever_it_reports(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    store.record_step("first", number, attempt=1, step=1, metrics={"accuracy": 0.1})
    assert store.requeue_trial("first", number) == 2
    store.start_trial("first", number, attempt=2, host="other")
    calls: list[Callable[[], None]] = [
        lambda: store.start_trial("first", number, attempt=1, host="box"),
        lambda: store.record_step("first", number, attempt=1, step=2, metrics={"accuracy": 0.9}),
        lambda: store.finish_trial("first", number, attempt=1, seconds=1.0),
        lambda: store.fail_trial("first", number, attempt=1, error="late"),
    ]
    for call in calls:
        with pytest.raises(
            StoreError, match=r"trial first#0: the report of attempt 1 is refused, attempt 2 is current"
        ):
            call()
    record = store.trial("first", number)
    assert (record.state, record.host, record.metrics) == (TrialState.RUNNING, "other", {"accuracy": 0.1})


def test_an_attempt_from_the_future_is_refused(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    with pytest.raises(StoreError, match="attempt 5 is refused, attempt 1 is current"):
        store.finish_trial("first", number, attempt=5, seconds=1.0)


@pytest.mark.parametrize("end", ["finished", "stopped", "failed", "infeasible"])
def test_nothing_changes_a_trial_that_ended(store: Store, candidate: Candidate, end: str) -> None:
    number = running(store, candidate(0))
    if end in ("finished", "stopped"):
        store.finish_trial("first", number, attempt=1, seconds=1.0, stopped=end == "stopped")
    else:
        store.fail_trial("first", number, attempt=1, error="bad", state=TrialState(end))
    before = store.trial("first", number)
    assert before.state == end
    calls: list[Callable[[], object]] = [
        lambda: store.start_trial("first", number, attempt=1, host="box"),
        lambda: store.record_step("first", number, attempt=1, step=9, metrics={"a": 1.0}),
        lambda: store.finish_trial("first", number, attempt=1, seconds=2.0),
        lambda: store.fail_trial("first", number, attempt=1, error="again"),
        lambda: store.requeue_trial("first", number),
    ]
    for call in calls:
        with pytest.raises(StoreError, match=f"trial first#0 is {end}"):
            call()
    assert store.trial("first", number) == before


def test_a_queued_trial_takes_no_steps_but_may_be_infeasible(store: Store, candidate: Candidate) -> None:
    number = store.add_trial("first", candidate(0), fidelity=1, seed=0)
    with pytest.raises(StoreError, match="is queued, not running"):
        store.record_step("first", number, attempt=1, step=1, metrics={"a": 1.0})
    with pytest.raises(StoreError, match="is queued, not running"):
        store.finish_trial("first", number, attempt=1, seconds=1.0)
    store.fail_trial("first", number, attempt=1, error="too large", state=TrialState.INFEASIBLE)
    assert store.trial("first", number).error == "too large"


def test_only_failed_or_infeasible_can_be_failures(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    with pytest.raises(StoreError, match="'failed' or 'infeasible', not 'finished'"):
        store.fail_trial("first", number, attempt=1, error="x", state=TrialState.FINISHED)


def test_an_unknown_study_or_trial_is_named(store: Store, candidate: Candidate) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown study 'frist'\. Did you mean 'first'\?"):
        store.add_trial("frist", candidate(0), fidelity=1, seed=0)
    with pytest.raises(UsageError, match="there is no trial first#3; it has no trials yet"):
        store.trial("first", 3)
    running(store, candidate(0))
    for call in (store.trial, store.steps, store.requeue_trial):
        with pytest.raises(UsageError, match="there is no trial first#3; it has trials 0 to 0"):
            call("first", 3)
