"""Earlier studies of a store as sources of results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from nas.search.numbers import counted_text, read_counted
from nas.search.study import StudySpec
from nas.search.trial import TrialResult, TrialState

if TYPE_CHECKING:
    from nas.store.store import Store

IMPORTED = "optuna"
"""The data of a study that was imported: its steps are those of another program."""

_HAS_RESULT = frozenset({TrialState.FINISHED, TrialState.STOPPED})


def counted_now(store: Store, study: str) -> str:
    """The trials of a study that have a result by now: what a search keeps of its source.

    A finished trial never changes, and a stopped one counts at the step it has come to, so that the search
    begins with the same results whenever it is resumed.
    """
    finished, stopped = [], {}
    for trial in store.iterate_trials(study, states=_HAS_RESULT):
        if trial.state is TrialState.FINISHED:
            finished.append(trial.number)
        elif trial.last_step:
            stopped[trial.number] = trial.last_step
    return counted_text(finished, stopped)


def read_source(store: Store, study: str, counted: str, fidelity: int) -> list[TrialResult]:
    """The results of some trials of a study, with all their metrics.

    A stopped trial has the fidelity of its step. In an imported study a finished trial counts as one of
    `fidelity`, and the stopped ones are left out where their steps are not those of this search.
    """
    spec = StudySpec.from_json(store.study(study).spec)
    is_imported = spec.data.partition(":")[0] == IMPORTED
    finished, stopped = read_counted(counted)
    results = list(_finished(store, study, finished, fidelity if is_imported else None))
    if stopped and not (is_imported and spec.epochs != fidelity):
        results.extend(_stopped(store, study, stopped))
    return results


def _finished(store: Store, study: str, numbers: list[int], fidelity: int | None) -> Iterator[TrialResult]:
    for trial in store.iterate_trials(study, numbers=numbers):
        reached = trial.fidelity if fidelity is None else fidelity
        yield TrialResult(
            trial.architecture, TrialState.FINISHED, trial.metrics, reached, trial.number, study
        )


def _stopped(store: Store, study: str, at_steps: dict[int, int]) -> Iterator[TrialResult]:
    """Each trial as it stood at its step, though it may have gone on since."""
    histories = store.histories(study)
    for trial in store.iterate_trials(study, numbers=at_steps):
        step = at_steps[trial.number]
        metrics = {**trial.metrics, **dict(histories[trial.number])[step]}
        yield TrialResult(trial.architecture, TrialState.STOPPED, metrics, step, trial.number, study)
