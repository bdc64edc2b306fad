"""Writing trials: states, fencing, what is refused at the door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from nas.costs.cost import Cost
from nas.errors import StoreError, UnknownNameError, UsageError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture, BlockUse, Layer, Network
from nas.spaces.signature import Signature
from nas.store import Store, StudyRecord

Candidate = Callable[[int], Architecture]
COST = Cost("a100", "predicted", "T0", "roofline 1", 1.5, 1.0, 2.5, 2**40, 3.25, 10**6, 10**9, 2**35, 123)


def running(store: Store, architecture: Architecture, **known: float) -> int:
    number = store.add_trial("first", architecture, fidelity=3, seed=7, known=known)
    store.start_trial("first", number, attempt=1, host="box")
    return number


def test_a_trial_from_queue_to_end(store: Store, candidate: Candidate) -> None:
    number = store.add_trial("first", candidate(0), fidelity=3, seed=7, known={"latency": 2.0}, costs=[COST])
    queued = store.trial("first", number)
    assert (queued.state, queued.attempt, queued.host, queued.started) == (TrialState.QUEUED, 1, None, None)
    assert queued.metrics == {"latency": 2.0}
    assert queued.costs == (COST,)

    store.start_trial("first", number, attempt=1, host="box")
    assert store.trial("first", number).state is TrialState.RUNNING
    for step in (1, 2, 3):
        store.record_step(
            "first", number, attempt=1, step=step, metrics={"accuracy": step / 10, "loss": 1 / step}
        )
    store.finish_trial("first", number, attempt=1, seconds=1.25)

    done = store.trial("first", number)
    assert done.state is TrialState.FINISHED
    assert done.metrics == {"latency": 2.0, "accuracy": 0.3, "loss": 1 / 3}
    assert (done.study, done.number, done.fidelity, done.seed, done.host) == ("first", 0, 3, 7, "box")
    assert done.seconds == 1.25
    assert done.architecture == candidate(0)
    assert done.architecture.values() == candidate(0).values()
    assert store.steps("first", number)[1] == (2, {"accuracy": 0.2, "loss": 0.5})


def test_times_are_utc_and_in_order(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    store.finish_trial("first", number, attempt=1, seconds=0.0)
    record = store.trial("first", number)
    assert record.started is not None
    assert record.finished is not None
    times = [datetime.fromisoformat(t) for t in (record.created, record.started, record.finished)]
    assert times == sorted(times)
    assert all(t.tzinfo is not None and t.utcoffset() == timedelta(0) for t in times)
    assert abs(datetime.now(UTC) - times[0]) < timedelta(hours=1)


def test_numbers_count_within_each_study(store: Store, candidate: Candidate) -> None:
    store.create_study(StudyRecord("second", "{}"))
    assert [store.add_trial("first", candidate(i), fidelity=1, seed=0) for i in range(3)] == [0, 1, 2]
    assert [store.add_trial("second", candidate(i), fidelity=1, seed=0) for i in range(2)] == [0, 1]


def test_one_architecture_once_per_fidelity_and_seed(store: Store, candidate: Candidate) -> None:
    store.add_trial("first", candidate(0), fidelity=1, seed=0)
    store.add_trial("first", candidate(0), fidelity=2, seed=0)
    store.add_trial("first", candidate(0), fidelity=1, seed=1)
    with pytest.raises(
        StoreError, match=r"study 'first' has this architecture already: trial 0, fidelity 1, seed 0"
    ):
        store.add_trial("first", candidate(0), fidelity=1, seed=0)
    assert store.add_trial("first", candidate(1), fidelity=1, seed=0) == 3  # the refused one left no gap


def test_each_study_keeps_its_own_spelling_of_a_shared_network(store: Store) -> None:
    layer = BlockUse("conv", (("kernel", 3),))

    def spelled(slot: str) -> Architecture:
        network = Network(Signature("image", 3, (8, 8)), (Layer(layer, 16, 2, slot=slot),), classes=10)
        return Architecture(network, ((f"{slot}.kernel", 3),))

    store.create_study(StudyRecord("second", "{}"))
    one, other = spelled("stages.0"), spelled("body.1")
    assert one == other
    store.add_trial("first", one, fidelity=1, seed=0)
    store.add_trial("second", other, fidelity=1, seed=0)
    assert store.trial("first", 0).architecture.to_json() == one.to_json()
    assert store.trial("second", 0).architecture.to_json() == other.to_json()
    assert store.trial("first", 0).architecture.hash == store.trial("second", 0).architecture.hash == one.hash


def test_costs_belong_to_the_study_that_names_the_target(store: Store, candidate: Candidate) -> None:
    store.create_study(StudyRecord("second", "{}"))
    other = Cost(
        "a100",
        "measured",
        "T2",
        "bench 2",
        9.5,
        9.0,
        10.0,
        1,
        0.5,
        2,
        3,
        4,
        5,
        unknown_operators=("fft", "x"),
    )
    store.add_trial("first", candidate(0), fidelity=1, seed=0, costs=[COST])
    store.add_trial("second", candidate(0), fidelity=1, seed=0, costs=[other])
    assert store.trial("first", 0).costs == (COST,)
    assert store.trial("second", 0).costs == (other,)


def test_a_newer_cost_replaces_the_older(store: Store, candidate: Candidate) -> None:
    newer = Cost("a100", "predicted", "T1", "roofline 2", 1.1, 1.0, 1.2, 1, 1.0, 1, 1, 1, 1)
    store.add_trial("first", candidate(0), fidelity=1, seed=0, costs=[COST])
    store.add_trial("first", candidate(0), fidelity=2, seed=0, costs=[newer])
    assert store.trial("first", 0).costs == store.trial("first", 1).costs == (newer,)


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


def test_a_new_attempt_goes_on_from_its_checkpoint(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    store.record_step("first", number, attempt=1, step=1, metrics={"accuracy": 0.1})
    store.record_step("first", number, attempt=1, step=2, metrics={"accuracy": 0.2})
    attempt = store.requeue_trial("first", number)
    requeued = store.trial("first", number)
    assert (requeued.state, requeued.attempt, requeued.host, requeued.started) == (
        TrialState.QUEUED,
        2,
        None,
        None,
    )
    store.start_trial("first", number, attempt=attempt, host="box")
    store.record_step("first", number, attempt=attempt, step=3, metrics={"accuracy": 0.3})
    store.finish_trial("first", number, attempt=attempt, seconds=1.0)
    assert [step for step, _ in store.steps("first", number)] == [1, 2, 3]
    assert store.trial("first", number).metrics == {"accuracy": 0.3}


def test_a_new_attempt_from_the_start_drops_the_later_steps_of_the_old(
    store: Store, candidate: Candidate
) -> None:
    number = running(store, candidate(0), latency=1.0)
    for step in (1, 2, 3):
        store.record_step("first", number, attempt=1, step=step, metrics={"accuracy": step / 10, "old": 1.0})
    store.requeue_trial("first", number)
    store.start_trial("first", number, attempt=2, host="box")
    store.record_step("first", number, attempt=2, step=1, metrics={"accuracy": 0.15})
    assert store.steps("first", number) == [(1, {"accuracy": 0.15})]
    assert store.trial("first", number).metrics == {"latency": 1.0, "accuracy": 0.15}


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


def test_starting_twice_in_one_attempt_is_harmless(store: Store, candidate: Candidate) -> None:
    number = running(store, candidate(0))
    store.start_trial("first", number, attempt=1, host="moved")
    assert store.trial("first", number).host == "moved"


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
