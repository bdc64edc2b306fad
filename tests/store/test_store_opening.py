"""Opening: whatever lies at the path, the answer is a store or one line that says what is wrong."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from nas.errors import StoreError
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord
from nas.store.engine import journal_mode
from nas.store.schema import APPLICATION_ID, SCHEMA_VERSION

Candidate = Callable[[int], Architecture]


def refusal(path: object, **options: bool) -> str:
    """The message with which a store is refused: one or two lines, and nothing of a driver's."""
    with pytest.raises(StoreError) as caught:
        Store.open(path, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert message.count("\n") <= 1
    assert "sqlalche" not in message
    assert "Error" not in message
    return message


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def execute(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_our_files_are_marked_and_in_wal_mode(made: Path) -> None:
    with closing(sqlite3.connect(made)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT version_num FROM nas_version").fetchall() == [(SCHEMA_VERSION,)]


def test_a_closed_store_is_one_file(made: Path) -> None:
    assert [path.name for path in made.parent.iterdir()] == ["nas.db"]


def test_each_connection_has_the_safe_settings(made: Path) -> None:
    wanted = {"foreign_keys": 1, "synchronous": 1, "trusted_schema": 0, "busy_timeout": 60_000}
    with Store.open(made) as store, store._read() as connection:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
    assert found == wanted


@pytest.mark.parametrize("form", ["{}", "sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_a_path_and_its_urls_open_the_same_store(made: Path, form: str) -> None:
    with Store.open(form.format(made)) as store:
        assert [study.name for study in store.studies()] == ["first"]
        assert store.display_url.endswith("nas.db")
        with Store.open(store.url) as again:
            assert len(again.trials("first")) == 60


def test_a_relative_path_is_one_of_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Store.open("a store #1?.db") as store:
        assert store.display_url == "a store #1?.db"
        monkeypatch.chdir("/")
        store.create_study(StudyRecord("first", "{}"))
        with Store.open(store.url) as again:
            assert again.studies() == store.studies()
    assert [path.name for path in tmp_path.iterdir()] == ["a store #1?.db"]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_missing_file_is_not_made_without_leave(tmp_path: Path, read_only: bool) -> None:
    assert "there is no store" in refusal(tmp_path / "nas.db", create=False, read_only=read_only)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "no" / "nas.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "  ", "nas\0.db", "a" * 300, "sqlite://", "sqlite:///:memory:"])
def test_names_that_no_file_can_have(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refusal(name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_a_store(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)


def test_a_pipe_is_not_a_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")


@pytest.mark.parametrize(
    "content", [b"x", b"a short note\n", b"hello, not a database\n" * 200, bytes(5000), b"\xff" * 4096]
)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes, read_only: bool) -> None:
    (tmp_path / "nas.db").write_bytes(content)
    assert "the file is not a database" in refusal(tmp_path / "nas.db", read_only=read_only)
    assert listing(tmp_path) == {"nas.db": content}


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE trials (id INTEGER)"],
        ["CREATE TABLE study (id INTEGER)", "CREATE TABLE trial (id INTEGER)"],
        [
            "CREATE TABLE alembic_version (version_num TEXT)",
            "INSERT INTO alembic_version VALUES ('v3.0.0.d')",
        ],
        ["CREATE TABLE nas_version (version_num TEXT)", "INSERT INTO nas_version VALUES ('0001')"],
        ["PRAGMA application_id = 252006674"],
    ],
)
def test_another_programs_database_is_left_alone(tmp_path: Path, statements: list[str]) -> None:
    execute(tmp_path / "nas.db", *statements, "PRAGMA user_version = 7")
    before = listing(tmp_path)
    assert "database of another program" in refusal(tmp_path / "nas.db")
    assert listing(tmp_path) == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "nas.db").touch()
    assert "holds no nas store yet" in refusal(tmp_path / "nas.db", create=False)
    with Store.open(tmp_path / "nas.db") as store:
        assert store.studies() == []


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_store_is_refused_in_one_sentence(made: Path, read_only: bool) -> None:
    execute(made, "UPDATE nas_version SET version_num = '0099'", "DROP TABLE plugin")
    message = refusal(made, read_only=read_only)
    assert "its schema is 0099" in message
    assert f"knows {SCHEMA_VERSION}" in message
    assert "newer" in message


def test_a_missing_table_is_damage(made: Path) -> None:
    execute(made, "DROP TABLE artifact")
    assert "the table 'artifact' is missing" in refusal(made)


def test_a_lost_schema_version_is_damage(made: Path) -> None:
    execute(made, "DELETE FROM nas_version")
    assert "is damaged: it has no schema version" in refusal(made)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_truncated_store_is_damaged(made: Path, part: float, read_only: bool) -> None:
    content = made.read_bytes()
    made.write_bytes(content[: int(len(content) * part)])
    assert "is damaged" in refusal(made, read_only=read_only)


def test_overwritten_pages_are_found_where_they_are_read(made: Path) -> None:
    content = bytearray(made.read_bytes())
    content[8192:] = os.urandom(len(content) - 8192)
    made.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="is damaged"):
        open_and_read(made)


def open_and_read(path: Path) -> None:
    with Store.open(path, read_only=True) as store:
        store.check()
        store.trials("first")


def test_check_finds_a_broken_reference(made: Path) -> None:
    with Store.open(made) as store:
        store.check()
    execute(made, "UPDATE metric SET trial_id = 999 WHERE trial_id = 1")
    with Store.open(made) as store, pytest.raises(StoreError, match="a row of 'metric' refers to nothing"):
        store.check()


def test_one_unreadable_architecture_is_named(made: Path) -> None:
    execute(made, "UPDATE architecture SET content = '{\"format\": 1}' WHERE rowid = 3")
    with Store.open(made) as store:
        with pytest.raises(StoreError, match=r"trial first#\d+ cannot be read: not an architecture"):
            store.trials("first")
        assert len(store.trials("first", numbers=[0])) == 1


def test_a_reader_sees_what_an_unclosed_writer_committed(made: Path) -> None:
    with Store.open(made) as writer:
        writer.create_study(StudyRecord("second", "{}"))
        with Store.open(made, read_only=True) as reader:
            assert [study.name for study in reader.studies()] == ["first", "second"]
            writer.create_study(StudyRecord("third", "{}"))
            assert len(reader.studies()) == 3


def test_a_closed_store_says_so(made: Path) -> None:
    store = Store.open(made)
    store.close()
    store.close()
    for call in (store.studies, lambda: store.create_study(StudyRecord("x", "{}"))):
        with pytest.raises(StoreError, match="is closed"):
            call()


@pytest.mark.parametrize("how", ["deleted", "replaced"])
def test_a_store_that_vanished_takes_no_more_writes(made: Path, candidate: Candidate, how: str) -> None:
    copy = shutil.copy(made, made.with_name("copy.db"))
    with Store.open(made) as store:
        store.add_trial("first", candidate(100), fidelity=1, seed=0)
        made.unlink()
        if how == "replaced":
            Path(copy).rename(made)
        with pytest.raises(StoreError, match="was deleted or replaced while it was open"):
            store.add_trial("first", candidate(101), fidelity=1, seed=0)


def test_a_writer_that_waits_in_vain_says_who_is_to_blame(made: Path, candidate: Candidate) -> None:
    with closing(sqlite3.connect(made, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Store.open(made, busy_seconds=0.05) as store:
            assert len(store.trials("first")) == 60
            with pytest.raises(StoreError, match="is locked by another program"):
                store.add_trial("first", candidate(100), fidelity=1, seed=0)
            other.execute("ROLLBACK")
            assert store.add_trial("first", candidate(100), fidelity=1, seed=0) == 60


def test_a_full_disk_loses_nothing_that_was_stored(made: Path, candidate: Candidate) -> None:
    with Store.open(made) as store:
        with store._read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        added = 60
        with pytest.raises(StoreError, match="the disk is full"):
            while True:
                store.add_trial("first", candidate(added), fidelity=1, seed=0, known={"latency": 1.0})
                added += 1
        store.check()
    with Store.open(made) as store:
        assert [trial.number for trial in store.trials("first")] == list(range(added))
        store.add_trial("first", candidate(added), fidelity=1, seed=0)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("nfs4", "DELETE"), ("cifs", "DELETE"), ("fuse.sshfs", "DELETE"), ("ext4", "WAL"), ("overlay", "WAL")],
)
def test_network_file_systems_get_no_shared_memory(tmp_path: Path, kind: str, mode: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"root / overlay rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\nproc /proc proc rw 0 0\n")
    assert journal_mode(tmp_path / "nas.db", mounts) == mode
    assert journal_mode(tmp_path / "nas.db", tmp_path / "none") == "WAL"
