"""Statements that write trials: each takes a connection inside the one transaction of its call.

Every report carries its attempt and is refused where a later attempt has begun (fencing): a paused worker
that wakes up cannot overwrite its successor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Select,
    Update,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from nas.costs.cost import Cost
from nas.errors import StoreError, UsageError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store.costs import write_costs
from nas.store.dialect import insert_missing, insert_or_replace
from nas.store.schema import architecture, metric, study, trial
from nas.store.values import (
    ERROR_CHARACTERS,
    TRACEBACK_CHARACTERS,
    check_cost,
    clean_text,
    finite,
    metric_values,
    now,
    whole,
)

RUNNING = (TrialState.RUNNING,)
STOPPED = (TrialState.STOPPED,)
OPEN = (TrialState.QUEUED, TrialState.RUNNING)

# Built once: SQLAlchemy finds the compiled form of a known statement several times faster.
_AT = (trial.c.study_id == bindparam("study_key"), trial.c.number == bindparam("at_number"))
_PRESENT = select(trial.c.id, trial.c.attempt, trial.c.state, trial.c.last_step).where(*_AT)
_LOCKED = _PRESENT.with_for_update()
_LAST_NUMBER = select(func.max(trial.c.number)).where(trial.c.study_id == bindparam("study_key"))
_LOCK_STUDY = select(study.c.id).where(study.c.id == bindparam("study_key")).with_for_update()
_CONTENT = select(architecture.c.content).where(architecture.c.hash == bindparam("hash"))
_TWIN = select(trial.c.number).where(
    *(trial.c[name] == bindparam(name) for name in ("study_id", "architecture_hash", "fidelity", "seed"))
)
_INSERT = insert(trial)
_ADVANCE = update(trial).where(trial.c.id == bindparam("trial_key"))
_DROP_STEPS = delete(metric).where(metric.c.trial_id == bindparam("key"), metric.c.step >= bindparam("first"))
_ATTEMPT = trial.c.attempt == bindparam("of_attempt")
_CHANGE = {
    RUNNING: update(trial).where(*_AT, _ATTEMPT, trial.c.state == literal_column("'running'")),
    OPEN: update(trial).where(*_AT, _ATTEMPT, trial.c.state.in_([literal_column(f"'{s}'") for s in OPEN])),
}
# A promoted trial has run before: what it took then counts too.
_FINISH = _CHANGE[RUNNING].values(seconds=func.coalesce(trial.c.seconds, 0.0) + bindparam("spent"))


def add_trial(
    connection: Connection,
    study_key: int,
    name: str,
    candidate: Architecture,
    *,
    fidelity: int,
    seed: int,
    known: Mapping[str, float],
    costs: Sequence[Cost],
) -> int:
    """Queues a trial and returns its number; see `Store.add_trial`."""
    where = f"a new trial of study {name!r}"
    values = metric_values(known, where)
    for cost in costs:
        check_cost(cost, where)
    number = _next_number(connection, study_key)
    row = {
        "study_id": study_key,
        "number": number,
        "state": TrialState.QUEUED.value,
        "architecture_hash": candidate.hash,
        "variant": None,
        "fidelity": whole(fidelity, "fidelity", 1),
        "seed": whole(seed, "seed"),
        "attempt": 1,
        "last_step": 0,
        "created": now(),
    }
    if not _is_new(connection, candidate):
        _refuse_twin(connection, row, name)
        row["variant"] = _variant(connection, candidate)
    inserted = connection.execute(_INSERT, row).inserted_primary_key
    assert inserted is not None
    _write_metrics(connection, inserted[0], 0, values)
    write_costs(connection, study_key, candidate.hash, costs)
    return number


def _next_number(connection: Connection, study_key: int) -> int:
    if connection.dialect.name != "sqlite":  # there, the transaction holds the only write lock
        connection.execute(_LOCK_STUDY, {"study_key": study_key})
    last = connection.execute(_LAST_NUMBER, {"study_key": study_key}).scalar()
    return 0 if last is None else int(last) + 1


def _is_new(connection: Connection, candidate: Architecture) -> bool:
    """Stores the architecture where the store has not met it before."""
    row = {"hash": candidate.hash, "content": candidate.to_json(), "created": now()}
    # A driver that does not count inserted rows answers -1: then the slower way is taken.
    return connection.execute(insert_missing(connection, architecture), row).rowcount == 1


def _variant(connection: Connection, candidate: Architecture) -> str | None:
    """The architecture as this study spells it, where the store has it in another spelling."""
    content = candidate.to_json()
    stored = connection.execute(_CONTENT, {"hash": candidate.hash}).scalar()
    return None if stored == content else content


def _refuse_twin(connection: Connection, row: Mapping[str, object], name: str) -> None:
    keys = {key: row[key] for key in ("study_id", "architecture_hash", "fidelity", "seed")}
    twin = connection.execute(_TWIN, keys).scalar()
    if twin is not None:
        raise StoreError(
            f"study {name!r} has this architecture already: trial {twin}, fidelity {row['fidelity']},"
            f" seed {row['seed']}"
        )


def _write_metrics(connection: Connection, key: int, step: int, values: Mapping[str, float]) -> None:
    rows = [{"trial_id": key, "step": step, "name": name, "value": value} for name, value in values.items()]
    if rows:
        connection.execute(insert_or_replace(connection, metric), rows)


def start_trial(
    connection: Connection, study_key: int, label: str, number: int, *, attempt: int, host: str
) -> None:
    """Marks a queued trial as running."""
    values = {"state": TrialState.RUNNING.value, "host": clean_text(host, 200), "started": now()}
    _change(connection, study_key, label, number, attempt, OPEN, values)


def record_step(
    connection: Connection,
    study_key: int,
    label: str,
    number: int,
    *,
    attempt: int,
    step: int,
    metrics: Mapping[str, float],
) -> None:
    """Adds the metrics of a step; those of this step and later ones from an earlier attempt go."""
    values = metric_values(metrics, f"trial {label}, step {step}")
    step = whole(step, "step", 1)
    row = _current(connection, study_key, label, number, attempt, RUNNING)
    if step <= row.last_step:
        connection.execute(_DROP_STEPS, {"key": row.id, "first": step})
    _write_metrics(connection, row.id, step, values)
    connection.execute(_ADVANCE, {"trial_key": row.id, "last_step": step})


def finish_trial(
    connection: Connection,
    study_key: int,
    label: str,
    number: int,
    *,
    attempt: int,
    seconds: float,
    stopped: bool,
) -> None:
    """Ends a running trial with its last step as its result."""
    state = TrialState.STOPPED if stopped else TrialState.FINISHED
    duration = finite(seconds, f"trial {label}: seconds")
    values = {"state": state.value, "spent": duration, "finished": now()}
    _change(connection, study_key, label, number, attempt, RUNNING, values, _FINISH)


def fail_trial(
    connection: Connection,
    study_key: int,
    label: str,
    number: int,
    *,
    attempt: int,
    error: str,
    traceback: str,
    state: TrialState,
) -> None:
    """Ends a trial that gave no result."""
    if state not in (TrialState.FAILED, TrialState.INFEASIBLE):
        raise StoreError(f"trial {label}: a failed trial is 'failed' or 'infeasible', not {str(state)!r}")
    values = {
        "state": state.value,
        "error": clean_text(error, ERROR_CHARACTERS),
        "traceback": clean_text(traceback, TRACEBACK_CHARACTERS),
        "finished": now(),
    }
    _change(connection, study_key, label, number, attempt, OPEN, values)


def requeue_trial(connection: Connection, study_key: int, label: str, number: int) -> int:
    """Queues a lost trial again; returns its new attempt."""
    row = _current(connection, study_key, label, number, None, OPEN)
    attempt = int(row.attempt) + 1
    change = {"state": TrialState.QUEUED.value, "attempt": attempt, "host": None, "started": None}
    connection.execute(_ADVANCE, {"trial_key": row.id, **change})
    return attempt


def promote_trial(connection: Connection, study_key: int, label: str, number: int) -> int:
    """Queues a stopped trial again; returns its new attempt."""
    row = _current(connection, study_key, label, number, None, STOPPED)
    attempt = int(row.attempt) + 1
    change = {"state": TrialState.QUEUED.value, "attempt": attempt, "host": None, "started": None}
    connection.execute(_ADVANCE, {"trial_key": row.id, **change, "finished": None})
    return attempt


def trial_key(connection: Connection, study_key: int, label: str, number: int) -> int:
    """The key of a trial; raises UsageError where the study has no such trial."""
    return int(_find(connection, _PRESENT, study_key, label, number).id)


def _find(connection: Connection, statement: Select[Any], study_key: int, label: str, number: int) -> Any:
    row = connection.execute(statement, {"study_key": study_key, "at_number": number}).first()
    if row is None:
        count = connection.execute(select(func.count()).where(trial.c.study_id == study_key)).scalar_one()
        have = f"it has trials 0 to {count - 1}" if count else "it has no trials yet"
        raise UsageError(f"there is no trial {label}; {have}")
    return row


def _change(
    connection: Connection,
    study_key: int,
    label: str,
    number: int,
    attempt: int,
    states: tuple[TrialState, ...],
    values: Mapping[str, object],
    statement: Update | None = None,
) -> None:
    """Changes the trial's row where attempt and state allow it; StoreError says why not."""
    where = {"study_key": study_key, "at_number": number, "of_attempt": attempt}
    change = statement if statement is not None else _CHANGE[states]
    if connection.execute(change, {**where, **values}).rowcount == 0:
        _current(connection, study_key, label, number, attempt, states)


def _current(
    connection: Connection,
    study_key: int,
    label: str,
    number: int,
    attempt: int | None,
    states: tuple[TrialState, ...],
) -> Any:
    """The trial's row, locked; StoreError where the attempt is stale or the state forbids the change."""
    row = _find(connection, _LOCKED, study_key, label, number)
    if attempt is not None and row.attempt != attempt:
        raise StoreError(
            f"trial {label}: the report of attempt {attempt} is refused, attempt {row.attempt} is current"
        )
    if row.state not in states:
        raise StoreError(f"trial {label} is {row.state}, not {' or '.join(states)}: the change is refused")
    return row
