"""Connections: SQLite with the pragmas that make it safe and fast, PostgreSQL through psycopg."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from nas.errors import StoreError
from nas.store.address import Address

BUSY_SECONDS = 60.0
CONNECT_SECONDS = 10
_NETWORK = ("nfs", "cifs", "smb", "fuse.sshfs", "afs", "lustre", "beegfs", "ceph", "gpfs")


def open_engine(
    address: Address, *, create: bool, read_only: bool, busy_seconds: float = BUSY_SECONDS
) -> Engine:
    """An engine for this address; a SQLite file is made only with `create`."""
    if address.path is None:
        return _postgres_engine(address, read_only)
    check_file(address, create=create, read_only=read_only)
    if not read_only:
        return _sqlite_engine(address.path, f"mode={'rwc' if create else 'rw'}", busy_seconds)
    engine = _sqlite_engine(address.path, "mode=ro", busy_seconds)
    if _readable(engine):
        return engine
    engine.dispose()
    return _immutable_engine(address, busy_seconds)


def check_file(address: Address, *, create: bool, read_only: bool) -> None:
    """Raises StoreError where the file cannot be a store that can be opened so; touches nothing."""
    path, shown = address.path, address.display
    assert path is not None
    try:
        if path.is_dir():
            raise StoreError(
                f"{shown} is a folder; a store is a file: give one inside it, e.g. {shown.rstrip('/')}/nas.db"
            )
        if not path.parent.is_dir():
            raise StoreError(f"the folder of the store {shown} does not exist; make it first")
        exists = path.exists()
    except OSError as error:
        raise StoreError(f"cannot open the store {shown}: {error.strerror}") from None
    if not exists and not create:
        raise StoreError(f"there is no store {shown}; `nas search` makes one, --store names another")
    if exists and not path.is_file():
        raise StoreError(f"{shown} is not a regular file and cannot be a store")
    if exists and path.stat().st_size == 1:  # SQLite takes such a file for an empty one and overwrites it
        raise StoreError(
            f"{shown} is not a nas store: the file is not a database. Give another with --store."
        )
    if exists and not os.access(path, os.R_OK, effective_ids=_effective()):
        raise StoreError(f"the store {shown} cannot be read: permission denied")
    if read_only:
        return
    if exists and not os.access(path, os.W_OK, effective_ids=_effective()):
        raise StoreError(f"the store {shown} cannot be written: the file is read-only")
    if not os.access(path.parent, os.W_OK, effective_ids=_effective()):
        raise StoreError(f"the store {shown} cannot be written: its folder is read-only")


def _effective() -> bool:
    return os.access in os.supports_effective_ids


def _sqlite_engine(path: Path, query: str, busy_seconds: float) -> Engine:
    uri = f"{path.absolute().as_uri()}?{query}"
    synchronous = "NORMAL" if journal_mode(path) == "WAL" else "FULL"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False
        )
        # trusted_schema=OFF: a stranger's file must not call functions from its triggers and views.
        for pragma in ("foreign_keys=ON", f"synchronous={synchronous}", "trusted_schema=OFF"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=QueuePool, hide_parameters=True)
    event.listen(engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    # pysqlite begins lazily and deferred; a writer that waits for its lock at the start cannot deadlock.
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def writing(engine: Engine) -> Engine:
    """The same engine, whose transactions take SQLite's write lock as they begin."""
    return engine.execution_options(begin="BEGIN IMMEDIATE") if engine.dialect.name == "sqlite" else engine


def _readable(engine: Engine) -> bool:
    """Whether a read-only connection works; it does not for a WAL file in a folder it cannot write."""
    try:
        with raw_connection(engine) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")):
            return False
        raise
    return True


def _immutable_engine(address: Address, busy_seconds: float) -> Engine:
    """Reads the file as one that nobody changes: right in a read-only folder without a journal."""
    assert address.path is not None
    journal = Path(f"{address.path}-wal")
    if journal.exists() and journal.stat().st_size:
        raise StoreError(
            f"{address.display} was not closed and its folder is read-only: copy it together with"
            f" {journal.name} to a folder you can write"
        )
    return _sqlite_engine(address.path, "mode=ro&immutable=1", busy_seconds)


@contextmanager
def raw_connection(engine: Engine) -> Iterator[Any]:
    """The driver's own connection, for what must be fast or outside of any transaction."""
    proxy = engine.raw_connection()
    try:
        yield proxy.driver_connection
    finally:
        proxy.close()


def _postgres_engine(address: Address, read_only: bool) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise StoreError("a PostgreSQL store needs a driver: pip install 'nas[postgres]'") from None
    given = {} if "connect_timeout" in address.url.query else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(address.url, pool_pre_ping=True, hide_parameters=True, connect_args=given)
    if read_only:
        return engine.execution_options(postgresql_readonly=True)
    return engine


def journal_mode(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """WAL, or the slower DELETE on a network file system, where WAL's shared memory does not work."""
    try:
        lines = [line.split() for line in mounts.read_text().splitlines()]
    except OSError:
        return "WAL"
    place = path.absolute()
    over = [(len(line[1]), line[2]) for line in lines if len(line) > 2 and place.is_relative_to(line[1])]
    kind = max(over)[1] if over else ""
    return "DELETE" if kind.startswith(_NETWORK) else "WAL"
