"""Every valid canonical vector of a space, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from nas.spaces.counting import Allowed, Counter
from nas.spaces.decision import Values
from nas.spaces.fitting import Span
from nas.spaces.layout import Layout, Part
from nas.spaces.signature import Signature


def enumerate_vectors(layout: Layout, counter: Counter) -> Iterator[Values]:
    """All vectors, part by part, leaving out at once what cannot be completed."""
    signature, allowed = counter.start()
    yield from _Enumeration(layout, counter).extend([0] * len(layout.decisions), 0, signature, allowed)


class _Enumeration:
    def __init__(self, layout: Layout, counter: Counter) -> None:
        self._layout = layout
        self._counter = counter

    def extend(
        self, vector: list[int], index: int, signature: Signature, allowed: Allowed
    ) -> Iterator[Values]:
        """Every completion of a vector from part `index` on."""
        if not self._counter.completions(index, signature, allowed):
            return
        if index == len(self._layout.parts):
            yield from self._fill_cells(vector, 0, allowed)
            return
        part = self._layout.parts[index]
        for width_number, width in enumerate(part.widths):
            _put(vector, part.width_column, width_number)
            for depth_number, depth in enumerate(part.depths):
                _put(vector, part.depth_column, depth_number)
                if part.group is not None:
                    behind = self._counter.behind_cell(part, signature, allowed)
                    yield from self.extend(vector, index + 1, signature, behind)
                    continue
                for end in self._layers(vector, part, 0, depth, width, signature):
                    yield from self.extend(vector, index + 1, end, allowed)
        _put(vector, part.width_column, 0)
        _put(vector, part.depth_column, 0)

    def _layers(
        self, vector: list[int], part: Part, number: int, depth: int, width: int | None, signature: Signature
    ) -> Iterator[Signature]:
        """Writes every choice of the layers from `number` on, and yields the signature behind them."""
        if number == depth:
            yield signature
            return
        assert part.layer is not None
        base, size = part.bases[number], part.layer.width
        repeats = depth if part.share else 1
        span = Span(signature, width, part.stride if number == 0 else 1, repeats)
        for values, end in part.layer.listing(span):
            vector[base : base + size] = values
            yield from self._layers(vector, part, number + repeats, depth, width, end)
        vector[base : base + size] = [0] * size

    def _fill_cells(self, vector: list[int], index: int, allowed: Allowed) -> Iterator[Values]:
        if index == len(self._layout.groups):
            yield tuple(vector)
            return
        group = self._layout.groups[index]
        fitting = [group.options.assignments[number] for number in sorted(allowed[index] or ())]
        for edges in _product(fitting, len(group.options.edges)):
            vector[group.base : group.base + group.options.width] = edges
            yield from self._fill_cells(vector, index + 1, allowed)
        vector[group.base : group.base + group.options.width] = [0] * group.options.width


def _put(vector: list[int], column: int | None, value: int) -> None:
    if column is not None:
        vector[column] = value


def _product(options: list[Values], repeat: int) -> Iterator[Values]:
    """All sequences of `repeat` options, joined."""
    if repeat == 0:
        yield ()
        return
    for option in options:
        for rest in _product(options, repeat - 1):
            yield option + rest
