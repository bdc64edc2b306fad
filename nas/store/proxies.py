"""Statements about proxies: scores of untrained networks, each computed once."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, select

from nas.store.dialect import insert_or_replace
from nas.store.schema import proxy
from nas.store.values import finite, now

BATCH = 500  # hashes in one statement


def write_values(
    connection: Connection, name: str, provider: str, task: str, values: Mapping[str, float]
) -> None:
    """Stores the values of one proxy by architecture hash; raises StoreError where one is not finite."""
    created = now()
    rows = [
        {
            "architecture_hash": architecture_hash,
            "name": name,
            "provider": provider,
            "task": task,
            "value": finite(value, f"proxy {name!r} of architecture {architecture_hash:.12}"),
            "created": created,
        }
        for architecture_hash, value in values.items()
    ]
    if rows:
        connection.execute(insert_or_replace(connection, proxy), rows)


def read_values(
    connection: Connection, name: str, provider: str, task: str, hashes: Collection[str]
) -> dict[str, float]:
    """Architecture hash → value, of those that are stored."""
    wanted = list(hashes)
    statement = select(proxy.c.architecture_hash, proxy.c.value).where(
        proxy.c.name == name, proxy.c.provider == provider, proxy.c.task == task
    )
    found: dict[str, float] = {}
    for first in range(0, len(wanted), BATCH):
        chosen = statement.where(proxy.c.architecture_hash.in_(wanted[first : first + BATCH]))
        found.update((row.architecture_hash, row.value) for row in connection.execute(chosen))
    return found
