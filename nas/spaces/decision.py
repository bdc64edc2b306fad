"""What a space exposes to searchers and to cost tables: decisions, slots and instances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeAlias

from nas.spaces.architecture import Graph, Layer
from nas.spaces.signature import Signature

Values: TypeAlias = tuple[int, ...]
"""A vector of a space as plain integers: for each decision the index of the option taken."""


@dataclass(frozen=True)
class Decision:
    """One column of a vector: a path like ``stages.2.layers.1.kernel`` and the options to choose from.

    Options are JSON scalars; a block shows as its name.
    """

    name: str
    options: tuple[Any, ...]


@dataclass(frozen=True)
class Slot:
    """A place where a layer or a cell may stand.

    `columns` are the decisions that determine which one stands there and what signature reaches it: vectors
    that agree in these columns have equal instances in this slot.
    """

    name: str
    columns: tuple[int, ...]


@dataclass(frozen=True)
class Instance:
    """What stands in a slot: a layer or a cell, and the signature of its input."""

    element: Layer | Graph
    signature: Signature


def column_reader(columns: tuple[int, ...]) -> Callable[[Values], Any]:
    """A fast function from a vector to a hashable key of these columns."""
    return itemgetter(*columns) if columns else lambda values: ()
