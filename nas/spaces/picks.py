"""Blocks and their knobs with every decision in its column."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

from nas.spaces.architecture import BlockUse, KnobValue
from nas.spaces.decision import Decision
from nas.spaces.tree import BlockNode, Fixed, OneOf, Scalar

if TYPE_CHECKING:
    from nas.blocks.block import Block

Assignment: TypeAlias = tuple[tuple[int, int], ...]
"""(column, option) of every active column."""


@dataclass(frozen=True, eq=False)
class Pick:
    """One option of a few; `column` is None where there is only one."""

    column: int | None
    options: tuple[Scalar | Use, ...]

    @cached_property
    def combinations(self) -> int:
        """How many assignments there are, valid or not."""
        return sum(option.combinations if isinstance(option, Use) else 1 for option in self.options)

    def assignments(self) -> Iterator[Assignment]:
        """Every assignment, valid or not."""
        for index, option in enumerate(self.options):
            taken = () if self.column is None else ((self.column, index),)
            if not isinstance(option, Use):
                yield taken
                continue
            for rest in option.assignments():
                yield taken + rest

    def value(self, values: Sequence[int], active: list[int]) -> KnobValue:
        """What these values choose; adds the columns that matter to `active`."""
        index = 0
        if self.column is not None:
            active.append(self.column)
            index = values[self.column]
        option = self.options[index]
        return option.block_use(values, active) if isinstance(option, Use) else option


@dataclass(frozen=True, eq=False)
class Use:
    """A block with a pick for each of its knobs."""

    name: str
    block: Block
    knobs: tuple[tuple[str, Pick], ...]

    @cached_property
    def combinations(self) -> int:
        """How many assignments there are, valid or not."""
        return math.prod(pick.combinations for _, pick in self.knobs)

    @property
    def is_ruled(self) -> bool:
        """Whether the block itself decides which knobs fit or what leaves it, so that each must be tried."""
        return any(rule is not None for rule in (self.block.valid, self.block.output, self.block.inside))

    def assignments(self) -> Iterator[Assignment]:
        """Every assignment, valid or not."""
        for parts in itertools.product(*(tuple(pick.assignments()) for _, pick in self.knobs)):
            yield tuple(itertools.chain.from_iterable(parts))

    def block_use(self, values: Sequence[int], active: list[int]) -> BlockUse:
        """The block with the knobs that these values choose."""
        return BlockUse(self.name, tuple((name, pick.value(values, active)) for name, pick in self.knobs))


class Columns:
    """Hands out columns. Alternatives never meet, so a knob they have in common is one column.

    `taken` holds the columns that are active together with the one wanted, so cannot be it.
    """

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self._by_name: dict[str, int] = {}

    def pick(self, node: Fixed | OneOf, path: str, inner: str, owner: str, taken: set[int]) -> Pick:
        """The pick of a node; `path` names its column, `inner` prefixes the knobs of its blocks."""
        labels = option_labels(node.options)
        column = None if len(labels) == 1 else self._column(path, owner, labels, taken)
        options: list[Scalar | Use] = []
        before = frozenset(taken)
        for option, label in zip(node.options, labels, strict=True):
            if not isinstance(option, BlockNode):
                options.append(option)
                continue
            own = set(before)
            options.append(self._use(option, inner, label, own))
            taken |= own
        return Pick(column, tuple(options))

    def _use(self, node: BlockNode, prefix: str, label: str, taken: set[int]) -> Use:
        knobs = []
        for name, value in node.knobs:
            path = f"{prefix}{name}"
            knobs.append((name, self.pick(value, path, f"{path}.", f"{prefix}{label}.{name}", taken)))
        return Use(node.use, node.block, tuple(knobs))

    def _column(self, path: str, owner: str, labels: tuple[Any, ...], taken: set[int]) -> int:
        for name in itertools.chain((path, owner), (f"{owner}#{number}" for number in itertools.count(2))):
            column = self._by_name.setdefault(name, len(self.decisions))
            if column == len(self.decisions):
                self.decisions.append(Decision(name, labels))
            elif column in taken or not _same(self.decisions[column].options, labels):
                continue
            taken.add(column)
            return column
        raise AssertionError("the names to try never end")


def _same(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return [(type(value), value) for value in one] == [(type(value), value) for value in other]


def option_labels(options: Sequence[Scalar | BlockNode]) -> tuple[Any, ...]:
    """What a decision shows for its options: values, and blocks by name with what tells them apart."""
    labels: list[Any] = []
    for option in options:
        if not isinstance(option, BlockNode):
            labels.append(option)
            continue
        namesakes = [other for other in options if isinstance(other, BlockNode) and other.use == option.use]
        label = base = _detailed(option, namesakes)
        for number in itertools.count(2):
            if label not in labels:
                break
            label = f"{base}#{number}"
        labels.append(label)
    return tuple(labels)


def _detailed(node: BlockNode, namesakes: Sequence[BlockNode]) -> str:
    """``conv(kernel=3)`` where another alternative is a ``conv`` with another kernel."""
    told = [
        f"{name}={value.value}"
        for name, value in node.knobs
        if isinstance(value, Fixed)
        and not isinstance(value.value, BlockNode)
        and any(dict(other.knobs)[name] != value for other in namesakes)
    ]
    return f"{node.use}({','.join(told)})" if told else node.use
