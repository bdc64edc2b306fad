"""Statements about traces: what layers execute, each found once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from nas.store.dialect import insert_or_replace
from nas.store.schema import trace
from nas.store.values import now

BATCH = 500  # keys in one statement


def write_traces(connection: Connection, traces: Mapping[str, bytes]) -> None:
    """Stores traces by key; a newer one replaces the older."""
    created = now()
    rows = [{"key": key, "content": content, "created": created} for key, content in sorted(traces.items())]
    if rows:
        connection.execute(insert_or_replace(connection, trace), rows)


def read_traces(connection: Connection, keys: Collection[str]) -> dict[str, bytes]:
    """Key → trace, of those that are stored."""
    wanted = list(keys)
    found: dict[str, bytes] = {}
    for first in range(0, len(wanted), BATCH):
        chosen = select(trace.c.key, trace.c.content).where(trace.c.key.in_(wanted[first : first + BATCH]))
        found.update((row.key, row.content) for row in connection.execute(chosen))
    return found
