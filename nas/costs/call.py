"""A call of an operator with its arguments by name, and what a rule says of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import torch

from nas.costs.tensors import tensor_bytes


@dataclass(frozen=True)
class Call:
    """One call: the operator's name, its arguments by name, the tensors it returned, and the bytes of a real
    number in the traced precision, None for what each tensor has."""

    name: str
    given: Mapping[str, Any]
    outputs: Sequence[torch.Tensor]
    width: int | None = None

    def tensors(self) -> list[torch.Tensor]:
        """All tensors among the arguments, those in lists too."""
        return tensors_of(self.given.values())

    def bytes(self, tensor: torch.Tensor) -> int:
        """Bytes of a tensor in the traced precision, what is expanded counted once."""
        return tensor_bytes(tensor, self.width)

    def __getitem__(self, name: str) -> Any:
        return self.given[name]


@dataclass(frozen=True)
class Work:
    """The kind of an operator, its multiply-adds, its arithmetic (2 per multiply-add) and its dimensions.

    `moved` is (bytes read, bytes written) where that is not each tensor once, `held` the bytes of what it
    makes in between.
    """

    kind: str
    macs: int = 0
    flops: int = 0
    dims: tuple[tuple[str, int], ...] = ()
    moved: tuple[int, int] | None = None
    held: int = 0


Rule: TypeAlias = Callable[[Call], Work]


def tensors_of(values: Any) -> list[torch.Tensor]:
    """The tensors among values and in lists of them, in order."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found.extend(tensors_of(value))
    return found


@cache
def _parameters(operator: Any) -> tuple[tuple[str, Any], ...]:
    """The names and defaults of an operator's arguments; reading a schema is slow."""
    return tuple((argument.name, argument.default_value) for argument in operator._schema.arguments)


def bind(operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, defaults filled in."""
    given = dict(_parameters(operator))
    given.update(zip(given, args, strict=False))
    given.update(kwargs)
    return given


def elements(tensors: Sequence[torch.Tensor]) -> int:
    """The number of elements of all tensors."""
    return sum(tensor.numel() for tensor in tensors)


def per_output(kind: str, factor: int = 1) -> Rule:
    """A rule: so many arithmetic operations for each element of the output."""
    return lambda call: Work(kind, 0, factor * elements(call.outputs[:1]))


def per_input(kind: str, factor: int = 1) -> Rule:
    """A rule: so many arithmetic operations for each element of the first input."""

    def rule(call: Call) -> Work:
        inputs = call.tensors()
        return Work(kind, 0, factor * (inputs[0].numel() if inputs else 0))

    return rule


def spread(name: str, extents: Sequence[int]) -> tuple[tuple[str, int], ...]:
    """Named dimensions of a list: ``kernel_0``, ``kernel_1``, ..."""
    return tuple((f"{name}_{index}", int(extent)) for index, extent in enumerate(extents))


def product(extents: Sequence[int]) -> int:
    """The product of extents as an integer."""
    return math.prod(int(extent) for extent in extents)
