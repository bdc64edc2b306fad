"""Upgrades: an older store becomes the present one in one transaction, or stays what it was."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from nas.errors import StoreError
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord, versions
from nas.store.schema import SCHEMA_VERSION

GOOD = """
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "PRESENT"


def upgrade():
    with op.batch_alter_table("study") as batch:
        batch.add_column(sa.Column("note", sa.Text(), nullable=False, server_default="none"))
    op.create_table("extra", sa.Column("id", sa.Integer(), primary_key=True))
""".replace("PRESENT", SCHEMA_VERSION)
BROKEN = GOOD + '    op.execute("SELECT 1 FROM nowhere")\n'


@pytest.fixture
def older(store_url: str, candidate: Callable[[int], Architecture]) -> str:
    """A store of today, which a later version will find."""
    with Store.open(store_url) as store:
        store.create_study(StudyRecord("first", '{"a": 1}'))
        store.add_trial("first", candidate(0), fidelity=1, seed=0, known={"latency": 2.0})
    return store_url


def later_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, migration: str) -> None:
    """Makes this process the next version of nas, whose schema is 9999."""
    folder = tmp_path / "100% new" / "migrations"
    shutil.copytree(versions.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "v9999_next.py").write_text(migration)
    monkeypatch.setattr(versions, "MIGRATIONS", folder)
    monkeypatch.setattr(versions, "SCHEMA_VERSION", "9999")


def schema(store: Store) -> tuple[str, set[str]]:
    with store._read() as connection:
        tables = connection.execute(text(versions._TABLES[connection.dialect.name])).scalars()
        return str(connection.execute(text("SELECT version_num FROM nas_version")).scalar()), set(tables)


def test_an_older_store_is_upgraded_when_it_is_opened(
    older: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    later_version(monkeypatch, tmp_path, GOOD)
    with pytest.raises(
        StoreError, match=f"has schema {SCHEMA_VERSION}, older than 9999: open it once for writing"
    ):
        Store.open(older, read_only=True)
    with Store.open(older) as store:
        version, tables = schema(store)
        assert version == "9999"
        assert "extra" in tables
        assert store.study("first").spec == '{"a": 1}'
        assert store.trial("first", 0).metrics == {"latency": 2.0}
        with store._read() as connection:
            assert connection.execute(text("SELECT note FROM study")).scalar() == "none"
        store.check()


def test_a_failed_upgrade_leaves_the_store_as_it_was(
    older: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        later_version(patched, tmp_path, BROKEN)
        with pytest.raises(StoreError, match="nowhere"):
            Store.open(older)
    with Store.open(older) as store:
        version, tables = schema(store)
        assert version == SCHEMA_VERSION
        assert "extra" not in tables
        assert store.trial("first", 0).metrics == {"latency": 2.0}


def test_the_upgraded_store_is_newer_to_the_old_code(
    older: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        later_version(patched, tmp_path, GOOD)
        Store.open(older).close()
    with pytest.raises(
        StoreError, match=rf"written by a newer nas: its schema is 9999, nas \S+ knows {SCHEMA_VERSION}"
    ):
        Store.open(older)
