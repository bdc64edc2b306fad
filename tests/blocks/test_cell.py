"""Cells: sums over edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from toy_blocks import BLOCKS, MAP, layer

from nas.blocks import Cell, build, fuse
from nas.errors import BlockError
from nas.plugins.registry import default_registry
from nas.spaces.architecture import BlockUse, Edge, Graph, Layer, Network
from nas.spaces.signature import Signature

torch.set_num_threads(1)
TWICE, THRICE = layer("scale", factor=2.0), layer("scale", factor=3.0)


def picture() -> Tensor:
    return torch.randn((2, *MAP.shape), generator=torch.Generator().manual_seed(0))


def test_every_node_is_the_sum_of_its_edges() -> None:
    edges = (Edge(0, 1, TWICE), Edge(0, 2, THRICE), Edge(1, 2, TWICE), Edge(0, 3, TWICE), Edge(2, 3, THRICE))
    x = picture()
    first = 2 * x
    second = 3 * x + 2 * first
    torch.testing.assert_close(Cell(Graph(4, edges), MAP, BLOCKS)(x), 2 * x + 3 * second)


def test_the_order_of_the_edges_does_not_matter() -> None:
    edges = (Edge(0, 1, TWICE), Edge(1, 2, THRICE), Edge(0, 2, TWICE))
    one, other = Cell(Graph(3, edges), MAP, BLOCKS), Cell(Graph(3, edges[::-1]), MAP, BLOCKS)
    assert list(one.edges) == list(other.edges) == ["0_to_1", "0_to_2", "1_to_2"]
    assert torch.equal(one(picture()), other(picture()))


@pytest.mark.parametrize(
    "edges", [(), (Edge(0, 1, TWICE),), (Edge(1, 2, TWICE),), (Edge(1, 2, TWICE), Edge(2, 3, TWICE))]
)
def test_a_node_that_nothing_reaches_is_zero(edges: tuple[Edge, ...]) -> None:
    output = Cell(Graph(4, edges), MAP, BLOCKS)(picture())
    assert torch.equal(output, torch.zeros_like(picture()))


def test_a_node_that_nothing_reaches_adds_nothing() -> None:
    edges = (Edge(0, 2, TWICE), Edge(1, 2, layer("dense")))
    assert torch.equal(Cell(Graph(3, edges), MAP, BLOCKS)(picture()), 2 * picture())


def test_two_edges_between_the_same_nodes_add_up() -> None:
    cell = Cell(Graph(2, (Edge(0, 1, TWICE), Edge(0, 1, THRICE), Edge(0, 1, TWICE))), MAP, BLOCKS)
    assert list(cell.edges) == ["0_to_1", "0_to_1__2", "0_to_1__3"]
    torch.testing.assert_close(cell(picture()), 7 * picture())


def test_an_operation_without_width_keeps_that_of_the_cell() -> None:
    cell = Cell(Graph(2, (Edge(0, 1, layer("dense")),)), MAP, BLOCKS)
    assert cell(picture()).shape == picture().shape


@pytest.mark.parametrize(("source", "target"), [(1, 0), (1, 1), (0, 3), (-1, 1)])
def test_edges_go_forward(source: int, target: int) -> None:
    with pytest.raises(BlockError, match=f"from node {source} to node {target}"):
        Cell(Graph(3, (Edge(source, target, TWICE),)), MAP, BLOCKS)


def operation(name: str, **knobs: int) -> Layer:
    return Layer(BlockUse(name, tuple(knobs.items())), 8)


def test_a_cell_of_nas_bench_201_trains_and_fuses() -> None:
    blocks = default_registry().blocks
    edges = (
        Edge(0, 1, operation("conv_operation", kernel=3)),
        Edge(0, 2, operation("zero")),
        Edge(1, 2, operation("average_pool", kernel=3)),
        Edge(0, 3, operation("identity")),
        Edge(1, 3, operation("conv_operation", kernel=1)),
        Edge(2, 3, operation("conv_operation", kernel=3)),
    )
    signature = Signature("image", 8, (5, 7))
    model = build(Network(signature, (Graph(4, edges),)), blocks, seed=0)
    x = torch.randn((2, *signature.shape), generator=torch.Generator().manual_seed(0))
    model(x).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert sum(p.grad is not None for p in model.parameters()) == 9
    expected = model.eval()(x)
    torch.testing.assert_close(fuse(model)(x), expected, rtol=1e-5, atol=1e-5)
