"""Traces as compact bytes, for a cache and between processes: JSON, compressed. No pickles."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from nas.costs.liveness import Allocation
from nas.costs.operators import Operator, Trace

RECORDS: dict[str, type] = {"operators": Operator, "allocations": Allocation}
"""The fields of a trace that are tuples of records; a record is written as the list of its values."""
TYPES = {"str": (str,), "int": (int,), "bool": (bool,), "float": (int, float)}


def encode(trace: Trace) -> bytes:
    """A trace as bytes that `decode` reads."""
    content = [_values(trace, Trace)]
    content += [[_values(record, kind) for record in getattr(trace, name)] for name, kind in RECORDS.items()]
    return zlib.compress(json.dumps(content, separators=(",", ":")).encode())


def decode(content: bytes) -> Trace | None:
    """The trace that was encoded; None for bytes that are none, which is no error: it can be traced anew."""
    try:
        values, *records = json.loads(zlib.decompress(content))
        parts: dict[str, Any] = {}
        for (name, kind), rows in zip(RECORDS.items(), records, strict=True):
            parts[name] = tuple(kind(**_checked(kind, row)) for row in rows)
        return Trace(**_checked(Trace, values), **parts)
    except (TypeError, ValueError, zlib.error):
        return None


@cache
def _names(kind: type) -> tuple[str, ...]:
    """The fields of a record, in the order in which they are written."""
    return tuple(field.name for field in fields(kind) if kind is not Trace or field.name not in RECORDS)


@cache
def _types(kind: type) -> tuple[tuple[type, ...] | None, ...]:
    """What each of these fields may be; None for anything."""
    kinds = {field.name: str(field.type) for field in fields(kind)}
    return tuple(TYPES.get(kinds[name]) for name in _names(kind))


def _values(record: object, kind: type) -> list[Any]:
    return [getattr(record, name) for name in _names(kind)]


def _checked(kind: type, values: Sequence[Any]) -> dict[str, Any]:
    """Field → value, lists as tuples; ValueError where they are not as many or of other types."""
    for value, types in zip(values, _types(kind), strict=True):
        if types is not None and type(value) not in types:
            raise ValueError(f"a field of {kind.__name__} is {value!r:.40}")
    return dict(zip(_names(kind), map(_as_tuple, values), strict=True))


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
