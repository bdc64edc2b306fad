"""Lays out the decisions of a tree in columns, and its layers in slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from nas.errors import SpaceError
from nas.spaces.cell import CellOptions
from nas.spaces.decision import Decision, Slot, Values
from nas.spaces.options import LayerOptions
from nas.spaces.signature import Signature
from nas.spaces.tree import Chain, GraphNode, Repeat

if TYPE_CHECKING:
    from nas.blocks.block import Block

MAX_SLOTS = 400
MAX_DECISIONS = 20_000


@dataclass(frozen=True, eq=False)
class Group:
    """All the cells that are one and the same: their options and the first of their columns."""

    name: str
    options: CellOptions
    base: int

    def values(self, vector: Values) -> Values:
        """The columns of this group."""
        return vector[self.base : self.base + self.options.width]


@dataclass(frozen=True, eq=False)
class Part:
    """A repeat with its columns. Exactly one of `layer` and `group` is there.

    `bases` holds the first column of each layer, up to the greatest depth; with `share` they are all the
    same. A column is None where there is nothing to decide.
    """

    name: str
    layer: LayerOptions | None
    group: int | None
    depths: tuple[int, ...]
    depth_column: int | None
    widths: tuple[int | None, ...]
    width_column: int | None
    stride: int
    share: bool
    bases: tuple[int, ...]
    slots: tuple[str, ...]

    @cached_property
    def max_depth(self) -> int:
        """The greatest number of layers."""
        return max(self.depths)

    def depth(self, vector: Values) -> int:
        """The number of layers that a vector chooses."""
        return self.depths[0 if self.depth_column is None else vector[self.depth_column]]

    def width(self, vector: Values) -> int | None:
        """The width that a vector chooses."""
        return self.widths[0 if self.width_column is None else vector[self.width_column]]

    def layer_values(self, vector: Values, number: int) -> Values:
        """The columns of one layer."""
        assert self.layer is not None
        base = self.bases[number]
        return vector[base : base + self.layer.width]

    def own_columns(self) -> Iterator[int]:
        """The columns of depth and width."""
        yield from (column for column in (self.width_column, self.depth_column) if column is not None)


@dataclass(frozen=True, eq=False)
class Layout:
    """A tree with every decision in its column."""

    input: Signature
    classes: int
    parts: tuple[Part, ...]
    groups: tuple[Group, ...]
    decisions: tuple[Decision, ...]
    slots: tuple[Slot, ...]
    blocks: Mapping[str, Block]


def lay_out(chain: Chain, blocks: Mapping[str, Block]) -> Layout:
    """The layout of a tree; raises SpaceError where it has more decisions or layers than can be handled.

    `blocks` must hold every block under the name that the tree's nodes use.
    """
    builder = _Builder(blocks)
    parts = tuple(builder.part(repeat) for repeat in chain.parts)
    return Layout(
        chain.input,
        chain.classes,
        parts,
        tuple(builder.groups),
        tuple(builder.decisions),
        tuple(_slots(parts, builder.groups)),
        blocks,
    )


class _Builder:
    def __init__(self, blocks: Mapping[str, Block]) -> None:
        self.decisions: list[Decision] = []
        self.groups: list[Group] = []
        self._nodes: list[GraphNode] = []
        self._slots = 0
        self._blocks = blocks

    def part(self, repeat: Repeat) -> Part:
        """Adds the columns of one repeat."""
        depths = repeat.depth or (1,)
        self._slots += max(depths)
        if self._slots > MAX_SLOTS:
            raise SpaceError(f"{repeat.name}.depth: the space has more than {MAX_SLOTS:,} layers")
        widths = repeat.width or (None,)
        width_column = self._column(f"{repeat.stage or repeat.name}.width", widths)
        depth_column = self._column(f"{repeat.name}.depth", depths)
        single = repeat.depth is None
        names = [repeat.name] if single else [f"{repeat.name}.layers.{n}" for n in range(max(depths))]
        layer, group, bases = None, None, []
        if isinstance(repeat.body, GraphNode):
            group = self._group(repeat.body, repeat.name)
        else:
            layer = LayerOptions(repeat.body, self._blocks, repeat.name)
            bases = self._layers(layer, [f"{repeat.name}.layer"] * len(names) if repeat.share else names)
        return Part(
            repeat.name,
            layer,
            group,
            depths,
            depth_column,
            widths,
            width_column,
            repeat.stride,
            repeat.share,
            tuple(bases),
            tuple(names),
        )

    def _column(self, name: str, options: tuple[int | None, ...]) -> int | None:
        if len(options) == 1:
            return None
        self._add([Decision(name, options)])
        return len(self.decisions) - 1

    def _add(self, decisions: list[Decision]) -> int:
        base = len(self.decisions)
        self.decisions.extend(decisions)
        if len(self.decisions) > MAX_DECISIONS:
            raise SpaceError(f"{decisions[0].name}: the space has more than {MAX_DECISIONS:,} decisions")
        return base

    def _layers(self, layer: LayerOptions, names: list[str]) -> list[int]:
        """The first column of each layer; layers of one name have the same."""
        bases: dict[str, int] = {}
        for name in names:
            if name not in bases:
                bases[name] = self._add([Decision(f"{name}.{d.name}", d.options) for d in layer.decisions])
        return [bases[name] for name in names]

    def _group(self, node: GraphNode, path: str) -> int:
        for number, group in enumerate(self.groups):
            if group.name == node.group:
                known = self._nodes[number]
                if (known.nodes, known.operations) != (node.nodes, node.operations):
                    raise SpaceError(
                        f"{path}.cell: differs from another cell that shares {node.group!r} with it"
                    )
                return number
        options = CellOptions(node, self._blocks, f"{path}.cell")
        base = self._add([Decision(f"cells.{node.group}.{d.name}", d.options) for d in options.decisions])
        self.groups.append(Group(node.group, options, base))
        self._nodes.append(node)
        return len(self.groups) - 1


def _slots(parts: tuple[Part, ...], groups: list[Group]) -> Iterator[Slot]:
    """Every slot with all the columns that its instance depends on."""
    channels: frozenset[int] = frozenset()  # the columns that the channels here depend on
    sizes: frozenset[int] = frozenset()  # and the sizes: only blocks with a rule of their own change them
    for part in parts:
        own = frozenset() if part.width_column is None else frozenset([part.width_column])
        depth = frozenset() if part.depth_column is None else frozenset([part.depth_column])
        for number, name in enumerate(part.slots):
            columns = _layer_columns(part, number, groups) | own | channels | sizes
            if number >= min(part.depths):
                columns |= depth
            yield Slot(name, tuple(sorted(columns)))
            if part.layer is not None and part.layer.changes_rule:
                channels = sizes = columns
            elif part.layer is not None and part.widths != (None,):
                channels = own
        if part.layer is not None and part.layer.changes_rule:
            channels = sizes = channels | depth


def _layer_columns(part: Part, number: int, groups: list[Group]) -> frozenset[int]:
    if part.layer is not None:
        return frozenset(range(part.bases[number], part.bases[number] + part.layer.width))
    assert part.group is not None
    group = groups[part.group]
    return frozenset(range(group.base, group.base + group.options.width))
