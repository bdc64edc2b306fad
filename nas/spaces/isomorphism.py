"""When two cells are the same cell: their simplest form, and the field's coarser notion.

A cell is read as operation instances and sums: every edge whose operation is neither ``zero`` nor
``identity`` is an instance, a value is a multiset of the cell's input and of instances, an instance reads one
value, and the output is one. ``identity`` only passes values on, ``zero`` and what depends on zeros alone
add nothing, and what the output does not depend on is dropped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

from nas.errors import SpaceError
from nas.spaces.architecture import Edge, Graph, Layer, block_use_to_dict

ZERO = "zero"
IDENTITY = "identity"
_INPUT = -1

Value: TypeAlias = tuple[tuple[int, int], ...]
"""A sum: (instance, how often) in ascending order; the cell's input is the instance -1."""


@dataclass(frozen=True)
class _Wiring:
    """The instances of a cell, each with the value it reads, and the output."""

    layers: tuple[Layer, ...]
    reads: tuple[Value, ...]
    output: Value


@lru_cache(maxsize=16384)
def simplified(graph: Graph) -> Graph:
    """The simplest cell that computes the same with the same parameters; one form for all isomorphic cells.

    Parallel edges may appear in it: ``x + x`` is two identity edges. A cell whose output depends on nothing
    is two nodes without an edge: it gives zeros.
    """
    wiring = _wiring(graph)
    return _rebuilt(_reordered(wiring, _canonical_order(wiring)), _identity_of(graph))


def isomorphism_class(graph: Graph) -> str:
    """The string by which NAS-Bench-201 tells cells apart: its 15,625 cells have 6,466 of them.

    It is not the hash: a computation that two paths share is written as often as it is used, so that it looks
    like as many instances with parameters of their own; and of zeros it only sees those that stand alone, so
    that some cells which compute the same differ in it. Takes the cell with all its edges, zeros included.
    """
    sums = ["0"]
    for target in range(1, graph.nodes):
        terms = [_term(sums[edge.source], edge.layer) for edge in graph.edges if edge.target == target]
        sums.append("+".join(sorted(terms)))
    return sums[-1]


def _term(source: str, layer: Layer) -> str:
    kind = _kind(layer)
    if kind == ZERO or source == "#":
        return "#"
    return source if kind == IDENTITY else f"({source})@{_label(layer)}"


def _kind(layer: Layer) -> str:
    name = layer.block.use.rpartition("/")[2]
    return "" if layer.stride != 1 and name == IDENTITY else name


def _label(layer: Layer) -> str:
    return json.dumps([block_use_to_dict(layer.block), layer.width, layer.stride], sort_keys=True)


def _identity_of(graph: Graph) -> Layer | None:
    return next((edge.layer for edge in graph.edges if _kind(edge.layer) == IDENTITY), None)


def _wiring(graph: Graph) -> _Wiring:
    """The live instances of a cell, numbered in the order of its edges."""
    sums: list[Counter[int]] = [Counter({_INPUT: 1})]
    instances: list[tuple[Layer, Value]] = []
    for target in range(1, graph.nodes):
        total: Counter[int] = Counter()
        for edge in graph.edges:
            if edge.target != target:
                continue
            if not 0 <= edge.source < target:
                raise SpaceError(
                    f"a cell has an edge from node {edge.source} to node {target}: edges go forward"
                )
            kind, source = _kind(edge.layer), sums[edge.source]
            if kind == IDENTITY:
                total.update(source)
            elif kind != ZERO and source:
                total[len(instances)] += 1
                instances.append((edge.layer, _frozen(source)))
        sums.append(total)
    live = _live(_frozen(sums[-1]), [reads for _, reads in instances])
    numbers = {_INPUT: _INPUT, **{old: new for new, old in enumerate(live)}}
    reads = tuple(_renamed(instances[old][1], numbers) for old in live)
    return _Wiring(tuple(instances[old][0] for old in live), reads, _renamed(_frozen(sums[-1]), numbers))


def _frozen(total: Counter[int]) -> Value:
    return tuple(sorted(total.items()))


def _renamed(value: Value, numbers: dict[int, int]) -> Value:
    return tuple(sorted((numbers[term], count) for term, count in value))


def _live(output: Value, reads: Sequence[Value]) -> list[int]:
    seen: set[int] = set()
    waiting = [term for term, _ in output]
    while waiting:
        term = waiting.pop()
        if term != _INPUT and term not in seen:
            seen.add(term)
            waiting.extend(source for source, _ in reads[term])
    return sorted(seen)


def _reordered(wiring: _Wiring, order: Sequence[int]) -> _Wiring:
    numbers = {_INPUT: _INPUT, **{old: new for new, old in enumerate(order)}}
    reads = tuple(_renamed(wiring.reads[old], numbers) for old in order)
    return _Wiring(tuple(wiring.layers[old] for old in order), reads, _renamed(wiring.output, numbers))


