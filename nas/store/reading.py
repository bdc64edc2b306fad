"""Reading trials: whole records in small batches, and the fast path to the objectives of a large study."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from nas.errors import SpaceError, StoreError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store.costs import read_costs
from nas.store.records import TrialRecord
from nas.store.schema import architecture, metric, trial

if TYPE_CHECKING:
    import numpy as np

BATCH = 500  # trials in one read transaction: a reader never holds up the driver's checkpoint for long

_COLUMNS = (
    trial.c.id,
    trial.c.number,
    trial.c.state,
    trial.c.architecture_hash,
    trial.c.variant,
    trial.c.fidelity,
    trial.c.seed,
    trial.c.attempt,
    trial.c.last_step,
    trial.c.host,
    trial.c.created,
    trial.c.started,
    trial.c.finished,
    trial.c.seconds,
    trial.c.error,
    trial.c.traceback,
    architecture.c.content,
)


def iterate_trials(
    read: Callable[[], AbstractContextManager[Connection]],
    study_key: int,
    name: str,
    *,
    states: Collection[TrialState] | None,
    numbers: Collection[int] | None,
) -> Iterator[TrialRecord]:
    """Trials by number, a batch at a time, each batch read in one transaction."""
    statement = (
        select(*_COLUMNS).join(architecture).where(trial.c.study_id == study_key).order_by(trial.c.number)
    )
    if states is not None:
        statement = statement.where(trial.c.state.in_([state.value for state in states]))
    for batch in _batches(read, statement, study_key, name, numbers):
        yield from batch


def count_states(connection: Connection, study_key: int) -> dict[str, int]:
    """State → number of trials, in the order of a trial's life."""
    statement = (
        select(trial.c.state, func.count()).where(trial.c.study_id == study_key).group_by(trial.c.state)
    )
    counts = {str(state): int(count) for state, count in connection.execute(statement)}
    return {state.value: counts[state.value] for state in TrialState if state.value in counts}


def architecture_hashes(connection: Connection, study_key: int) -> dict[int, str]:
    """Trial number → hash of its architecture."""
    statement = select(trial.c.number, trial.c.architecture_hash).where(trial.c.study_id == study_key)
    return {int(number): str(found) for number, found in connection.execute(statement)}


def _batches(
    read: Callable[[], AbstractContextManager[Connection]],
    statement: Select[Any],
    study_key: int,
    name: str,
    numbers: Collection[int] | None,
) -> Iterator[list[TrialRecord]]:
    if numbers is not None:
        wanted = sorted(set(numbers))
        for first in range(0, len(wanted), BATCH):
            chosen = statement.where(trial.c.number.in_(wanted[first : first + BATCH]))
            with read() as connection:
                batch = _records(connection, chosen, study_key, name)
            yield batch
        return
    last = -1
    while True:
        with read() as connection:
            batch = _records(connection, statement.where(trial.c.number > last).limit(BATCH), study_key, name)
        yield batch
        if len(batch) < BATCH:
            return
        last = batch[-1].number


def _records(connection: Connection, statement: Select[Any], study_key: int, name: str) -> list[TrialRecord]:
    rows = connection.execute(statement).all()
    metrics = _metrics(connection, [row.id for row in rows])
    costs = read_costs(connection, study_key, {row.architecture_hash for row in rows})
    return [
        TrialRecord(
            study=name,
            number=row.number,
            state=TrialState(row.state),
            architecture=_architecture(row, name),
            fidelity=row.fidelity,
            seed=row.seed,
            attempt=row.attempt,
            last_step=row.last_step,
            host=row.host,
            created=row.created,
            started=row.started,
            finished=row.finished,
            seconds=row.seconds,
            error=row.error,
            traceback=row.traceback,
            metrics=metrics.get(row.id, {}),
            costs=costs.get(row.architecture_hash, ()),
        )
        for row in rows
    ]


def _architecture(row: Row[Any], study: str) -> Architecture:
    try:
        found = Architecture.from_json(row.variant or row.content)
    except SpaceError as error:
        raise StoreError(f"trial {study}#{row.number} cannot be read: {error}") from None
    # Spares computing the hash of every stored trial; the stored one is the identity trials are unique by.
    found.__dict__["hash"] = row.architecture_hash
    return found


def _metrics(connection: Connection, keys: list[int]) -> dict[int, dict[str, float]]:
    """Trial key → its known values, overlaid with its last step."""
    counts = or_(metric.c.step == 0, metric.c.step == trial.c.last_step)
    statement = (
        select(metric.c.trial_id, metric.c.name, metric.c.value)
        .join(trial, and_(metric.c.trial_id == trial.c.id, counts))
        .where(trial.c.id.in_(keys))
        .order_by(metric.c.trial_id, metric.c.step)
    )
    found: dict[int, dict[str, float]] = {}
    for key, name, value in connection.execute(statement):
        found.setdefault(key, {})[name] = value
    return found


def read_steps(connection: Connection, key: int) -> list[tuple[int, dict[str, float]]]:
    """The metrics of each step from 1 on."""
    statement = (
        select(metric.c.step, metric.c.name, metric.c.value)
        .where(metric.c.trial_id == key, metric.c.step > 0)
        .order_by(metric.c.step, metric.c.name)
    )
    steps: dict[int, dict[str, float]] = {}
    for step, name, value in connection.execute(statement):
        steps.setdefault(step, {})[name] = value
    return list(steps.items())


def read_histories(connection: Connection, study_key: int) -> dict[int, list[tuple[int, dict[str, float]]]]:
    """Trial number → the metrics of each step from 1 on; trials without a step are left out."""
    statement = (
        select(trial.c.number, metric.c.step, metric.c.name, metric.c.value)
        .join(trial, metric.c.trial_id == trial.c.id)
        .where(trial.c.study_id == study_key, metric.c.step > 0)
        .order_by(trial.c.number, metric.c.step, metric.c.name)
    )
    found: dict[int, dict[int, dict[str, float]]] = {}
    for number, step, name, value in connection.execute(statement):
        found.setdefault(number, {}).setdefault(step, {})[name] = value
    return {number: list(steps.items()) for number, steps in found.items()}


def objective_values(
    connection: Connection, study_key: int, names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and values of the finished trials that have them all; straight from the driver's cursor."""
    import numpy as np

    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    at = f"(SELECT value FROM metric WHERE trial_id = t.id AND name = {mark} AND step = "  # noqa: S608
    value = f"COALESCE({at}t.last_step), {at}0))"
    columns = "".join(f", {value}" for _ in names)
    statement = (
        f"SELECT t.number{columns} FROM trial t"  # noqa: S608
        f" WHERE t.study_id = {mark} AND t.state = 'finished' ORDER BY t.number"
    )
    cursor: Any = connection.connection.cursor()
    try:
        cursor.execute(statement, (*(name for name in names for _ in range(2)), study_key))
        flat = np.fromiter(chain.from_iterable(cursor), dtype=np.float64)
    finally:
        cursor.close()
    table = flat.reshape(-1, 1 + len(names))
    table = table[~np.isnan(table).any(axis=1)]
    return table[:, 0].astype(np.int64), table[:, 1:].copy()
