"""An open database: its transactions, its claims, and the checks around them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine, text

from nas.errors import StoreError
from nas.search.study import check_name
from nas.store import locks, studies, versions
from nas.store.address import Address, parse_address
from nas.store.engine import BUSY_SECONDS, open_engine, writing
from nas.store.failures import store_errors


class StudyClaim:
    """The right of this process to run one study, until it is released; a context manager."""

    def __init__(self, study: str, lock: locks.Lock) -> None:
        self.study = study
        self._lock = lock

    def release(self) -> None:
        """Gives the study free for another driver; further calls do nothing."""
        self._lock.release()

    def __enter__(self) -> StudyClaim:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Session:
    """An open database and its transactions; what Store builds on."""

    def __init__(self, address: Address, engine: Engine, *, read_only: bool) -> None:
        self._address = address
        self._engine = engine
        self._writer = writing(engine)
        self._read_only = read_only
        self._closed = False
        self._claims: list[StudyClaim] = []
        self._keys: dict[str, int] = {}
        self._file = _identity(address.path)

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        create: bool = True,
        read_only: bool = False,
        busy_seconds: float = BUSY_SECONDS,
    ) -> Self:
        """Opens a file path, ``sqlite:///FILE`` or ``postgresql://...``.

        With `create`, missing tables (and a missing file) are made; an older schema is upgraded in one
        transaction. `read_only` changes nothing at all. `busy_seconds` is how long SQLite waits for another
        writer. Raises StoreError where this is not a store, is newer, damaged or cannot be reached.
        """
        address = parse_address(url)
        create = create and not read_only
        with store_errors(address):
            engine = open_engine(address, create=create, read_only=read_only, busy_seconds=busy_seconds)
            try:
                versions.prepare(engine, address, create=create, read_only=read_only)
            except BaseException:
                engine.dispose()
                raise
        return cls(address, engine, read_only=read_only)

    @property
    def url(self) -> str:
        """What opens this store again; it may hold a password, so show `display_url` instead."""
        return self._address.text

    @property
    def display_url(self) -> str:
        """The path or URL without its password."""
        return self._address.display

    @property
    def path(self) -> Path | None:
        """The SQLite file, None for a server."""
        return self._address.path

    def close(self) -> None:
        """Gives back every claim and connection; later calls raise StoreError."""
        for claim in list(self._claims):
            claim.release()
        self._engine.dispose()
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.display_url!r})"

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        self._check_open()
        with store_errors(self._address), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._check_open()
        if self._read_only:
            raise StoreError(f"{self.display_url} was opened for reading only")
        if self._file is not None and _identity(self._address.path) != self._file:
            raise StoreError(
                f"{self.display_url} was deleted or replaced while it was open: nothing more is written"
            )
        with store_errors(self._address), self._writer.begin() as connection:
            yield connection

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError(f"the store {self.display_url} is closed")

    def _key(self, connection: Connection, study: str) -> int:
        if study not in self._keys:
            self._keys[study] = studies.study_id(connection, study)
        return self._keys[study]

    def check(self) -> None:
        """Reads the whole database and raises StoreError where it is damaged; may take seconds."""
        with self._read() as connection:
            if connection.dialect.name == "sqlite":
                found = connection.execute(text("PRAGMA integrity_check")).scalars().all()
                orphans = connection.execute(text("PRAGMA foreign_key_check")).all()
                if found != ["ok"] or orphans:
                    detail = found[0] if found != ["ok"] else f"a row of {orphans[0][0]!r} refers to nothing"
                    raise StoreError(f"{self.display_url} is damaged: {detail}. Restore a copy.")

    def claim_study(self, name: str) -> StudyClaim:
        """Takes the right to run a study, for one driver at a time; a context manager.

        It is given back by `release`, by `close`, and when this process ends in whatever way. Raises
        StoreError naming the process and host that run the study now.
        """
        self._check_open()
        if self._read_only:
            raise StoreError(f"{self.display_url} was opened for reading only")
        check_name(name)
        with store_errors(self._address):
            claim = StudyClaim(name, locks.claim(self._engine, self._address.path, name))
        self._claims.append(claim)
        return claim


def _identity(path: Path | None) -> tuple[int, int] | None:
    """What tells this file from another one of the same name."""
    try:
        return None if path is None else (os.stat(path).st_dev, os.stat(path).st_ino)  # noqa: PTH116
    except FileNotFoundError:
        return (0, 0)
