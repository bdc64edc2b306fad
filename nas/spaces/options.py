"""The decisions of one layer: which block, which knobs; counted, listed and drawn for a place.

Columns are numbered from 0 within the layer, so that all layers of a stage share one `LayerOptions`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import SpaceError
from nas.spaces.architecture import BlockUse
from nas.spaces.decision import Decision, Values
from nas.spaces.fitting import Span
from nas.spaces.picks import Assignment, Columns, Pick, Use
from nas.spaces.signature import Signature
from nas.spaces.tree import Fixed, OneOf

if TYPE_CHECKING:
    from nas.blocks.block import Block

MAX_COMBINATIONS = 100_000
"""The most knob combinations of one block that its `valid` rule is asked about for one place."""


class LayerOptions:
    """Everything one layer may be: a tree of picks and its columns.

    `counts`, `listing` and `draw` answer for a `Span`, the place where the layer stands.
    """

    def __init__(
        self, node: Fixed | OneOf, blocks: Mapping[str, Block], path: str, label: str = "block"
    ) -> None:
        columns = Columns()
        self.pick = columns.pick(node, label, "", f"{label}.", set())
        self.decisions: tuple[Decision, ...] = tuple(columns.decisions)
        self.width = len(self.decisions)
        self._blocks = blocks
        self._path = path
        self._read: dict[Values, tuple[BlockUse, Values]] = {}
        self._counts: dict[tuple[Pick | Use, Span], dict[Signature, int]] = {}
        self._tables: dict[tuple[Use, Span], dict[Signature, np.ndarray]] = {}

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """The blocks to choose from."""
        return tuple(option for option in self.pick.options if isinstance(option, Use))

    @cached_property
    def changes_rule(self) -> bool:
        """Whether a block decides by itself what leaves it, so that the signature depends on its knobs."""
        return any(use.block.output is not None for use in self.uses)

    def read(self, values: Values) -> tuple[BlockUse, Values]:
        """The block that these values choose, and the columns that matter for it."""
        found = self._read.get(values)
        if found is None:
            if len(self._read) >= MAX_COMBINATIONS:
                self._read.clear()
            active: list[int] = []
            use = self.pick.value(values, active)
            assert isinstance(use, BlockUse)
            found = self._read[values] = (use, tuple(sorted(active)))
        return found

    def counts(self, span: Span) -> dict[Signature, int]:
        """Signature behind the span → number of assignments that fit and lead to it."""
        return self._count_pick(self.pick, span)

    def listing(self, span: Span) -> Iterator[tuple[Values, Signature]]:
        """Every assignment that fits, with the signature behind the span."""
        for assignment in self.pick.assignments():
            values = self._vector(assignment)
            output = span.outcome(self.read(values)[0], self._blocks)
            if output is not None:
                yield values, output

    def draw(
        self, span: Span, rows: int, leads_on: Callable[[Signature], bool], rng: np.random.Generator
    ) -> tuple[np.ndarray, dict[Signature, np.ndarray]]:
        """Random assignments that fit and after which the network can be completed.

        Returns a (rows, columns) array, and the rows by the signature behind the span. Each decision is
        uniform over the options that fit; where a block has a rule of its own, its assignments are.
        """
        values = np.zeros((rows, self.width), dtype=np.int64)
        choices = []
        for index, use in enumerate(self.uses):
            ends = [end for end, count in self._count_use(use, span).items() if count and leads_on(end)]
            if ends:
                choices.append((index, use, ends))
        behind: dict[Signature, list[np.ndarray]] = {}
        chosen = rng.integers(len(choices), size=rows)
        for position, (index, use, ends) in enumerate(choices):
            members = np.flatnonzero(chosen == position)
            if not members.size:
                continue
            if self.pick.column is not None:
                values[members, self.pick.column] = index
            for end, part in self._draw_use(values, members, use, span, ends, rng).items():
                behind.setdefault(end, []).append(part)
        return values, {end: np.concatenate(parts) for end, parts in behind.items()}

    def _vector(self, assignment: Assignment) -> Values:
        values = [0] * self.width
        for column, index in assignment:
            values[column] = index
        return tuple(values)

    def _count_pick(self, pick: Pick, span: Span) -> dict[Signature, int]:
        key = (pick, span)
        if key not in self._counts:
            total: dict[Signature, int] = {}
            for option in pick.options:
                assert isinstance(option, Use)
                for end, count in self._count_use(option, span).items():
                    total[end] = total.get(end, 0) + count
            self._counts[key] = total
        return self._counts[key]

    def _count_use(self, use: Use, span: Span) -> dict[Signature, int]:
        if use.block.domain != span.signature.domain:
            return {}
        if use.is_ruled:
            return {end: len(table) for end, table in self._table(use, span).items()}
        key = (use, span)
        if key not in self._counts:
            count = math.prod(self._count_knob(pick, span) for _, pick in use.knobs)
            self._counts[key] = {span.end: count} if count else {}
        return self._counts[key]

    def _count_knob(self, pick: Pick, span: Span) -> int:
        return sum(
            sum(self._count_use(option, span.inside(option.block)).values()) if isinstance(option, Use) else 1
            for option in pick.options
        )

    def _table(self, use: Use, span: Span) -> dict[Signature, np.ndarray]:
        """Signature behind the span → all assignments of a ruled block that fit, one a row."""
        key = (use, span)
        if key not in self._tables:
            if use.combinations > MAX_COMBINATIONS:
                raise SpaceError(
                    f"{self._path}: block {use.name!r} has {use.combinations:,} combinations of knobs "
                    f"and a rule which of them fit; at most {MAX_COMBINATIONS:,} can be checked. "
                    "List fewer values."
                )
            rows: dict[Signature, list[Values]] = {}
            for assignment in use.assignments():
                values = self._vector(assignment)
                output = span.outcome(use.block_use(values, []), self._blocks)
                if output is not None:
                    rows.setdefault(output, []).append(values)
            self._tables[key] = {end: np.array(part, dtype=np.int64) for end, part in rows.items()}
        return self._tables[key]

    def _draw_use(
        self,
        values: np.ndarray,
        rows: np.ndarray,
        use: Use,
        span: Span,
        ends: Sequence[Signature],
        rng: np.random.Generator,
    ) -> dict[Signature, np.ndarray]:
        if not use.is_ruled:
            for _, pick in use.knobs:
                self._draw_knob(values, rows, pick, span, rng)
            return {span.end: rows}
        tables = [self._table(use, span)[end] for end in ends]
        bounds = np.cumsum([len(table) for table in tables])
        drawn = rng.integers(bounds[-1], size=rows.size)
        values[rows] += np.concatenate(tables)[drawn]
        which = np.searchsorted(bounds, drawn, side="right")
        return {end: rows[which == index] for index, end in enumerate(ends)}

    def _draw_knob(
        self, values: np.ndarray, rows: np.ndarray, pick: Pick, span: Span, rng: np.random.Generator
    ) -> None:
        fitting = [
            (index, option)
            for index, option in enumerate(pick.options)
            if not isinstance(option, Use) or self._count_use(option, span.inside(option.block))
        ]
        chosen = rng.integers(len(fitting), size=rows.size)
        if pick.column is not None:
            values[rows, pick.column] = np.array([index for index, _ in fitting], dtype=np.int64)[chosen]
        for position, (_, option) in enumerate(fitting):
            members = rows[chosen == position]
            if isinstance(option, Use) and members.size:
                inside = span.inside(option.block)
                ends = list(self._count_use(option, inside))
                self._draw_use(values, members, option, inside, ends, rng)
