"""A graph of operations as a torch module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from nas.blocks.block import Block
from nas.blocks.layer import build_layer
from nas.errors import BlockError
from nas.spaces.architecture import Graph
from nas.spaces.signature import Signature


class Cell(nn.Module):
    """A cell: every node is the sum of its incoming edges, each of which is an operation on an earlier node.

    Node 0 is the input, the last node the output; a node without incoming edges is zero. Input and output
    have the same shape. The operation between nodes s and t is the submodule ``edges.s_to_t``.
    """

    def __init__(self, graph: Graph, signature: Signature, blocks: Mapping[str, Block]) -> None:
        super().__init__()
        self.nodes = graph.nodes
        self.edges = nn.ModuleDict()
        self.wiring: list[tuple[int, int, str]] = []
        for edge in sorted(graph.edges, key=lambda edge: (edge.target, edge.source)):
            _check_order(edge.source, edge.target, graph.nodes)
            name = self._name(f"{edge.source}_to_{edge.target}")
            layer = replace(edge.layer, width=signature.channels)
            self.edges[name] = build_layer(layer, signature, blocks)
            self.wiring.append((edge.source, edge.target, name))

    def _name(self, name: str) -> str:
        """The name of an edge; a second one between the same nodes gets a number."""
        count = sum(other.split("__")[0] == name for other in self.edges)
        return f"{name}__{count + 1}" if count else name

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W)."""
        values: list[Tensor | None] = [x, *(None for _ in range(self.nodes - 1))]
        for source, target, name in self.wiring:
            value = values[source]
            if value is None:
                continue
            passed = self.edges[name](value)
            total = values[target]
            values[target] = passed if total is None else total + passed
        last = values[-1]
        return x.new_zeros(x.shape) if last is None else last


def _check_order(source: int, target: int, nodes: int) -> None:
    if not 0 <= source < target < nodes:
        raise BlockError(f"a cell of {nodes} nodes has an edge from node {source} to node {target}")
