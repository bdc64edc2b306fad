"""The tables as Markdown: ``python -m nas.store.document docs/store.md`` renews that page after a change."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlalchemy import Column, Table

from nas.store.schema import SCHEMA_VERSION, VERSION_TABLE, metadata

_TYPES = {"Text": "text", "Double": "real", "LargeBinary": "blob"}


def tables() -> str:
    """The section "Tables": every table and column with what it means."""
    sections = "\n".join(_section(table) for table in metadata.tables.values())
    version = f"### {VERSION_TABLE}\nThe version of the schema, one row: `version_num`.\n"
    return f"## Tables\nThis is schema {SCHEMA_VERSION}.\n\n{sections}\n{version}"


def _section(table: Table) -> str:
    rows = "".join(_row(column) for column in table.columns)
    return f"### {table.name}\n{table.info['doc']}\n\n| column | type | what it is |\n|---|---|---|\n{rows}"


def _row(column: Column[object]) -> str:
    kind = _TYPES.get(type(column.type).__name__, "integer")
    if column.foreign_keys:
        kind = "text" if column.name.endswith("hash") else "integer"
    return f"| `{column.name}` | {kind}{'' if column.nullable else ', never NULL'} | {column.doc} |\n"


def renew(page: Path) -> None:
    """Replaces the section of the page, which is its last."""
    prose = page.read_text(encoding="utf-8").partition("## Tables\n")[0]
    page.write_text(prose + tables(), encoding="utf-8")


if __name__ == "__main__":
    renew(Path(sys.argv[1]))
