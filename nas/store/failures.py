"""Database errors as one line each: what is wrong, where, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from nas.errors import StoreError
from nas.store.address import Address

# Prefixes of SQLite's error names; the first match counts.
_SQLITE = (
    (
        "SQLITE_NOTADB",
        "{where} is not a nas store: the file is not a database. Give another file with --store.",
    ),
    (
        "SQLITE_CORRUPT",
        "{where} is damaged (truncated or overwritten). Restore a copy, or try `.recover` of sqlite3.",
    ),
    ("SQLITE_BUSY", "{where} is locked by another program. Try again when that is done."),
    ("SQLITE_LOCKED", "{where} is locked by another program. Try again when that is done."),
    ("SQLITE_READONLY", "{where} cannot be written: the file or its folder is read-only."),
    ("SQLITE_PERM", "{where} cannot be opened: permission denied."),
    ("SQLITE_CANTOPEN", "{where} cannot be opened: is its folder readable and writable for you?"),
    ("SQLITE_FULL", "{where} cannot grow: the disk is full. Free some space and resume the study."),
    ("SQLITE_IOERR", "{where} cannot be read or written: {reason}. Is the disk full or failing?"),
)


@contextmanager
def store_errors(address: Address) -> Iterator[None]:
    """Turns whatever a driver raises inside into a StoreError of one line."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OverflowError, UnicodeEncodeError) as error:
        raise translate(error, address) from error


def translate(error: BaseException, address: Address) -> StoreError:
    """The StoreError for an exception of a driver or of SQLAlchemy."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    if isinstance(cause, sqlite3.Error):
        return StoreError(_sqlite_line(cause, address.display))
    if isinstance(cause, OverflowError | UnicodeEncodeError):
        return StoreError(f"{address.display}: a value cannot be stored: {_first_line(cause)}")
    if isinstance(error, PoolTimeout):
        return StoreError(f"{address.display}: too many threads use this store at once")
    where = address.display if address.path else f"the store {address.display}"
    return StoreError(f"{where}: {address.scrub(_first_line(cause))}")


def _sqlite_line(error: sqlite3.Error, where: str) -> str:
    name = getattr(error, "sqlite_errorname", None) or _guessed_name(str(error))
    for prefix, line in _SQLITE:
        if name.startswith(prefix):
            return line.format(where=where, reason=_first_line(error))
    return f"{where}: {_first_line(error)}"


def _guessed_name(message: str) -> str:
    """The error name of an exception that carries none, as Python raises a few itself."""
    known = {"database is locked": "SQLITE_BUSY", "disk I/O error": "SQLITE_IOERR", "is full": "SQLITE_FULL"}
    return next((name for text, name in known.items() if text in message), "")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
