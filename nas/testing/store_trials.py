"""What every store promises of trials: their states, fencing, and who may add which."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from nas.errors import StoreError, UsageError
from nas.search import TrialState
from nas.spaces import Architecture, BlockUse, Layer, Network, Signature
from nas.store import Store, StudyRecord
from nas.testing.store_fixtures import COST, OTHER_COST, STUDY, StoreFixtures, candidate, running

THREADS = 4
ADDED = 24


class TrialTests(StoreFixtures):
    """The life of a trial."""

    def test_a_trial_from_queue_to_end(self, made: Store) -> None:
        """Everything that is told of it comes back."""
        number = made.add_trial(STUDY, candidate(0), fidelity=3, seed=7, known={"latency": 2.0}, costs=[COST])
        queued = made.trial(STUDY, number)
        assert (queued.state, queued.attempt, queued.host, queued.started) == (
            TrialState.QUEUED,
            1,
            None,
            None,
        )
        assert (queued.metrics, queued.costs) == ({"latency": 2.0}, (COST,))
        made.start_trial(STUDY, number, attempt=1, host="box")
        assert made.trial(STUDY, number).state is TrialState.RUNNING
        for step in (1, 2, 3):
            metrics = {"accuracy": step / 10, "loss": 1 / step}
            made.record_step(STUDY, number, attempt=1, step=step, metrics=metrics)
        made.finish_trial(STUDY, number, attempt=1, seconds=1.25)
        done = made.trial(STUDY, number)
        assert done.state is TrialState.FINISHED
        assert done.metrics == {"latency": 2.0, "accuracy": 0.3, "loss": 1 / 3}
        assert (done.study, done.number, done.fidelity, done.seed, done.host) == (STUDY, 0, 3, 7, "box")
        assert done.seconds == 1.25
        assert done.architecture == candidate(0)
        assert done.architecture.choices == candidate(0).choices, "changes the choices of an architecture"
        assert made.steps(STUDY, number)[1] == (2, {"accuracy": 0.2, "loss": 0.5})

    def test_times_are_utc_and_in_order(self, made: Store) -> None:
        """Queued, started, ended."""
        number = running(made)
        made.finish_trial(STUDY, number, attempt=1, seconds=0.0)
        record = made.trial(STUDY, number)
        times = [datetime.fromisoformat(str(t)) for t in (record.created, record.started, record.finished)]
        assert times == sorted(times), f"the times are {times}"
        assert all(time.utcoffset() == timedelta(0) for time in times), "times are not UTC"

    def test_numbers_count_within_each_study(self, made: Store) -> None:
        """From 0, without a gap."""
        made.create_study(StudyRecord("second", "{}"))
        for study, count in ((STUDY, 3), ("second", 2)):
            numbers = [made.add_trial(study, candidate(i), fidelity=1, seed=0) for i in range(count)]
            assert numbers == list(range(count)), f"the trials of {study} are {numbers}"

    def test_one_architecture_once_per_fidelity_and_seed(self, made: Store) -> None:
        """The same trial is not queued twice; a refused one leaves no gap."""
        for fidelity, seed in ((1, 0), (2, 0), (1, 1)):
            made.add_trial(STUDY, candidate(0), fidelity=fidelity, seed=seed)
        with pytest.raises(StoreError):
            made.add_trial(STUDY, candidate(0), fidelity=1, seed=0)
        assert made.add_trial(STUDY, candidate(1), fidelity=1, seed=0) == 3, "a refused trial leaves a gap"

    def test_each_study_keeps_its_own_spelling_of_a_shared_network(self, made: Store) -> None:
        """Two spaces may hold the same network in other places."""

        def spelled(slot: str) -> Architecture:
            layer = Layer(BlockUse("conv", (("kernel", 3),)), 16, 2, slot=slot)
            network = Network(Signature("image", 3, (8, 8)), (layer,), classes=10)
            return Architecture(network, ((f"{slot}.kernel", 3),))

        made.create_study(StudyRecord("second", "{}"))
        spellings = {STUDY: spelled("stages.0"), "second": spelled("body.1")}
        for study, architecture in spellings.items():
            made.add_trial(study, architecture, fidelity=1, seed=0)
        for study, architecture in spellings.items():
            found = made.trial(study, 0).architecture
            assert found.hash == architecture.hash
            assert found.to_json() == architecture.to_json(), "one study's choices show in another one"

    def test_costs_belong_to_the_study_that_names_the_target(self, made: Store) -> None:
        """And within it the newest counts."""
        made.create_study(StudyRecord("second", "{}"))
        made.add_trial(STUDY, candidate(0), fidelity=1, seed=0, costs=[COST])
        made.add_trial("second", candidate(0), fidelity=1, seed=0, costs=[OTHER_COST])
        assert made.trial(STUDY, 0).costs == (COST,)
        assert made.trial("second", 0).costs == (OTHER_COST,)
        newer = replace(COST, tier="T1", model="roofline 2", latency_ms=1.25)
        made.add_trial(STUDY, candidate(0), fidelity=2, seed=0, costs=[newer])
        assert made.trial(STUDY, 0).costs == made.trial(STUDY, 1).costs == (newer,)

    def test_a_stale_attempt_is_refused_whatever_it_reports(self, made: Store) -> None:
        """A worker that was given up may still be alive; only the current attempt is heard."""
        number = running(made)
        made.record_step(STUDY, number, attempt=1, step=1, metrics={"accuracy": 0.1})
        assert made.requeue_trial(STUDY, number) == 2, "a new attempt is one more"
        made.start_trial(STUDY, number, attempt=2, host="other")
        for attempt in (1, 5):
            for call in _reports(made, number, attempt):
                with pytest.raises(StoreError):
                    call()
        record = made.trial(STUDY, number)
        assert (record.state, record.host, record.metrics) == (
            TrialState.RUNNING,
            "other",
            {"accuracy": 0.1},
        ), "a refused report changes the trial"

    def test_a_new_attempt_goes_on_from_its_checkpoint(self, made: Store) -> None:
        """Steps of the old attempt stay."""
        number = running(made)
        for step in (1, 2):
            made.record_step(STUDY, number, attempt=1, step=step, metrics={"accuracy": step / 10})
        attempt = made.requeue_trial(STUDY, number)
        queued = made.trial(STUDY, number)
        assert (queued.state, queued.attempt, queued.host, queued.started) == (
            TrialState.QUEUED,
            2,
            None,
            None,
        )
        made.start_trial(STUDY, number, attempt=attempt, host="box")
        made.record_step(STUDY, number, attempt=attempt, step=3, metrics={"accuracy": 0.3})
        made.finish_trial(STUDY, number, attempt=attempt, seconds=1.0)
        assert [step for step, _ in made.steps(STUDY, number)] == [1, 2, 3]
        assert made.trial(STUDY, number).metrics == {"accuracy": 0.3}

    def test_a_new_attempt_from_the_start_drops_later_steps(self, made: Store) -> None:
        """What the old attempt got to is not its result."""
        number = running(made, 0, latency=1.0)
        for step in (1, 2, 3):
            metrics = {"accuracy": step / 10, "old": 1.0}
            made.record_step(STUDY, number, attempt=1, step=step, metrics=metrics)
        made.requeue_trial(STUDY, number)
        made.start_trial(STUDY, number, attempt=2, host="box")
        made.record_step(STUDY, number, attempt=2, step=1, metrics={"accuracy": 0.15})
        assert made.steps(STUDY, number) == [(1, {"accuracy": 0.15})]
        assert made.trial(STUDY, number).metrics == {"latency": 1.0, "accuracy": 0.15}

    def test_a_stopped_trial_may_go_on(self, made: Store) -> None:
        """It pauses at a step, in one transaction, and is promoted: its steps stay, its time adds up."""
        number = running(made, 0, latency=1.0)
        made.record_step(STUDY, number, attempt=1, step=1, metrics={"accuracy": 0.1})
        made.pause_trial(STUDY, number, attempt=1, step=2, metrics={"accuracy": 0.2}, seconds=1.5)
        paused = made.trial(STUDY, number)
        assert (paused.state, paused.last_step, paused.seconds) == (TrialState.STOPPED, 2, 1.5)
        assert paused.metrics == {"latency": 1.0, "accuracy": 0.2}
        assert paused.finished is not None
        assert made.promote_trial(STUDY, number) == 2, "a new attempt is one more"
        queued = made.trial(STUDY, number)
        assert (queued.state, queued.started, queued.finished) == (TrialState.QUEUED, None, None)
        for call in _reports(made, number, 1):
            with pytest.raises(StoreError):
                call()
        made.start_trial(STUDY, number, attempt=2, host="other")
        made.record_step(STUDY, number, attempt=2, step=3, metrics={"accuracy": 0.3})
        made.finish_trial(STUDY, number, attempt=2, seconds=2.0)
        done = made.trial(STUDY, number)
        assert (done.state, done.last_step, done.seconds) == (TrialState.FINISHED, 3, 3.5)
        assert [step for step, _ in made.steps(STUDY, number)] == [1, 2, 3]

    @pytest.mark.parametrize("end", ["queued", "running", "finished", "failed"])
    def test_only_a_stopped_trial_is_promoted(self, made: Store, end: str) -> None:
        """Nothing else has paused."""
        number = made.add_trial(STUDY, candidate(0), fidelity=1, seed=0)
        if end != "queued":
            made.start_trial(STUDY, number, attempt=1, host="box")
        if end == "finished":
            made.finish_trial(STUDY, number, attempt=1, seconds=1.0)
        if end == "failed":
            made.fail_trial(STUDY, number, attempt=1, error="bad")
        with pytest.raises(StoreError):
            made.promote_trial(STUDY, number)
        assert made.trial(STUDY, number).attempt == 1, "a refused promotion changes the trial"

    def test_a_refused_pause_leaves_no_step(self, made: Store) -> None:
        """Both are stored, or neither."""
        number = running(made)
        made.requeue_trial(STUDY, number)
        with pytest.raises(StoreError):
            made.pause_trial(STUDY, number, attempt=1, step=1, metrics={"accuracy": 0.1}, seconds=1.0)
        made.start_trial(STUDY, number, attempt=2, host="box")
        with pytest.raises(StoreError):
            made.pause_trial(
                STUDY, number, attempt=2, step=1, metrics={"accuracy": 0.1}, seconds=float("nan")
            )
        assert made.steps(STUDY, number) == [], "the step of a refused pause is stored"
        assert made.trial(STUDY, number).state is TrialState.RUNNING

    def test_the_steps_of_all_trials_at_once(self, made: Store) -> None:
        """As one by one; a trial without a step may be left out."""
        for index in range(3):
            number = running(made, index, latency=1.0)
            for step in range(1, index + 1):
                made.record_step(STUDY, number, attempt=1, step=step, metrics={"b": step / 2, "a": 1.0})
        found = made.histories(STUDY)
        assert {n: list(found.get(n, ())) for n in range(3)} == {n: made.steps(STUDY, n) for n in range(3)}

    @pytest.mark.parametrize("end", ["finished", "stopped", "failed", "infeasible"])
    def test_nothing_changes_a_trial_that_ended(self, made: Store, end: str) -> None:
        """An end is final."""
        number = running(made)
        if end in ("finished", "stopped"):
            made.finish_trial(STUDY, number, attempt=1, seconds=1.0, stopped=end == "stopped")
        else:
            made.fail_trial(STUDY, number, attempt=1, error="bad", state=TrialState(end))
        before = made.trial(STUDY, number)
        assert before.state == end
        calls: list[Callable[[], object]] = [*_reports(made, number, 1)]
        calls.append(partial(made.requeue_trial, STUDY, number))
        for call in calls:
            with pytest.raises(StoreError):
                call()
        assert made.trial(STUDY, number) == before, "a refused report changes the trial"

    def test_a_queued_trial_takes_no_steps_but_may_be_infeasible(self, made: Store) -> None:
        """It has to be started before it has results."""
        number = made.add_trial(STUDY, candidate(0), fidelity=1, seed=0)
        with pytest.raises(StoreError):
            made.record_step(STUDY, number, attempt=1, step=1, metrics={"a": 1.0})
        with pytest.raises(StoreError):
            made.finish_trial(STUDY, number, attempt=1, seconds=1.0)
        made.fail_trial(STUDY, number, attempt=1, error="too large", state=TrialState.INFEASIBLE)
        assert made.trial(STUDY, number).error == "too large"

    def test_starting_twice_in_one_attempt_is_harmless(self, made: Store) -> None:
        """A runner may say so again."""
        number = running(made)
        made.start_trial(STUDY, number, attempt=1, host="moved")
        assert made.trial(STUDY, number).host == "moved"

    def test_only_failed_or_infeasible_can_be_failures(self, made: Store) -> None:
        """A result needs its metrics."""
        number = running(made)
        with pytest.raises(StoreError):
            made.fail_trial(STUDY, number, attempt=1, error="x", state=TrialState.FINISHED)

    def test_an_unknown_trial_is_a_usage_error(self, made: Store) -> None:
        """It names the trial."""
        running(made)
        for call in (made.trial, made.steps, made.requeue_trial):
            with pytest.raises(UsageError, match="3"):
                call(STUDY, 3)

    def test_threads_adding_to_one_study_get_different_numbers(self, made: Store) -> None:
        """One store serves several threads."""
        with ThreadPoolExecutor(THREADS) as pool:
            numbers = list(
                pool.map(lambda i: made.add_trial(STUDY, candidate(i), fidelity=1, seed=0), range(ADDED))
            )
        assert sorted(numbers) == list(range(ADDED)), "two trials have one number, or a number is left out"

    def test_of_equal_trials_at_once_one_is_kept(self, made: Store, reopen: Callable[[], Store]) -> None:
        """However close two drivers come."""

        def adds(store: Store) -> bool:
            try:
                store.add_trial(STUDY, candidate(0), fidelity=1, seed=0)
            except StoreError:
                return False
            return True

        stores = [reopen() for _ in range(THREADS)]
        try:
            with ThreadPoolExecutor(THREADS) as pool:
                kept = sum(pool.map(adds, stores))
        finally:
            for store in stores:
                store.close()
        assert kept == len(made.trials(STUDY)) == 1, f"{kept} of {THREADS} equal trials were taken"

    def test_writers_of_several_studies_do_not_disturb_each_other(
        self, made: Store, reopen: Callable[[], Store]
    ) -> None:
        """Each has its own numbers."""

        def write(study: str) -> list[int]:
            with reopen() as own:
                own.create_study(StudyRecord(study, "{}"))
                return [own.add_trial(study, candidate(i), fidelity=1, seed=0) for i in range(ADDED // 3)]

        with ThreadPoolExecutor(THREADS) as pool:
            assert list(pool.map(write, "abcd")) == [list(range(ADDED // 3))] * 4
        made.check()


def _reports(store: Store, number: int, attempt: int) -> list[Callable[[], object]]:
    """Everything that a runner may say of a trial."""
    return [
        lambda: store.start_trial(STUDY, number, attempt=attempt, host="late"),
        lambda: store.record_step(STUDY, number, attempt=attempt, step=9, metrics={"accuracy": 0.9}),
        lambda: store.finish_trial(STUDY, number, attempt=attempt, seconds=2.0),
        lambda: store.fail_trial(STUDY, number, attempt=attempt, error="late"),
    ]
