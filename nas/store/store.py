"""The store: every study, trial and result, in SQLite or PostgreSQL; the only truth a study resumes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nas.costs.cost import Cost
from nas.plugins.plugin import Plugin
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import artifacts, proxies, reading, studies, traces, trials
from nas.store.costs import write_costs
from nas.store.records import ArtifactRecord, StudyRecord, TrialRecord
from nas.store.session import Session

if TYPE_CHECKING:
    import numpy as np


class Store(Session):
    """An open store. Every call is one transaction: when it returns, a crash cannot undo it.

    Use it as a context manager. Errors of the database are raised as StoreError.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/nas.db") as store:
    ...     store.create_study(StudyRecord("first", "{}"))
    ...     number = store.add_trial("first", Architecture(None, (("lr", 0.1),)), fidelity=1, seed=0)
    ...     store.start_trial("first", number, attempt=1, host="here")
    ...     store.record_step("first", number, attempt=1, step=1, metrics={"loss": 0.5})
    ...     store.finish_trial("first", number, attempt=1, seconds=0.1)
    ...     store.trial("first", number).metrics
    {'loss': 0.5}
    """

    def create_study(self, record: StudyRecord) -> None:
        """Adds a study; empty `created` and `version` are filled in. StoreError where the name is taken."""
        with self._write() as connection:
            studies.create_study(connection, record)

    def study(self, name: str) -> StudyRecord:
        """One study; raises UnknownNameError with the nearest name."""
        with self._read() as connection:
            return studies.read_study(connection, name)

    def studies(self) -> list[StudyRecord]:
        """All studies in the order they were made."""
        with self._read() as connection:
            return studies.read_studies(connection)

    def update_study_spec(self, name: str, spec: str) -> None:
        """Replaces the settings of a study (JSON)."""
        with self._write() as connection:
            studies.update_spec(connection, name, spec)

    # -- trials: writing -----------------------------------------------------------------------------------

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
        """Queues a trial and returns its number, counted from 0 in the study.

        `known` holds what needs no evaluation; it is stored as step 0. Raises StoreError where the study has
        this architecture at this fidelity and seed already, or where a number is not finite.
        """
        with self._write() as connection:
            key = self._key(connection, study)
            return trials.add_trial(
                connection,
                key,
                study,
                architecture,
                fidelity=fidelity,
                seed=seed,
                known=known or {},
                costs=costs,
            )

    def start_trial(self, study: str, number: int, *, attempt: int, host: str) -> None:
        """Marks a queued trial as running on `host`; StoreError where the attempt is not the current one."""
        with self._write() as connection:
            key = self._key(connection, study)
            trials.start_trial(connection, key, f"{study}#{number}", number, attempt=attempt, host=host)

    def record_step(
        self, study: str, number: int, *, attempt: int, step: int, metrics: Mapping[str, float]
    ) -> None:
        """Stores the metrics after a step (from 1).

        A step recorded before is replaced and later ones dropped, as when a new attempt began further back.
        """
        with self._write() as connection:
            key = self._key(connection, study)
            trials.record_step(
                connection, key, f"{study}#{number}", number, attempt=attempt, step=step, metrics=metrics
            )

    def finish_trial(
        self, study: str, number: int, *, attempt: int, seconds: float, stopped: bool = False
    ) -> None:
        """Ends a running trial; its last step is its result. `stopped`: before all its steps, on request.

        `seconds` is added to what the trial took before it was stopped and promoted.
        """
        with self._write() as connection:
            key = self._key(connection, study)
            label = f"{study}#{number}"
            trials.finish_trial(
                connection, key, label, number, attempt=attempt, seconds=seconds, stopped=stopped
            )

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
        """Ends a queued or running trial without a result: FAILED or INFEASIBLE."""
        with self._write() as connection:
            key = self._key(connection, study)
            label = f"{study}#{number}"
            trials.fail_trial(
                connection, key, label, number, attempt=attempt, error=error, traceback=traceback, state=state
            )

    def requeue_trial(self, study: str, number: int) -> int:
        """Queues a lost trial again and returns its new attempt; reports of older attempts are refused."""
        with self._write() as connection:
            return trials.requeue_trial(connection, self._key(connection, study), f"{study}#{number}", number)

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
        """Stores the metrics after a step and ends the trial there as stopped, in one transaction."""
        with self._write() as connection:
            at = (connection, self._key(connection, study), f"{study}#{number}", number)
            trials.record_step(*at, attempt=attempt, step=step, metrics=metrics)
            trials.finish_trial(*at, attempt=attempt, seconds=seconds, stopped=True)

    def promote_trial(self, study: str, number: int) -> int:
        """Queues a stopped trial again and returns its new attempt; its steps stay.

        StoreError where the trial is not stopped.
        """
        with self._write() as connection:
            return trials.promote_trial(connection, self._key(connection, study), f"{study}#{number}", number)

    # -- trials: reading -----------------------------------------------------------------------------------

    def iterate_trials(
        self,
        study: str,
        *,
        states: Collection[TrialState] | None = None,
        numbers: Collection[int] | None = None,
    ) -> Iterator[TrialRecord]:
        """Trials by number in small batches, so that a study of any size fits into memory."""
        with self._read() as connection:
            key = self._key(connection, study)
        return reading.iterate_trials(self._read, key, study, states=states, numbers=numbers)

    def trials(
        self,
        study: str,
        *,
        states: Collection[TrialState] | None = None,
        numbers: Collection[int] | None = None,
    ) -> list[TrialRecord]:
        """All trials by number, or those in some states, or of some numbers."""
        return list(self.iterate_trials(study, states=states, numbers=numbers))

    def trial(self, study: str, number: int) -> TrialRecord:
        """One trial; raises UsageError where the study has no such number."""
        with self._read() as connection:
            trials.trial_key(connection, self._key(connection, study), f"{study}#{number}", number)
        return self.trials(study, numbers=[number])[0]

    def steps(self, study: str, number: int) -> list[tuple[int, dict[str, float]]]:
        """The metrics after each step, from step 1 on."""
        with self._read() as connection:
            key = trials.trial_key(connection, self._key(connection, study), f"{study}#{number}", number)
            return reading.read_steps(connection, key)

    def histories(self, study: str) -> dict[int, list[tuple[int, dict[str, float]]]]:
        """What `steps` gives, for every trial of a study that has any, by number."""
        with self._read() as connection:
            return reading.read_histories(connection, self._key(connection, study))

    def objective_values(self, study: str, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (n,) and values (n, len(names)) of the finished trials, ordered by number.

        A value is that of the last step, else the known one; a trial that lacks any of them is left out.
        """
        with self._read() as connection:
            return reading.objective_values(connection, self._key(connection, study), names)

    def architecture_hashes(self, study: str) -> dict[int, str]:
        """The number of each trial → the hash of its architecture."""
        with self._read() as connection:
            return reading.architecture_hashes(connection, self._key(connection, study))

    def count_states(self, study: str) -> dict[str, int]:
        """How many trials of a study are in each state; states without any are left out."""
        with self._read() as connection:
            return reading.count_states(connection, self._key(connection, study))

    # -- costs ---------------------------------------------------------------------------------------------

    def record_costs(self, study: str, costs: Mapping[str, Sequence[Cost]]) -> None:
        """Stores further costs of architectures of a study by their hash.

        One of the same target and kind replaces the older one; measured ones stand beside those predicted.
        """
        with self._write() as connection:
            key = self._key(connection, study)
            for architecture_hash, found in costs.items():
                write_costs(connection, key, architecture_hash, found)

    # -- proxies -------------------------------------------------------------------------------------------

    def record_proxy(self, name: str, provider: str, task: str, values: Mapping[str, float]) -> None:
        """Stores scores of untrained networks by architecture hash; a newer one replaces the older.

        `provider` is the package that computes them, with its version; `task` what they were computed on.
        Raises StoreError, and stores none of them, where one is not finite.
        """
        with self._write() as connection:
            proxies.write_values(connection, name, provider, task, values)

    def proxy_values(self, name: str, provider: str, task: str, hashes: Collection[str]) -> dict[str, float]:
        """The stored scores of these architectures by hash; those that were never scored are left out."""
        with self._read() as connection:
            return proxies.read_values(connection, name, provider, task, hashes)

    # -- traces --------------------------------------------------------------------------------------------

    def record_traces(self, contents: Mapping[str, bytes]) -> None:
        """Stores what layers execute by a key that says all that a trace depends on."""
        with self._write() as connection:
            traces.write_traces(connection, contents)

    def traces(self, keys: Collection[str]) -> dict[str, bytes]:
        """The stored traces of these keys; those that are not stored are left out."""
        with self._read() as connection:
            return traces.read_traces(connection, keys)

    # -- artifacts and plugins -----------------------------------------------------------------------------

    def add_artifact(self, study: str, number: int, kind: str, path: str, sha256: str, size: int) -> None:
        """Records a file of a trial; `path` is relative to the study's artifact folder, `size` in bytes."""
        with self._write() as connection:
            key = trials.trial_key(connection, self._key(connection, study), f"{study}#{number}", number)
            artifacts.write_artifact(connection, key, kind=kind, path=path, sha256=sha256, size=size)

    def artifacts(self, study: str, number: int | None = None) -> list[ArtifactRecord]:
        """The recorded files of one trial, or of all trials of a study."""
        with self._read() as connection:
            return artifacts.read_artifacts(connection, self._key(connection, study), study, number)

    def record_plugins(self, study: str, plugins: Sequence[Plugin]) -> None:
        """Records what is installed; called again with other versions, both stay on record."""
        with self._write() as connection:
            studies.record_plugins(connection, self._key(connection, study), plugins)

    def plugins(self, study: str) -> list[Plugin]:
        """What was installed when the study ran, oldest record first."""
        with self._read() as connection:
            return studies.read_plugins(connection, self._key(connection, study))
