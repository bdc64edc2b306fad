"""The tree of choices that a space is: what a space file says once its names are known.

::

    Chain ── Repeat ── OneOf | Fixed ── BlockNode ── knobs: OneOf | Fixed ── value or BlockNode
                  └─── GraphNode ────── operations: OneOf | Fixed ── BlockNode
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from nas.blocks.block import Block

Scalar: TypeAlias = str | bool | int | float


@dataclass(frozen=True)
class BlockNode:
    """A block with the values its knobs may take; `use` is the name the resolved network carries."""

    use: str
    block: Block
    knobs: tuple[tuple[str, Fixed | OneOf], ...] = ()


Value: TypeAlias = Scalar | BlockNode


@dataclass(frozen=True)
class Fixed:
    """A value that is not searched."""

    value: Value

    @property
    def options(self) -> tuple[Value, ...]:
        """The one value."""
        return (self.value,)


@dataclass(frozen=True)
class OneOf:
    """A decision: one of two or more values, or of two or more blocks."""

    options: tuple[Value, ...]


def choice(options: Sequence[Value]) -> Fixed | OneOf:
    """One option is fixed, several are a decision."""
    return Fixed(options[0]) if len(options) == 1 else OneOf(tuple(options))


@dataclass(frozen=True)
class GraphNode:
    """A cell of `nodes` nodes with an edge between every two; all cells of one `group` are the same cell."""

    nodes: int
    operations: Fixed | OneOf
    group: str

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(source, target) of every edge, by target."""
        return tuple((source, target) for target in range(1, self.nodes) for source in range(target))


@dataclass(frozen=True)
class Repeat:
    """A part of a network: its body stacked `depth` times.

    `depth` None is exactly one layer that carries the name of the part itself (a stem, a head). `width` is
    empty where the body keeps the channels it is given; it is decided under the name `stage` where the part
    is only the first layer of one. `stride` is that of the first layer. With `share` all layers take the same
    choices.
    """

    name: str
    body: Fixed | OneOf | GraphNode
    depth: tuple[int, ...] | None = None
    width: tuple[int, ...] = ()
    stride: int = 1
    share: bool = False
    stage: str = ""


@dataclass(frozen=True)
class Chain:
    """A whole space: the input, its parts one behind the other, and the outputs of the head."""

    input: Signature
    parts: tuple[Repeat, ...]
    classes: int = 1000
