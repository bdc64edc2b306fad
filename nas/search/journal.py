"""Where the study loop writes: the small part of a store it needs, and a form of it in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from nas.costs.cost import Cost
from nas.errors import StoreError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture

MEMORY = "memory"
"""What a study is called that is kept in memory."""


class StoredTrial(Protocol):
    """A trial as a journal gives it back; `metrics` are the known values overlaid with the last step's."""

    @property
    def number(self) -> int: ...
    @property
    def state(self) -> TrialState: ...
    @property
    def architecture(self) -> Architecture: ...
    @property
    def fidelity(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def attempt(self) -> int: ...
    @property
    def last_step(self) -> int: ...
    @property
    def error(self) -> str | None: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


class Journal(Protocol):
    """What the loop asks of a store; `nas.store.Store` is one. Each call is complete when it returns."""

    def add_trial(
        self,
        study: str,
        architecture: Architecture,
        *,
        fidelity: int,
        seed: int,
        known: Mapping[str, float] | None = None,
        costs: Sequence[Cost] = (),
    ) -> int:
        """Queues a trial; returns its number, counted from 0."""
        ...

    def start_trial(self, study: str, number: int, *, attempt: int, host: str) -> None:
        """Marks a trial as running."""
        ...

    def record_step(
        self, study: str, number: int, *, attempt: int, step: int, metrics: Mapping[str, float]
    ) -> None:
        """Keeps the metrics of a step."""
        ...

    def finish_trial(
        self, study: str, number: int, *, attempt: int, seconds: float, stopped: bool = False
    ) -> None:
        """Ends a trial with its last step as its result; its duration is added to that before a pause."""
        ...

    def pause_trial(
        self,
        study: str,
        number: int,
        *,
        attempt: int,
        step: int,
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Keeps the metrics of a step and ends the trial there as stopped, both or neither."""
        ...

    def promote_trial(self, study: str, number: int) -> int:
        """Queues a stopped trial again, to go on where it stopped; returns its new attempt."""
        ...

    def fail_trial(
        self,
        study: str,
        number: int,
        *,
        attempt: int,
        error: str,
        traceback: str = "",
        state: TrialState = TrialState.FAILED,
    ) -> None:
        """Ends a trial without a result."""
        ...

    def requeue_trial(self, study: str, number: int) -> int:
        """Queues a lost trial again; returns its new attempt."""
        ...

    def trials(self, study: str) -> Sequence[StoredTrial]:
        """All trials by number."""
        ...

    def histories(self, study: str) -> Mapping[int, Sequence[tuple[int, Mapping[str, float]]]]:
        """The steps of each trial with their metrics, in order; trials without any may be left out."""
        ...


@dataclass(frozen=True)
class MemoryTrial:
    """A trial kept in memory."""

    number: int
    state: TrialState
    architecture: Architecture
    fidelity: int
    seed: int
    attempt: int = 1
    error: str | None = None
    traceback: str = ""
    known: Mapping[str, float] = field(default_factory=dict)
    steps: tuple[tuple[int, Mapping[str, float]], ...] = ()

    @property
    def last_step(self) -> int:
        """The last step recorded; 0 before the first one."""
        return self.steps[-1][0] if self.steps else 0

    @property
    def metrics(self) -> Mapping[str, float]:
        """The known values overlaid with the last step's."""
        return {**self.known, **(self.steps[-1][1] if self.steps else {})}


class MemoryJournal:
    """A journal of one process: what it holds is gone with it.

    Like the store it refuses reports of a stale attempt and changes of an ended trial.
    """

    def __init__(self) -> None:
        self._studies: dict[str, list[MemoryTrial]] = {}

    def add_trial(
        self,
        study: str,
        architecture: Architecture,
        *,
        fidelity: int,
        seed: int,
        known: Mapping[str, float] | None = None,
        costs: Sequence[Cost] = (),
    ) -> int:
        """Queues a trial; costs are not kept."""
        trials = self._studies.setdefault(study, [])
        trial = MemoryTrial(
            len(trials), TrialState.QUEUED, architecture, fidelity, seed, known=dict(known or {})
        )
        trials.append(trial)
        return trial.number

    def start_trial(self, study: str, number: int, *, attempt: int, host: str) -> None:
        """Marks a trial as running; the host is not kept."""
        self._change(study, number, attempt, state=TrialState.RUNNING)

    def record_step(
        self, study: str, number: int, *, attempt: int, step: int, metrics: Mapping[str, float]
    ) -> None:
        """Keeps the metrics of a step; later ones of an earlier attempt go."""
        before = tuple(item for item in self._trial(study, number).steps if item[0] < step)
        self._change(study, number, attempt, steps=(*before, (step, dict(metrics))))

    def finish_trial(
        self, study: str, number: int, *, attempt: int, seconds: float, stopped: bool = False
    ) -> None:
        """Ends a trial; its duration is not kept."""
        self._change(study, number, attempt, state=TrialState.STOPPED if stopped else TrialState.FINISHED)

    def fail_trial(
        self,
        study: str,
        number: int,
        *,
        attempt: int,
        error: str,
        traceback: str = "",
        state: TrialState = TrialState.FAILED,
    ) -> None:
        """Ends a trial without a result."""
        self._change(study, number, attempt, state=state, error=error, traceback=traceback)

    def requeue_trial(self, study: str, number: int) -> int:
        """Queues a lost trial again; returns its new attempt."""
        attempt = self._trial(study, number).attempt
        self._change(study, number, attempt, state=TrialState.QUEUED, attempt=attempt + 1)
        return attempt + 1

    def pause_trial(
        self,
        study: str,
        number: int,
        *,
        attempt: int,
        step: int,
        metrics: Mapping[str, float],
        seconds: float,
    ) -> None:
        """Keeps the metrics of a step and ends the trial there as stopped."""
        self.record_step(study, number, attempt=attempt, step=step, metrics=metrics)
        self.finish_trial(study, number, attempt=attempt, seconds=seconds, stopped=True)

    def promote_trial(self, study: str, number: int) -> int:
        """Queues a stopped trial again; returns its new attempt."""
        trial = self._trial(study, number)
        if trial.state is not TrialState.STOPPED:
            raise StoreError(f"trial {study}#{number} is {trial.state}, not stopped: the change is refused")
        again = replace(trial, state=TrialState.QUEUED, attempt=trial.attempt + 1)
        self._studies[study][number] = again
        return again.attempt

    def trials(self, study: str) -> Sequence[MemoryTrial]:
        """All trials by number."""
        return tuple(self._studies.get(study, ()))

    def histories(self, study: str) -> Mapping[int, Sequence[tuple[int, Mapping[str, float]]]]:
        """The steps of each trial with their metrics, in order."""
        return {trial.number: trial.steps for trial in self.trials(study)}

    def _trial(self, study: str, number: int) -> MemoryTrial:
        trials = self._studies.get(study, [])
        if not 0 <= number < len(trials):
            raise StoreError(f"there is no trial {study}#{number}")
        return trials[number]

    def _change(self, study: str, number: int, of_attempt: int, **changes: object) -> None:
        trial = self._trial(study, number)
        if trial.attempt != of_attempt:
            raise StoreError(
                f"trial {study}#{number}: the report of attempt {of_attempt} is refused, "
                f"attempt {trial.attempt} is current"
            )
        if trial.state.is_final:
            raise StoreError(f"trial {study}#{number} is {trial.state}: the change is refused")
        self._studies[study][number] = replace(trial, **changes)  # type: ignore[arg-type]
