"""Traces of layers: kept once by content, and no more than a help."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from nas.errors import StoreError
from nas.store import Store
from nas.store.schema import APPLICATION_ID, SCHEMA_VERSION
from nas.store.versions import migrate

KEYS = [f"{number:064x}" for number in range(1200)]


def test_traces_come_back_by_key(empty_store: Store) -> None:
    contents = {key: bytes([number % 256, 0, 255]) * number for number, key in enumerate(KEYS)}
    empty_store.record_traces(contents)
    assert empty_store.traces(KEYS) == contents
    assert empty_store.traces([KEYS[3], "f" * 64]) == {KEYS[3]: contents[KEYS[3]]}
    assert empty_store.traces([]) == {}
    empty_store.record_traces({})


def test_a_newer_trace_replaces_the_older(empty_store: Store) -> None:
    for content in (b"old", b"new"):
        empty_store.record_traces({KEYS[0]: content})
    assert empty_store.traces(KEYS[:1]) == {KEYS[0]: b"new"}


def test_many_may_write_the_same_traces_at_once(store_url: str) -> None:
    Store.open(store_url).close()
    start = threading.Barrier(4)

    def write() -> None:
        with Store.open(store_url) as store:
            start.wait()
            for first in range(0, 100, 10):
                store.record_traces({key: key.encode() for key in KEYS[first : first + 20]})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with Store.open(store_url, read_only=True) as store:
        assert store.traces(KEYS) == {key: key.encode() for key in KEYS[:110]}


def test_a_store_that_is_only_read_takes_none(store_url: str) -> None:
    Store.open(store_url).close()
    with (
        Store.open(store_url, read_only=True) as store,
        pytest.raises(StoreError, match="for reading only"),
    ):
        store.record_traces({KEYS[0]: b"new"})


def test_a_store_of_the_second_version_gets_the_table(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, "0002")
        connection.execute(
            text("INSERT INTO proxy VALUES (:hash, 'synflow', 'nas 0.1.0', 'digits/4', 2.5, 'then')"),
            {"hash": KEYS[0]},
        )
        connection.execute(text(f"PRAGMA application_id = {APPLICATION_ID}"))
    engine.dispose()
    with Store.open(path) as store:
        store.record_traces({KEYS[0]: b"content"})
        assert store.traces(KEYS) == {KEYS[0]: b"content"}
        assert store.proxy_values("synflow", "nas 0.1.0", "digits/4", KEYS) == {KEYS[0]: 2.5}
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM nas_version").fetchone() == (SCHEMA_VERSION,)
