"""Schema versions: what a database holds, and bringing it to the version this code knows."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

from sqlalchemy import Connection, Engine, text

from nas.errors import StoreError
from nas.files import FileLock
from nas.store.address import Address
from nas.store.engine import BUSY_SECONDS, journal_mode, raw_connection, writing
from nas.store.locks import advisory_key, lock_path
from nas.store.schema import APPLICATION_ID, SCHEMA_VERSION, VERSION_TABLE, metadata

MIGRATIONS = Path(__file__).parent / "migrations"
_alembic = threading.Lock()  # its context is one per process

_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}


def prepare(engine: Engine, address: Address, *, create: bool, read_only: bool) -> None:
    """Checks that the database is ours and of this version; with write access makes or upgrades the tables.

    Any number of processes may do so at once. Raises StoreError where it is another program's or newer.
    """
    with engine.connect() as connection:
        version = read_version(connection, address)
    if version == SCHEMA_VERSION:
        return
    if version is None and not create:
        raise StoreError(f"{address.display} holds no nas store yet; `nas search` makes one")
    if read_only:
        raise StoreError(
            f"{address.display} has schema {version}, older than {SCHEMA_VERSION}: open it once for writing"
            " (`nas resume` a study of it) to upgrade it"
        )
    if address.path is None:
        _upgrade_postgres(engine, address)
    else:
        _upgrade_sqlite(engine, address, address.path)


def read_version(connection: Connection, address: Address) -> str | None:
    """The schema version, None for an empty database; StoreError for one that this code must not touch."""
    sqlite = connection.dialect.name == "sqlite"
    tables = set(connection.execute(text(_TABLES[connection.dialect.name])).scalars())
    mark = connection.execute(text("PRAGMA application_id")).scalar() if sqlite else APPLICATION_ID
    if not tables and mark in (0, APPLICATION_ID):
        return None
    if VERSION_TABLE not in tables or mark != APPLICATION_ID:
        shown = f" (it has a table {min(tables)!r:.80})" if tables else ""
        raise StoreError(
            f"{address.display} is a database of another program{shown}, not a nas store."
            " Give another with --store."
        )
    version = connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608
    if version is None:
        raise StoreError(f"{address.display} is damaged: it has no schema version. Restore a copy.")
    return _checked(str(version), tables, address)


def _checked(version: str, tables: set[str], address: Address) -> str:
    if version > SCHEMA_VERSION:
        from nas import __version__

        raise StoreError(
            f"{address.display} was written by a newer nas: its schema is {version:.40}, nas {__version__}"
            f" knows {SCHEMA_VERSION}. Install the newer nas to read it."
        )
    missing = sorted(set(metadata.tables) - tables)
    if version == SCHEMA_VERSION and missing:
        raise StoreError(
            f"{address.display} is damaged: the table {missing[0]!r} is missing. Restore a copy."
        )
    return version


def _upgrade_postgres(engine: Engine, address: Address) -> None:
    with engine.begin() as connection:
        key = advisory_key(connection, "schema")
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": key})
        if read_version(connection, address) != SCHEMA_VERSION:
            migrate(connection)


def _upgrade_sqlite(engine: Engine, address: Address, path: Path) -> None:
    lock = FileLock(lock_path(path))
    try:
        lock.acquire(BUSY_SECONDS)
    except BlockingIOError as error:
        raise StoreError(f"{address.display} is being prepared by {error}. Try again.") from None
    try:
        _set_journal(engine, journal_mode(path))
        with writing(engine).begin() as connection:
            if read_version(connection, address) != SCHEMA_VERSION:
                connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
                migrate(connection)
    finally:
        lock.release()


def _set_journal(engine: Engine, mode: str) -> None:
    """Sets the journal mode; SQLite does not wait for readers here, so we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with raw_connection(engine) as connection:
                connection.execute(f"PRAGMA journal_mode={mode}").fetchone()
                return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def migrate(connection: Connection, revision: str = "head") -> None:
    """Runs the migrations up to `revision` in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, revision)
