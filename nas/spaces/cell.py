"""The decisions of a cell: one operation on every edge, the same for all cells of a group."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from nas.errors import SpaceError
from nas.spaces.architecture import Edge, Graph, Layer
from nas.spaces.decision import Decision, Values
from nas.spaces.fitting import Span, fit
from nas.spaces.isomorphism import simplified
from nas.spaces.options import LayerOptions
from nas.spaces.signature import Signature
from nas.spaces.tree import GraphNode

if TYPE_CHECKING:
    from nas.blocks.block import Block

MAX_OPERATIONS = 4096


class CellOptions:
    """Everything the cells of one group may be.

    Every edge has the same operations to choose from and every node the same signature, so an operation
    fits on one edge where it fits on all: the valid cells are a power of the valid operations.
    """

    def __init__(self, node: GraphNode, blocks: Mapping[str, Block], path: str) -> None:
        self.nodes = node.nodes
        self.edges = node.edges
        self.operation = LayerOptions(node.operations, blocks, path, label="operation")
        count = self.operation.pick.combinations
        if count > MAX_OPERATIONS:
            raise SpaceError(f"{path}: {count:,} operations to choose from; at most {MAX_OPERATIONS:,}")
        self.width = len(self.edges) * self.operation.width
        self._blocks = blocks
        self._allowed: dict[Signature, frozenset[int]] = {}

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The columns of the cell, edge by edge: ``0-1.operation``, ``0-1.kernel``, ..."""
        return tuple(
            Decision(f"{source}-{target}.{decision.name}", decision.options)
            for source, target in self.edges
            for decision in self.operation.decisions
        )

    @cached_property
    def assignments(self) -> tuple[Values, ...]:
        """Every operation with every value of its knobs, valid or not."""
        vectors = []
        for assignment in self.operation.pick.assignments():
            values = [0] * self.operation.width
            for column, index in assignment:
                values[column] = index
            vectors.append(tuple(values))
        return tuple(vectors)

    def allowed(self, signature: Signature) -> frozenset[int]:
        """The assignments that fit an edge between nodes of this signature, and keep it."""
        if signature not in self._allowed:
            span = Span(signature, signature.channels, 1)
            uses = [self.operation.read(values)[0] for values in self.assignments]
            self._allowed[signature] = frozenset(
                index for index, use in enumerate(uses) if span.outcome(use, self._blocks) == signature
            )
        return self._allowed[signature]

    def edge_values(self, values: Values) -> list[Values]:
        """The columns of a cell, cut into those of each edge."""
        step = self.operation.width
        return [values[start * step : (start + 1) * step] for start in range(len(self.edges))]

    def active(self, values: Values) -> list[int]:
        """The columns that matter."""
        step = self.operation.width
        return [
            number * step + column
            for number, edge in enumerate(self.edge_values(values))
            for column in self.operation.read(edge)[1]
        ]

    def fits(self, values: Values, signature: Signature) -> bool:
        """Whether every operation fits between nodes of this signature."""
        uses = (self.operation.read(edge)[0] for edge in self.edge_values(values))
        return all(fit(use, signature, signature.channels, 1, self._blocks) == signature for use in uses)

    def graph(self, values: Values, signature: Signature, slot: str) -> Graph:
        """The cell in its simplest form, so that cells of one hash are built, priced and trained alike."""
        edges = []
        for (source, target), edge in zip(self.edges, self.edge_values(values), strict=True):
            use = self.operation.read(edge)[0]
            edges.append(Edge(source, target, Layer(use, signature.channels, 1)))
        simple = simplified(Graph(self.nodes, tuple(edges)))
        return Graph(simple.nodes, simple.edges, slot)
