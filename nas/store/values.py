"""Checks at the door: what may enter the store."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from numbers import Integral, Real
from pathlib import PurePosixPath, PureWindowsPath

from nas.costs.cost import Cost
from nas.errors import StoreError

ERROR_CHARACTERS = 2_000
TRACEBACK_CHARACTERS = 50_000
NAME_CHARACTERS = 200


def now() -> str:
    """The present time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def finite(value: object, what: str) -> float:
    """The value as a float; raises StoreError for NaN, infinities and what is no real number."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise StoreError(f"{what} must be a number, not {type(value).__name__}")
    number = float(value)
    if not math.isfinite(number):
        raise StoreError(f"{what} must be finite, not {number}")
    return number


def whole(value: object, what: str, minimum: int = 0) -> int:
    """The value as an int of at least `minimum`; raises StoreError otherwise."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise StoreError(f"{what} must be a whole number, not {type(value).__name__}")
    if int(value) < minimum:
        raise StoreError(f"{what} must be at least {minimum}, not {int(value)}")
    return int(value)


def clean_text(text: str, limit: int) -> str:
    """The text without what a database cannot hold (NUL, lone surrogates), cut to `limit` characters.

    The end of a long text is kept too, since the end of a traceback says most.
    """
    text = text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    half = limit // 2 - 10
    return f"{text[:half]}\n[...]\n{text[-half:]}"


def metric_values(metrics: Mapping[str, float], where: str) -> dict[str, float]:
    """The metrics as plain floats; raises StoreError naming the first bad one."""
    checked = {}
    for name, value in metrics.items():
        if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARACTERS or not name.isprintable():
            raise StoreError(f"{where}: {name!r:.100} is not a metric name")
        checked[name] = finite(value, f"{where}: metric {name!r}")
    return checked


def check_cost(cost: Cost, where: str) -> None:
    """Raises StoreError where a figure of the cost is not finite."""
    for item in fields(cost):
        value = getattr(cost, item.name)
        if isinstance(value, Real):
            finite(value, f"{where}: {item.name} on {cost.target}")


def relative_path(path: str) -> str:
    """The path itself where it is relative and stays in its folder; raises StoreError otherwise."""
    parts = PurePosixPath(path).parts
    windows = PureWindowsPath(path)
    if not parts or ".." in windows.parts or windows.anchor or path.startswith("/") or not path.isprintable():
        raise StoreError(f"artifact path {path!r:.200} must be relative and stay inside the artifact folder")
    return path
