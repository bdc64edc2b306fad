"""The schema: documented to the last column, and what the migrations build."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from nas.search.trial import TrialState
from nas.store import Store
from nas.store.document import renew, tables
from nas.store.schema import SCHEMA_VERSION, STATES, VERSION_TABLE, metadata
from nas.store.versions import MIGRATIONS

PAGE = Path(__file__).parents[2] / "docs" / "store.md"
COLUMNS = [column for table in metadata.tables.values() for column in table.columns]


def test_every_column_is_documented() -> None:
    bare = [
        str(column)
        for column in COLUMNS
        if not (column.doc or "").endswith(".") or len(column.doc or "") < 12
    ]
    assert bare == []


def test_every_table_says_what_a_row_is() -> None:
    assert all(table.info["doc"] for table in metadata.tables.values())


def test_the_page_in_the_docs_is_the_present_schema() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written.endswith(tables()), "run: python -m nas.store.document docs/store.md"


def test_renewing_the_page_keeps_its_prose(tmp_path: Path) -> None:
    page = tmp_path / "store.md"
    page.write_text("# The store\nprose\n\n## Tables\nold\n### older\n")
    for _ in range(2):
        renew(page)
        assert page.read_text() == "# The store\nprose\n\n" + tables()


def test_the_page_names_every_table_and_column() -> None:
    for table in metadata.tables.values():
        section = tables().partition(f"### {table.name}\n")[2].partition("\n### ")[0]
        assert all(f"| `{column.name}` |" in section for column in table.columns)


def test_the_states_are_those_of_the_code() -> None:
    assert set(STATES) == {state.value for state in TrialState}


def test_the_migrations_build_exactly_this_schema(store_url: str) -> None:
    with Store.open(store_url) as store, store._read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={"version_table": VERSION_TABLE, "compare_type": True, "target_metadata": metadata},
        )
        assert compare_metadata(context, metadata) == []
        inspector = inspect(connection)
        assert set(inspector.get_table_names()) == {*metadata.tables, VERSION_TABLE}
        for table in metadata.tables.values():
            built = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
            assert built == {column.name: column.nullable for column in table.columns}
            assert inspector.get_pk_constraint(table.name)["constrained_columns"] == [
                c.name for c in table.primary_key
            ]
            checks = {check["name"] for check in inspector.get_check_constraints(table.name)}
            assert checks == {c.name for c in table.constraints if type(c).__name__ == "CheckConstraint"}


def test_the_newest_migration_is_the_version_of_the_code() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA_VERSION]


def test_versions_are_ordered_as_text() -> None:
    files = sorted(path.name for path in (MIGRATIONS / "versions").glob("v*.py"))
    assert [name[1:5] for name in files] == [f"{index + 1:04}" for index in range(len(files))]


def test_a_state_that_is_none_is_refused_by_the_database(store: Store) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    with store._engine.connect() as connection, pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO architecture (hash, content, created) VALUES ('a', '', '')"))
        connection.execute(
            text(
                "INSERT INTO trial (study_id, number, state, architecture_hash, fidelity, seed, attempt,"
                " last_step, created) VALUES (1, 0, 'done', 'a', 1, 0, 1, 0, '')"
            )
        )
