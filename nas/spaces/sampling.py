"""Random vectors of a space: drawn part by part, only along ways that can be completed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from nas.spaces.counting import Allowed, Counter
from nas.spaces.fitting import Span
from nas.spaces.layout import Layout, Part
from nas.spaces.signature import Signature

State = tuple[Signature, Allowed]


class Sampler:
    """Draws many vectors at once, in groups of rows that stand at the same signature.

    Every decision is uniform over the options after which the network can still be completed, so that no
    draw is ever thrown away.
    """

    def __init__(self, layout: Layout, counter: Counter) -> None:
        self._layout = layout
        self._counter = counter

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """A (rows, decisions) array of valid canonical vectors."""
        vectors = np.zeros((rows, len(self._layout.decisions)), dtype=np.int64)
        states: dict[State, np.ndarray] = {self._counter.start(): np.arange(rows)}
        for index in range(len(self._layout.parts)):
            behind: dict[State, list[np.ndarray]] = {}
            for state, members in states.items():
                for end, part in self._draw_part(vectors, index, state, members, rng):
                    behind.setdefault(end, []).append(part)
            states = {state: np.concatenate(parts) for state, parts in behind.items()}
        for (_, allowed), members in states.items():
            self._draw_cells(vectors, allowed, members, rng)
        return vectors

    def _draw_part(
        self, vectors: np.ndarray, index: int, state: State, rows: np.ndarray, rng: np.random.Generator
    ) -> Iterator[tuple[State, np.ndarray]]:
        part = self._layout.parts[index]
        count = self._counter.stage_completions
        widths = [
            number
            for number, width in enumerate(part.widths)
            if any(count(index, *state, width, depth) for depth in part.depths)
        ]
        for width_number, members in _split(vectors, part.width_column, widths, rows, rng):
            width = part.widths[width_number]
            depths = [n for n, depth in enumerate(part.depths) if count(index, *state, width, depth)]
            for depth_number, chosen in _split(vectors, part.depth_column, depths, members, rng):
                if part.group is not None:
                    signature, allowed = state
                    yield (signature, self._counter.behind_cell(part, signature, allowed)), chosen
                else:
                    depth = part.depths[depth_number]
                    yield from self._draw_layers(vectors, index, state, width, depth, chosen, rng)

    def _draw_layers(
        self,
        vectors: np.ndarray,
        index: int,
        state: State,
        width: int | None,
        depth: int,
        rows: np.ndarray,
        rng: np.random.Generator,
    ) -> Iterator[tuple[State, np.ndarray]]:
        part = self._layout.parts[index]
        signature, allowed = state
        steps = 1 if part.share else depth
        groups = {signature: rows}
        for step in range(steps):
            behind: dict[Signature, list[np.ndarray]] = {}
            for before, members in groups.items():
                stride = part.stride if step == 0 else 1
                span = Span(before, width, stride, depth if part.share else 1)
                left = steps - step - 1

                def leads_on(end: Signature, left: int = left) -> bool:
                    return bool(
                        self._counter.stage_completions(index, end, allowed, width, left, first=False)
                    )

                for end, reached in self._draw_layer(vectors, part, step, span, members, leads_on, rng):
                    behind.setdefault(end, []).append(reached)
            groups = {end: np.concatenate(parts) for end, parts in behind.items()}
        for end, members in groups.items():
            yield (end, allowed), members

    def _draw_layer(
        self,
        vectors: np.ndarray,
        part: Part,
        number: int,
        span: Span,
        rows: np.ndarray,
        leads_on: Callable[[Signature], bool],
        rng: np.random.Generator,
    ) -> Iterator[tuple[Signature, np.ndarray]]:
        assert part.layer is not None
        values, behind = part.layer.draw(span, rows.size, leads_on, rng)
        base = part.bases[number]
        vectors[rows, base : base + part.layer.width] = values
        for end, members in behind.items():
            yield end, rows[members]

    def _draw_cells(
        self, vectors: np.ndarray, allowed: Allowed, rows: np.ndarray, rng: np.random.Generator
    ) -> None:
        for fitting, group in zip(allowed, self._layout.groups, strict=True):
            table = np.array(
                [group.options.assignments[index] for index in sorted(fitting or ())], dtype=np.int64
            )
            drawn = rng.integers(len(table), size=(rows.size, len(group.options.edges)))
            vectors[rows, group.base : group.base + group.options.width] = table[drawn].reshape(rows.size, -1)


def _split(
    vectors: np.ndarray, column: int | None, options: list[int], rows: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[int, np.ndarray]]:
    """Draws one of the options for every row, writes it down, and yields the rows of each."""
    chosen = np.array(options)[rng.integers(len(options), size=rows.size)]
    if column is not None:
        vectors[rows, column] = chosen
    for option in options:
        members = rows[chosen == option]
        if members.size:
            yield option, members