def _canonical_order(wiring: _Wiring) -> list[int]:
    """The order of the instances whose description is the smallest, over all that symmetry leaves open."""
    labels = [_label(layer) for layer in wiring.layers]
    ranks = {label: rank for rank, label in enumerate(sorted(set(labels)))}
    start = [ranks[label] for label in labels]

    def description(order: list[int]) -> tuple[Any, ...]:
        moved = _reordered(wiring, order)
        return ([labels[old] for old in order], moved.reads, moved.output)

    return min(_orders(wiring, start), key=description)


def _orders(wiring: _Wiring, colors: list[int]) -> Iterator[list[int]]:
    """Every order of the instances that agrees with the refined colors."""
    colors = _refined(wiring, colors)
    sizes = Counter(colors)
    open_colors = [color for color, size in sizes.items() if size > 1]
    if not open_colors:
        yield sorted(range(len(colors)), key=colors.__getitem__)
        return
    color = min(open_colors)
    members = [index for index, own in enumerate(colors) if own == color]
    if _are_twins(wiring, members):
        members = members[:1]
    for chosen in members:
        yield from _orders(wiring, [2 * c + (c == color and i != chosen) for i, c in enumerate(colors)])


def _refined(wiring: _Wiring, colors: list[int]) -> list[int]:
    """Colors told apart by the colors of what each instance reads and is read by, until nothing changes."""
    while True:
        views = [(colors[index], *_view(wiring, colors, index)) for index in range(len(colors))]
        ranks = {view: rank for rank, view in enumerate(sorted(set(views)))}
        refined = [ranks[view] for view in views]
        if len(ranks) == len(set(colors)):
            return refined
        colors = refined


def _view(wiring: _Wiring, colors: list[int], index: int) -> tuple[Any, ...]:
    reads = sorted((_INPUT if term == _INPUT else colors[term], count) for term, count in wiring.reads[index])
    readers = sorted((colors[other], dict(value).get(index, 0)) for other, value in enumerate(wiring.reads))
    in_output = dict(wiring.output).get(index, 0)
    return (tuple(reads), tuple(reader for reader in readers if reader[1]), in_output)


def _are_twins(wiring: _Wiring, members: Sequence[int]) -> bool:
    """Whether these instances of one color read the same and are read by the same, so that any order does."""

    def surroundings(index: int) -> tuple[Any, ...]:
        readers = [dict(value).get(index, 0) for value in (*wiring.reads, wiring.output)]
        return (wiring.reads[index], tuple(readers))

    return len({surroundings(index) for index in members}) == 1


def _rebuilt(wiring: _Wiring, identity: Layer | None) -> Graph:
    if not wiring.output:
        return Graph(2, ())
    return _Builder(wiring, identity).graph()


class _Builder:
    """Numbers the nodes of a cell from its wiring: one for every value that is read, sources first."""

    def __init__(self, wiring: _Wiring, identity: Layer | None) -> None:
        self._wiring = wiring
        self._identity = identity
        self._nodes: dict[Value, int] = {((_INPUT, 1),): 0}
        self._edges: list[Edge] = []
        values = {*wiring.reads, wiring.output}
        self._uses = Counter(dict.fromkeys(range(len(wiring.layers)), 0))
        for value in values:
            self._uses.update(dict(value))

    def graph(self) -> Graph:
        last = self._node(self._wiring.output)
        if last == 0:  # the output is the input itself
            self._pass_on(0, 1)
        return Graph(max(last, 1) + 1, tuple(self._edges))

    def _node(self, value: Value) -> int:
        if value in self._nodes:
            return self._nodes[value]
        if len(value) == 1 and value[0][1] == 1:
            sources: list[tuple[int, Layer | None]] = [self._instance(value[0][0])]
        else:
            sources = [source for term, count in value for source in [self._source(term)] * count]
        number = len(self._nodes)
        self._nodes[value] = number
        for source, layer in sources:
            self._edges.append(Edge(source, number, layer)) if layer else self._pass_on(source, number)
        return number

    def _source(self, term: int) -> tuple[int, Layer | None]:
        """Where a term of a sum comes from: its operation, or a node that others read too."""
        if term != _INPUT and self._uses[term] == 1:
            return self._instance(term)
        return self._node(((term, 1),)), None

    def _instance(self, term: int) -> tuple[int, Layer]:
        return self._node(self._wiring.reads[term]), self._wiring.layers[term]

    def _pass_on(self, source: int, target: int) -> None:
        assert self._identity is not None, "a value is passed on only by an identity"
        self._edges.append(Edge(source, target, self._identity))
