"""Scores of untrained networks: kept once, shared by studies, and finite."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from nas.errors import StoreError
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord
from nas.store.schema import APPLICATION_ID, SCHEMA_VERSION
from nas.store.versions import migrate

KEY = ("synflow", "nas 0.1.0", "digits/4")
HASHES = [f"{number:064x}" for number in range(1200)]


def test_scores_come_back_by_hash(empty_store: Store) -> None:
    values = {key: number / 7 - 50 for number, key in enumerate(HASHES)}
    empty_store.record_proxy(*KEY, values)
    assert empty_store.proxy_values(*KEY, HASHES) == values
    assert empty_store.proxy_values(*KEY, [HASHES[3], "f" * 64]) == {HASHES[3]: values[HASHES[3]]}
    assert empty_store.proxy_values(*KEY, []) == {}
    empty_store.record_proxy(*KEY, {})


@pytest.mark.parametrize("place", [0, 1, 2])
def test_another_proxy_provider_or_task_has_its_own(empty_store: Store, place: int) -> None:
    empty_store.record_proxy(*KEY, {HASHES[0]: 1.5})
    other = [*KEY]
    other[place] = "another"
    assert empty_store.proxy_values(*other, HASHES[:1]) == {}
    empty_store.record_proxy(*other, {HASHES[0]: 2.5})
    assert empty_store.proxy_values(*KEY, HASHES[:1]) == {HASHES[0]: 1.5}


def test_a_newer_score_replaces_the_older(empty_store: Store) -> None:
    for value in (1.0, 1e300):
        empty_store.record_proxy(*KEY, {HASHES[0]: value})
    assert empty_store.proxy_values(*KEY, HASHES) == {HASHES[0]: 1e300}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "1"])
def test_what_is_no_finite_number_is_refused(empty_store: Store, value: float) -> None:
    with pytest.raises(StoreError, match="proxy 'synflow' of architecture 0000"):
        empty_store.record_proxy(*KEY, {HASHES[0]: 1.0, HASHES[1]: value})
    assert empty_store.proxy_values(*KEY, HASHES) == {}


def first_store(path: Path) -> None:
    """A file as the first version of nas left it, with a study and a trial."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, "0001")
        for statement in (
            f"PRAGMA application_id = {APPLICATION_ID}",
            "INSERT INTO study VALUES (1, 'first', '{}', '2026-01-01', '0.1.0')",
            "INSERT INTO trial (id, study_id, number, state, architecture_hash, fidelity, seed, attempt,"
            " last_step, created) VALUES (1, 1, 0, 'finished', :hash, 1, 0, 1, 1, '2026-01-01')",
            "INSERT INTO metric VALUES (1, 1, 'accuracy', 0.5)",
        ):
            if "trial" in statement:
                content = Architecture(None, (("lr", 0.1),))
                row = {"hash": content.hash, "content": content.to_json()}
                connection.execute(text("INSERT INTO architecture VALUES (:hash, :content, '')"), row)
                connection.execute(text(statement), {"hash": content.hash})
            else:
                connection.execute(text(statement))
    engine.dispose()


def test_a_store_of_the_first_schema_is_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "nas.db"
    first_store(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version_num FROM nas_version").fetchall() == [("0001",)]
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert "proxy" not in tables
    with pytest.raises(StoreError, match=f"has schema 0001, older than {SCHEMA_VERSION}"):
        Store.open(path, read_only=True)
    with Store.open(path, create=False) as store:
        store.check()
        assert store.trial("first", 0).metrics == {"accuracy": 0.5}
        store.record_proxy(*KEY, {HASHES[0]: 1.0})
        store.create_study(StudyRecord("second", "{}"))
    with Store.open(path, read_only=True) as store:
        assert store.proxy_values(*KEY, HASHES) == {HASHES[0]: 1.0}
        assert [study.name for study in store.studies()] == ["first", "second"]
