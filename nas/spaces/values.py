"""The values that a decision may have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

MAX_OPTIONS = 10_000
"""The most options of one decision."""


def option_problem(options: Sequence[Any]) -> str | None:
    """What is wrong with the values of a decision: none at all, one twice, one that JSON cannot hold."""
    if isinstance(options, str) or not isinstance(options, Sequence):
        return f"expected a list of values, not {shown(options)}"
    if not options:
        return "an empty list leaves nothing to choose; give at least one value"
    if len(options) > MAX_OPTIONS:
        return f"{len(options):,} values; at most {MAX_OPTIONS:,} can be listed"
    seen = set()
    for option in options:
        if not isinstance(option, str | bool | int | float):
            return f"{shown(option)} is not text, a truth value or a number"
        if isinstance(option, float) and not math.isfinite(option):
            return f"{option} is not a finite number"
        key = (isinstance(option, bool), option)
        if key in seen:
            return f"{shown(option)} stands in the list twice"
        seen.add(key)
    return None


def shown(value: Any) -> str:
    """A value as an error message shows it: never long, never more than one line."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
