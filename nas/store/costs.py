"""Statements about costs: rows of the `cost` table ↔ Cost, without operators."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Row, select

from nas.costs.cost import Cost
from nas.store.dialect import insert_or_replace
from nas.store.schema import cost
from nas.store.values import now

_SAME = (
    "target",
    "kind",
    "tier",
    "model",
    "latency_ms",
    "low_ms",
    "high_ms",
    "peak_memory_bytes",
    "energy_mj",
    "params",
    "macs",
    "bytes_moved",
    "activation_bytes",
)
_REALS = frozenset({"latency_ms", "low_ms", "high_ms", "energy_mj"})
_TEXTS = frozenset({"target", "kind", "tier", "model"})
_COLUMNS = [cost.c[name] for name in _SAME]


def write_costs(
    connection: Connection, study_key: int, architecture_hash: str, costs: Sequence[Cost]
) -> None:
    """Stores what an architecture takes; a newer figure for the same target and kind replaces the older."""
    rows = [_values(item) | {"study_id": study_key, "architecture_hash": architecture_hash} for item in costs]
    if rows:
        connection.execute(insert_or_replace(connection, cost), rows)


def _values(item: Cost) -> dict[str, object]:
    values: dict[str, object] = {name: _plain(name, getattr(item, name)) for name in _SAME}
    return values | {"unknown_operators": json.dumps(item.unknown_operators), "created": now()}


def _plain(name: str, value: float | str) -> float | int | str:
    """The value as the column's Python type: a driver refuses or rounds NumPy's."""
    if name in _TEXTS:
        return str(value)
    return float(value) if name in _REALS else int(value)


def read_costs(connection: Connection, study_key: int, hashes: Iterable[str]) -> dict[str, tuple[Cost, ...]]:
    """Architecture hash → its costs, by target and kind."""
    statement = (
        select(cost.c.architecture_hash, cost.c.unknown_operators, *_COLUMNS)
        .where(cost.c.study_id == study_key, cost.c.architecture_hash.in_(list(hashes)))
        .order_by(cost.c.architecture_hash, cost.c.target, cost.c.kind)
    )
    found: dict[str, tuple[Cost, ...]] = {}
    for row in connection.execute(statement):
        found[row.architecture_hash] = (*found.get(row.architecture_hash, ()), _cost(row))
    return found


def _cost(row: Row[tuple[object, ...]]) -> Cost:
    values = row._mapping
    return Cost(
        **{name: values[name] for name in _SAME}, unknown_operators=tuple(json.loads(row.unknown_operators))
    )
