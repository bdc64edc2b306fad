"""What layers execute, kept in the store: a search traces nothing that an earlier command has traced."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import StoreError

if TYPE_CHECKING:
    from nas.store import Store

BUSY_SECONDS = 2.0
"""How long another writer is waited for: to trace again is no loss."""


class StoredTraces:
    """The traces of a store, for a cost table to read and to add to.

    Before `attach` the store is opened for each call where it exists and is of the present schema; it is
    never made nor upgraded, and what it cannot take waits, and goes to the store of this user
    (`user_store`), which is read too. Whatever fails, the layers are traced again.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._store: Store | None = None
        self._waiting: dict[str, bytes] = {}

    @classmethod
    def of(cls, store: Store) -> StoredTraces:
        """The traces of an open store."""
        traces = cls(store.url)
        traces.attach(store)
        return traces

    def attach(self, store: Store) -> None:
        """From now on uses this open store, which gets what waits."""
        self._store = store
        waiting, self._waiting = self._waiting, {}
        if waiting:
            self.write(waiting)

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """What the store holds of these keys."""
        found: dict[str, bytes] = {}
        for opened in (self._opened(read_only=True), _user_store(create=False)):
            missing = [key for key in keys if key not in found]
            try:
                if missing:
                    with opened as store:
                        found |= store.traces(missing)
            except (StoreError, OSError):
                continue
        return found

    def write(self, traces: Mapping[str, bytes]) -> None:
        """Adds traces to the store, or lets them wait for one."""
        try:
            with self._opened(read_only=False) as store:
                store.record_traces(traces)
        except StoreError:
            if self._store is None:
                self._waiting.update(traces)
                with suppress(StoreError, OSError), _user_store(create=True) as store:
                    store.record_traces(traces)

    @contextmanager
    def _opened(self, *, read_only: bool) -> Iterator[Store]:
        from nas.store import Store

        if self._store is not None:
            yield self._store
            return
        if self._url is None:
            raise StoreError("there is no store")
        with Store.open(self._url, read_only=True, busy_seconds=BUSY_SECONDS) as store:
            if read_only:
                yield store
                return
        with Store.open(self._url, create=False, busy_seconds=BUSY_SECONDS) as store:
            yield store


def user_store() -> Path | None:
    """The file of this user that keeps traces where there is no store; None where NAS_CACHE is empty.

    It lies in the folder NAS_CACHE, by default ``nas`` in the cache folder of the user.
    """
    given = os.environ.get("NAS_CACHE")
    if given is not None:
        return Path(given) / "traces.db" if given else None
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "nas" / "traces.db"


@contextmanager
def _user_store(*, create: bool) -> Iterator[Store]:
    """The store of this user; StoreError where there is none."""
    from nas.store import Store

    path = user_store()
    if path is None:
        raise StoreError("no store of this user is wanted")
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    with Store.open(path, create=create, read_only=not create, busy_seconds=BUSY_SECONDS) as store:
        yield store
