"""What only a server can do wrong: it is away, says no, or holds something else."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from sqlalchemy import create_engine, text

from nas.errors import StoreError
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

pytestmark = pytest.mark.postgres


def refusal(url: str, **options: bool) -> str:
    with pytest.raises(StoreError) as caught:
        Store.open(url, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "s3cret" not in message
    assert "secret" not in message
    assert "\n" not in message
    return message


def execute(url: str, *statements: str) -> None:
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_server_that_is_away(closed_port: int) -> None:
    message = refusal(f"postgresql://me:secret@127.0.0.1:{closed_port}/nas")
    assert f"postgresql://me:***@127.0.0.1:{closed_port}/nas" in message
    assert "refused" in message


def test_a_host_that_does_not_exist() -> None:
    assert "no-such-host.invalid" in refusal("postgresql://me:secret@no-such-host.invalid/nas")


def test_a_wrong_password(postgres_url: str) -> None:
    assert "password authentication failed" in refusal(postgres_url.replace("s3cret", "wrong"))


def test_a_database_that_does_not_exist(postgres_url: str) -> None:
    assert 'database "nothing" does not exist' in refusal(postgres_url.rpartition("/")[0] + "/nothing")


def test_a_database_of_another_program(postgres_url: str) -> None:
    execute(
        postgres_url, "CREATE TABLE trials (id INTEGER)", "CREATE TABLE alembic_version (version_num TEXT)"
    )
    assert "database of another program (it has a table 'alembic_version')" in refusal(postgres_url)


def test_a_newer_schema(postgres_url: str) -> None:
    Store.open(postgres_url).close()
    execute(postgres_url, "UPDATE nas_version SET version_num = '0099'")
    assert "its schema is 0099" in refusal(postgres_url)


@pytest.mark.parametrize("read_only", [False, True])
def test_an_empty_database_is_not_filled_without_leave(postgres_url: str, read_only: bool) -> None:
    assert "holds no nas store yet" in refusal(postgres_url, create=False, read_only=read_only)
    assert "holds no nas store yet" in refusal(postgres_url, create=False)


def test_a_schema_of_its_own_beside_another_program(postgres_url: str) -> None:
    execute(postgres_url, "CREATE TABLE trials (id INTEGER)", "CREATE SCHEMA mine")
    with Store.open(f"{postgres_url}?options=-csearch_path%3Dmine") as store:
        store.create_study(StudyRecord("first", "{}"))
        with store.claim_study("first"):
            assert [study.name for study in store.studies()] == ["first"]


def test_a_read_only_store_cannot_write_even_by_mistake(postgres_url: str) -> None:
    with Store.open(postgres_url) as store:
        store.create_study(StudyRecord("first", "{}"))
    with Store.open(postgres_url, read_only=True) as store:
        assert [study.name for study in store.studies()] == ["first"]
        with pytest.raises(StoreError, match="opened for reading only"):
            store.create_study(StudyRecord("second", "{}"))
        with pytest.raises(StoreError, match="read-only transaction"), store._read() as connection:
            connection.execute(text("DELETE FROM study"))


def test_a_connection_that_broke_is_made_again(
    postgres_url: str, postgres_admin: Callable[[str], None], candidate: Callable[[int], Architecture]
) -> None:
    name = postgres_url.rpartition("/")[2]
    with Store.open(postgres_url) as store:
        store.create_study(StudyRecord("first", "{}"))
        postgres_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        assert store.add_trial("first", candidate(0), fidelity=1, seed=0) == 0


def test_a_connection_that_breaks_in_a_transaction_is_one_line(
    postgres_url: str, postgres_admin: Callable[[str], None], candidate: Callable[[int], Architecture]
) -> None:
    name = postgres_url.rpartition("/")[2]
    with Store.open(postgres_url) as store:
        store.create_study(StudyRecord("first", "{}"))
        with pytest.raises(StoreError, match="terminating connection"), store._write() as connection:
            connection.execute(text("INSERT INTO architecture (hash, content, created) VALUES ('a', '', '')"))
            postgres_admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            connection.execute(text("SELECT 1"))
        assert store.add_trial("first", candidate(0), fidelity=1, seed=0) == 0
