"""Cells that are the same cell."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.errors import SpaceError
from nas.spaces import BlockUse, Edge, Graph, Layer, isomorphism_class, simplified

OPERATIONS = {
    "zero": Layer(BlockUse("zero"), 16),
    "identity": Layer(BlockUse("identity"), 16),
    "conv1": Layer(BlockUse("conv_operation", (("kernel", 1),)), 16),
    "conv3": Layer(BlockUse("conv_operation", (("kernel", 3),)), 16),
    "pool": Layer(BlockUse("average_pool", (("kernel", 3),)), 16),
}


def cell(nodes: int, **edges: str) -> Graph:
    """``cell(3, e01="conv3", e12="identity")``; edges left out are not there."""
    return Graph(
        nodes, tuple(Edge(int(key[1]), int(key[2]), OPERATIONS[name]) for key, name in edges.items())
    )


def names(graph: Graph) -> list[tuple[int, int, str]]:
    known = {layer: name for name, layer in OPERATIONS.items()}
    return [(edge.source, edge.target, known[edge.layer]) for edge in graph.edges]


CURVES = {"conv1": (3, 5, 11), "conv3": (17, 2, 23), "pool": (8, 29, 31)}


def evaluate(graph: Graph) -> int:
    """The cell as a number: every operation is a polynomial of its own over a prime field, zero stays zero.

    Cells with equal numbers compute the same where all operations of one kind have equal weights.
    """
    prime = 2**61 - 1
    values, alive = [7] + [0] * (graph.nodes - 1), {0}
    for source, target, name in sorted(names(graph), key=lambda edge: edge[1]):
        if name == "zero" or source not in alive:
            continue
        alive.add(target)
        z = values[source]
        a, b, c = (0, 1, 0) if name == "identity" else CURVES[name]
        values[target] = (values[target] + a * z * z + b * z + c) % prime
    return values[-1]


def parameters(graph: Graph) -> int:
    """Weights of the convolutions, with 16 channels and a batch norm."""
    kernels = [
        e.layer.block.knob_values()["kernel"] for e in graph.edges if e.layer.block.use == "conv_operation"
    ]
    return sum(kernel**2 * 16 * 16 + 32 for kernel in kernels)


def nas_bench_201():
    pairs = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for combination in itertools.product(OPERATIONS.values(), repeat=6):
        yield Graph(4, tuple(Edge(s, t, layer) for (s, t), layer in zip(pairs, combination, strict=True)))


def test_the_classes_of_nas_bench_201_are_those_of_the_paper():
    cells = list(nas_bench_201())
    classes = defaultdict(set)
    for graph in cells:
        classes[isomorphism_class(graph)].add(simplified(graph))
    assert len(cells) == 15_625
    assert len(classes) == 6_466
    forms = set().union(*classes.values())
    assert len(forms) == 5_425
    # Why the classes cannot be the identity of a network that costs are stored by:
    merging = [c for c in classes.values() if len({parameters(form) for form in c}) > 1]
    assert len(merging) == 434


def test_a_shared_computation_is_not_two_of_it():
    shared = cell(3, e01="conv3", e12="identity", e02="zero")
    once = cell(2, e01="conv3")
    doubled = cell(4, e01="conv3", e12="identity", e13="identity", e23="identity")
    two = cell(4, e01="conv3", e02="conv3", e13="identity", e23="identity")
    assert simplified(shared) == simplified(once)
    assert isomorphism_class(doubled) == isomorphism_class(two)
    assert simplified(doubled) != simplified(two)
    assert (parameters(simplified(doubled)), parameters(simplified(two))) == (2336, 4672)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (cell(4), (2, [])),
        (cell(4, e01="zero", e13="conv3"), (2, [])),
        (cell(4, e01="conv3", e12="conv3"), (2, [])),
        (cell(4, e03="identity"), (2, [(0, 1, "identity")])),
        (cell(4, e01="identity", e12="identity", e23="identity"), (2, [(0, 1, "identity")])),
        (cell(3, e01="identity", e02="identity", e12="identity"), (2, [(0, 1, "identity")] * 2)),
        (
            cell(4, e01="conv3", e12="identity", e23="pool", e02="zero"),
            (3, [(0, 1, "conv3"), (1, 2, "pool")]),
        ),
        (cell(4, e01="conv1", e02="conv3", e03="pool"), (2, [(0, 1, "pool")])),
        (
            cell(4, e01="conv3", e02="conv3", e12="conv1", e03="identity", e23="pool"),
            (4, [(0, 1, "conv3"), (1, 2, "conv1"), (0, 2, "conv3"), (2, 3, "pool"), (0, 3, "identity")]),
        ),
    ],
)
def test_the_simplest_form_of_a_cell(graph, expected):
    simple = simplified(graph)
    assert (simple.nodes, sorted(names(simple))) == (expected[0], sorted(expected[1]))
    assert simplified(simple) == simple


def test_a_residual_cell_keeps_its_shape():
    graph = cell(4, e01="conv3", e13="conv3", e03="identity", e02="zero", e12="zero", e23="conv1")
    assert sorted(names(simplified(graph))) == [(0, 1, "conv3"), (0, 2, "identity"), (1, 2, "conv3")]


def random_cell(chance: random.Random, nodes: int) -> Graph:
    pairs = [(s, t) for t in range(1, nodes) for s in range(t)]
    return Graph(nodes, tuple(Edge(s, t, chance.choice(list(OPERATIONS.values()))) for s, t in pairs))


def renumbered(graph: Graph, chance: random.Random) -> Graph:
    """The same cell with its inner nodes in another topological order and its edges in any order."""
    inner = list(range(1, graph.nodes - 1))
    chance.shuffle(inner)
    live = [edge for edge in graph.edges if edge.layer.block.use != "zero"]
    order = [0]
    while len(order) <= len(inner):
        ready = [n for n in inner if n not in order and all(e.source in order for e in live if e.target == n)]
        order.append(ready[0])
    numbers = {old: new for new, old in enumerate([*order, graph.nodes - 1])}
    edges = [Edge(numbers[edge.source], numbers[edge.target], edge.layer) for edge in live]
    chance.shuffle(edges)
    return Graph(graph.nodes, tuple(edges))


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 10**9), st.integers(2, 6))
def test_isomorphic_cells_have_one_form(seed, nodes):
    chance = random.Random(seed)
    graph = random_cell(chance, nodes)
    form = simplified(graph)
    assert simplified(form) == form
    for _ in range(3):
        assert simplified(renumbered(graph, chance)) == form


@settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(st.integers(0, 10**9), st.integers(2, 6))
def test_the_form_computes_what_the_cell_computes(seed, nodes):
    chance = random.Random(seed)
    graph = random_cell(chance, nodes)
    form = simplified(graph)
    assert evaluate(form) == evaluate(graph)
    assert parameters(form) <= parameters(graph)


def test_cells_that_compute_something_else_have_another_form():
    """All that a form forgets of its cell is how often the same thing is computed."""
    values = defaultdict(set)
    for graph in nas_bench_201():
        values[simplified(graph)].add(evaluate(graph))
    assert all(len(numbers) == 1 for numbers in values.values())
    assert len(set().union(*values.values())) == len({isomorphism_class(form) for form in values}) == 4_930


def test_symmetric_cells_take_no_time():
    """Twenty-eight interchangeable operations: symmetry must not be tried out."""
    wide = Graph(2, tuple(Edge(0, 1, OPERATIONS["conv3"]) for _ in range(28)))
    assert simplified(wide) == wide
    dense = Graph(8, tuple(Edge(s, t, OPERATIONS["conv3"]) for t in range(1, 8) for s in range(t)))
    assert simplified(dense) == simplified(Graph(8, dense.edges[::-1]))


def test_an_edge_backwards_is_refused():
    with pytest.raises(SpaceError, match="edges go forward"):
        simplified(Graph(3, (Edge(2, 1, OPERATIONS["conv3"]),)))


def test_names_with_a_plugin_are_understood():
    through = Layer(BlockUse("base/identity"), 16)
    graph = Graph(
        3,
        (Edge(0, 1, OPERATIONS["conv3"]), Edge(1, 2, through), Edge(0, 2, Layer(BlockUse("base/zero"), 16))),
    )
    assert simplified(graph) == cell(2, e01="conv3")


def test_the_slot_of_a_cell_does_not_matter():
    graph = cell(3, e01="conv3", e12="pool")
    assert simplified(Graph(3, graph.edges, "stages.1.layers.0")) == simplified(graph)
