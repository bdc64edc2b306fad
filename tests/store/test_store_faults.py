"""The n-th operation fails, for every n: what was acknowledged stays, the work can be finished."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.pool import PoolProxiedConnection

from nas.errors import StoreError
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

TRIALS, STEPS = 2, 2
Candidate = Callable[[int], Architecture]


class Faults:
    """Counts the statements and commits of an engine, and lets one of them fail."""

    def __init__(self, engine: Engine, fail_at: int, error: Callable[[], Exception]) -> None:
        self.count = 0
        self._fail_at = fail_at
        self._error = error
        for name in ("do_execute", "do_executemany", "do_execute_no_params"):
            event.listen(engine, name, self._operation)
        self._commit = engine.dialect.do_commit
        engine.dialect.do_commit = self._failing_commit  # type: ignore[method-assign]

    def _failing_commit(self, connection: PoolProxiedConnection) -> None:
        self._operation()
        self._commit(connection)

    def _operation(self, *_: object) -> None:
        self.count += 1
        if self.count == self._fail_at:
            raise self._error()


def disk_error() -> Exception:
    return sqlite3.OperationalError("disk I/O error")


def full() -> Exception:
    return sqlite3.OperationalError("database or disk is full")


def work(store: Store, candidate: Candidate) -> Iterator[tuple[str, int, int]]:
    """A study of two trials, done from wherever it stands; yields each thing once the store has it."""
    if not store.studies():
        store.create_study(StudyRecord("first", "{}"))
    yield ("study", 0, 0)
    stored = {record.number: record for record in store.trials("first")}
    for record in stored.values():
        if not record.state.is_final:
            store.requeue_trial("first", record.number)
    for number in range(TRIALS):
        if number not in stored:
            assert (
                store.add_trial("first", candidate(number), fidelity=STEPS, seed=0, known={"k": 1.0})
                == number
            )
            yield ("added", number, 0)
        record = store.trial("first", number)
        if record.state.is_final:
            continue
        store.start_trial("first", number, attempt=record.attempt, host="box")
        done = len(store.steps("first", number))
        for step in range(done + 1, STEPS + 1):
            store.record_step(
                "first", number, attempt=record.attempt, step=step, metrics={"loss": 10.0 * number + step}
            )
            yield ("step", number, step)
        store.finish_trial("first", number, attempt=record.attempt, seconds=1.0)
        yield ("finished", number, 0)


def stored_events(store: Store) -> set[tuple[str, int, int]]:
    """All that `work` could have acknowledged, as the store holds it."""
    events = {("study", 0, 0)} if store.studies() else set()
    for record in store.trials("first") if events else []:
        number = record.number
        events.add(("added", number, 0))
        events |= {
            ("step", number, step)
            for step, m in store.steps("first", number)
            if m == {"loss": 10.0 * number + step}
        }
        if record.state is TrialState.FINISHED:
            events.add(("finished", number, 0))
    return events


def run_with_fault(
    url: str, candidate: Candidate, fail_at: int, error: Callable[[], Exception]
) -> tuple[set[tuple[str, int, int]], bool]:
    """What was acknowledged before the fault, and whether it struck at all."""
    acknowledged: set[tuple[str, int, int]] = set()
    with Store.open(url) as store:
        faults = Faults(store._engine, fail_at, error)
        try:
            for done in work(store, candidate):
                acknowledged.add(done)
        except StoreError as caught:
            assert "\n" not in str(caught)
            assert faults.count >= fail_at
            return acknowledged, True
        return acknowledged, False


@pytest.mark.parametrize(("error", "stride"), [(disk_error, 1), (full, 6)])
def test_every_operation_may_fail_once(
    tmp_path: Path, candidate: Candidate, error: Callable[[], Exception], stride: int
) -> None:
    template = tmp_path / "empty.db"
    Store.open(template).close()
    for fail_at in itertools.count(1, stride):
        path = tmp_path / f"{fail_at}.db"
        path.write_bytes(template.read_bytes())
        acknowledged, struck = run_with_fault(str(path), candidate, fail_at, error)
        with Store.open(path) as store:
            store.check()
            assert acknowledged <= stored_events(store)
            list(work(store, candidate))
            finished = store.trials("first", states=[TrialState.FINISHED])
            assert [record.metrics for record in finished] == [
                {"k": 1.0, "loss": 10.0 * number + STEPS} for number in range(TRIALS)
            ]
        if not struck:
            break
    assert fail_at > 45  # the study is that many operations long: none was left out


@pytest.mark.postgres
def test_every_ninth_operation_on_a_server(
    postgres_server: str, postgres_admin: Callable[[str], None], candidate: Candidate
) -> None:
    import psycopg

    def lost() -> Exception:
        return psycopg.OperationalError("server closed the connection unexpectedly")

    postgres_admin("CREATE DATABASE fault_template")
    Store.open(f"{postgres_server}/fault_template").close()
    for fail_at in itertools.count(1, 9):
        postgres_admin(f"CREATE DATABASE fault_{fail_at} TEMPLATE fault_template")
        url = f"{postgres_server}/fault_{fail_at}"
        acknowledged, struck = run_with_fault(url, candidate, fail_at, lost)
        with Store.open(url) as store:
            assert acknowledged <= stored_events(store)
            list(work(store, candidate))
            assert len(store.trials("first", states=[TrialState.FINISHED])) == TRIALS
        if not struck:
            break
    assert fail_at > 45


@contextmanager
def failing_migration(fail_at: int) -> Iterator[list[int]]:
    """Lets the n-th statement of making the tables fail."""
    count = [0]

    def operation(*_: object) -> None:
        count[0] += 1
        if count[0] == fail_at:
            raise disk_error()

    event.listen(Engine, "do_execute", operation)
    event.listen(Engine, "do_execute_no_params", operation)
    try:
        yield count
    finally:
        event.remove(Engine, "do_execute", operation)
        event.remove(Engine, "do_execute_no_params", operation)


def test_making_the_tables_may_fail_anywhere(tmp_path: Path) -> None:
    for fail_at in itertools.count(1):
        path = tmp_path / f"{fail_at}.db"
        with failing_migration(fail_at) as count:
            try:
                Store.open(path).close()
            except StoreError as error:
                assert "disk I/O error" in str(error)
        with Store.open(path) as store:
            store.create_study(StudyRecord("first", "{}"))
            store.check()
        assert not list(tmp_path.glob("*.lock"))
        if count[0] < fail_at:
            break
    assert fail_at > 10
