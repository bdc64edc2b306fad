"""The two statements whose spelling differs between SQLite and PostgreSQL."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

Insert: TypeAlias = sqlite.Insert | postgresql.Insert


def insert_missing(connection: Connection, table: Table) -> Insert:
    """An INSERT that leaves a row alone whose key is there already."""
    return _insert_missing(connection.dialect.name, table)


def insert_or_replace(connection: Connection, table: Table) -> Insert:
    """An INSERT that overwrites all but the key of a row whose key is there already."""
    return _insert_or_replace(connection.dialect.name, table)


def _insert(dialect: str, table: Table) -> Insert:
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


@cache
def _insert_missing(dialect: str, table: Table) -> Insert:
    return _insert(dialect, table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)


@cache
def _insert_or_replace(dialect: str, table: Table) -> Insert:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    values = {c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)
