"""A driver that works on the store alone and acknowledges each finished trial in a file."""

from __future__ import annotations

import os

import alembic.command  # noqa: F401  (imported before the fork, as all that follows)

from nas.search.trial import TrialState
from nas.spaces import canonical  # noqa: F401
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord
from nas.store import trials as _statements  # noqa: F401

STEPS = 3


def main(store: str, log: str, trials: int) -> None:
    """Brings the study to `trials` finished trials, from wherever it stands."""
    acknowledged = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Store.open(store) as opened:
        if not opened.studies():
            opened.create_study(StudyRecord("drill", "{}"))
        with opened.claim_study("drill"):
            _resume(opened, acknowledged)
            for index in range(len(opened.trials("drill")), trials):
                number = opened.add_trial(
                    "drill", Architecture(None, (("index", index),)), fidelity=STEPS, seed=0
                )
                _evaluate(opened, acknowledged, number, 1)


def _resume(store: Store, acknowledged: int) -> None:
    for trial in store.trials("drill", states=[TrialState.QUEUED, TrialState.RUNNING]):
        _evaluate(store, acknowledged, trial.number, store.requeue_trial("drill", trial.number))


def _evaluate(store: Store, acknowledged: int, number: int, attempt: int) -> None:
    store.start_trial("drill", number, attempt=attempt, host="drill")
    for step in range(1, STEPS + 1):
        store.record_step(
            "drill", number, attempt=attempt, step=step, metrics={"value": number * 10.0 + step}
        )
    store.finish_trial("drill", number, attempt=attempt, seconds=0.0)
    os.write(acknowledged, f"{number}\n".encode())
