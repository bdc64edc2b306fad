"""Locks that the operating system or the server gives back when their holder dies."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from nas.errors import StoreError
from nas.files import FileLock, holder_name


class Lock(Protocol):
    """A lock that is held until it is released, or until this process ends."""

    def release(self) -> None:
        """Gives the lock back; further calls do nothing."""
        ...


class AdvisoryLock:
    """A PostgreSQL advisory lock on a connection of its own; the server frees it when that closes."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._name = name
        self._connection: Connection | None = None

    def acquire(self) -> None:
        """Takes the lock; raises BlockingIOError(holder) where another session has it."""
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        connection.detach()
        key = advisory_key(connection, self._name)
        connection.execute(
            text("SELECT set_config('application_name', :name, false)"), {"name": f"nas {holder_name()}"[:63]}
        )
        if connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}).scalar_one():
            self._connection = connection
            return
        holder = connection.execute(_HOLDER, {"key": key}).scalar()
        connection.close()
        raise BlockingIOError((holder or "another process").removeprefix("nas "))

    def release(self) -> None:
        """Gives the lock back at once, where closing alone would leave it until the server notices."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
        except DBAPIError:
            pass  # the server is gone, and the lock with it
        finally:
            connection.close()


_HOLDER = text(
    "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)"
    " WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND (classid::bigint << 32) | objid::bigint = :key LIMIT 1"
)


def advisory_key(connection: Connection, name: str) -> int:
    """The 64-bit key of a lock of this name in the schema the connection works in."""
    schema = connection.execute(text("SELECT current_schema()")).scalar()
    digest = hashlib.sha256(f"nas:{schema}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def claim(engine: Engine, path: Path | None, study: str) -> Lock:
    """The lock of one study, taken; StoreError names who runs the study where it is taken already."""
    lock: FileLock | AdvisoryLock
    lock = AdvisoryLock(engine, f"study:{study}") if path is None else FileLock(lock_path(path, study))
    try:
        lock.acquire()
    except BlockingIOError as error:
        raise StoreError(
            f"study {study!r} is being run by {error}. Wait for it, or end it and resume."
        ) from None
    except OSError as error:
        raise StoreError(f"cannot lock study {study!r} beside {path}: {error.strerror}") from None
    return lock


def lock_path(store: Path, name: str = "") -> Path:
    """The lock file of a store, or of one study in it; the same for every link to the store."""
    real = store.resolve()
    return real.with_name(f"{real.name}.{name}.lock" if name else f"{real.name}.lock")
