"""Any sequence of calls leaves the store as a dictionary would be left that follows the same rules."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from nas.errors import StoreError, UsageError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

NUMBERS = st.integers(0, 3)
ATTEMPTS = st.integers(1, 3)
OPEN = (TrialState.QUEUED, TrialState.RUNNING)


@dataclass(frozen=True)
class Model:
    """What a trial ought to be."""

    key: tuple[int, int, int]
    state: TrialState = TrialState.QUEUED
    attempt: int = 1
    steps: dict[int, float] = field(default_factory=dict)


class StoreMachine(RuleBasedStateMachine):
    """Random calls, good and bad, against the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = Store.open(self.folder / "nas.db")
        self.store.create_study(StudyRecord("s", "{}"))
        self.trials: list[Model] = []

    def teardown(self) -> None:
        self.store.check()
        self.store.close()
        shutil.rmtree(self.folder)

    def allowed(self, number: int, attempt: int | None, states: tuple[TrialState, ...]) -> bool:
        if number >= len(self.trials):
            return False
        trial = self.trials[number]
        return attempt in (None, trial.attempt) and trial.state in states

    def change(self, number: int, **values: object) -> None:
        self.trials[number] = replace(self.trials[number], **values)  # type: ignore[arg-type]

    @rule(index=st.integers(0, 3), fidelity=st.integers(1, 2), seed=st.integers(0, 1))
    def add(self, index: int, fidelity: int, seed: int) -> None:
        architecture = Architecture(None, (("index", index),))
        key = (index, fidelity, seed)
        if key in {trial.key for trial in self.trials}:
            with pytest.raises(StoreError, match="has this architecture already"):
                self.store.add_trial("s", architecture, fidelity=fidelity, seed=seed)
            return
        number = self.store.add_trial("s", architecture, fidelity=fidelity, seed=seed, known={"index": index})
        assert number == len(self.trials)
        self.trials.append(Model(key))

    @rule(number=NUMBERS, attempt=ATTEMPTS)
    def start(self, number: int, attempt: int) -> None:
        if not self.allowed(number, attempt, OPEN):
            with pytest.raises((StoreError, UsageError)):
                self.store.start_trial("s", number, attempt=attempt, host="h")
            return
        self.store.start_trial("s", number, attempt=attempt, host="h")
        self.change(number, state=TrialState.RUNNING)

    @rule(number=NUMBERS, attempt=ATTEMPTS, step=st.integers(1, 4), value=st.floats(-1e300, 1e300))
    def record(self, number: int, attempt: int, step: int, value: float) -> None:
        if not self.allowed(number, attempt, (TrialState.RUNNING,)):
            with pytest.raises((StoreError, UsageError)):
                self.store.record_step("s", number, attempt=attempt, step=step, metrics={"v": value})
            return
        self.store.record_step("s", number, attempt=attempt, step=step, metrics={"v": value})
        kept = {s: v for s, v in self.trials[number].steps.items() if s < step}
        self.change(number, steps=kept | {step: value})

    @rule(number=NUMBERS, attempt=ATTEMPTS, stopped=st.booleans())
    def finish(self, number: int, attempt: int, stopped: bool) -> None:
        if not self.allowed(number, attempt, (TrialState.RUNNING,)):
            with pytest.raises((StoreError, UsageError)):
                self.store.finish_trial("s", number, attempt=attempt, seconds=1.0, stopped=stopped)
            return
        self.store.finish_trial("s", number, attempt=attempt, seconds=1.0, stopped=stopped)
        self.change(number, state=TrialState.STOPPED if stopped else TrialState.FINISHED)

    @rule(number=NUMBERS, attempt=ATTEMPTS, state=st.sampled_from([TrialState.FAILED, TrialState.INFEASIBLE]))
    def fail(self, number: int, attempt: int, state: TrialState) -> None:
        if not self.allowed(number, attempt, OPEN):
            with pytest.raises((StoreError, UsageError)):
                self.store.fail_trial("s", number, attempt=attempt, error="e", state=state)
            return
        self.store.fail_trial("s", number, attempt=attempt, error="e", state=state)
        self.change(number, state=state)

    @rule(number=NUMBERS)
    def requeue(self, number: int) -> None:
        if not self.allowed(number, None, OPEN):
            with pytest.raises((StoreError, UsageError)):
                self.store.requeue_trial("s", number)
            return
        attempt = self.store.requeue_trial("s", number)
        self.change(number, state=TrialState.QUEUED, attempt=attempt)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.folder / "nas.db", create=False)

    @invariant()
    def the_store_is_the_model(self) -> None:
        records = self.store.trials("s")
        assert [(r.number, r.state, r.attempt) for r in records] == [
            (number, trial.state, trial.attempt) for number, trial in enumerate(self.trials)
        ]
        for record, trial in zip(records, self.trials, strict=True):
            assert (record.architecture.values()["index"], record.fidelity, record.seed) == trial.key
            last = {"v": trial.steps[max(trial.steps)]} if trial.steps else {}
            assert record.metrics == {"index": float(trial.key[0])} | last


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
