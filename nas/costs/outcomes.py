"""What operators return and compute, remembered: a call is worked out once for the same shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from nas.costs.call import Work

Key: TypeAlias = tuple[Any, ...]
LIMIT = 1 << 15
"""Calls remembered at most, about 30 MB; beyond that all are forgotten."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The (shape, strides, dtype) of each tensor that a call returns, in which container, and its work."""

    outputs: tuple[tuple[torch.Size, tuple[int, ...], torch.dtype], ...]
    container: Callable[[list[torch.Tensor]], Any] | None
    work: Work

    def tensors(self) -> list[torch.Tensor]:
        """New tensors on the meta device, as the call returned them."""
        return [
            torch.empty_strided(shape, strides, dtype=dtype, device="meta")
            for shape, strides, dtype in self.outputs
        ]

    def result(self, tensors: list[torch.Tensor]) -> Any:
        """The tensors in the form in which the operator returns them."""
        return tensors[0] if self.container is None else self.container(tensors)


_outcomes: dict[Key, Outcome] = {}


def recall(key: Key) -> Outcome | None:
    """What is known of a call."""
    return _outcomes.get(key)


def remember(key: Key, result: Any, work: Work) -> None:
    """Keeps what a call returned, where that was nothing but tensors on the meta device."""
    outputs = [result] if isinstance(result, torch.Tensor) else result
    if not (isinstance(outputs, list | tuple) and all(map(_is_plain, outputs))):
        return
    if len(_outcomes) >= LIMIT:
        _outcomes.clear()
    container = None if outputs is not result else tuple if isinstance(result, tuple) else list
    shown = tuple((output.shape, output.stride(), output.dtype) for output in outputs)
    _outcomes[key] = Outcome(shown, container, work)


def call_key(operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Key | None:
    """What the outcome of a call depends on; None where that is more than shapes on the meta device."""
    parts: list[Any] = [operator]
    if not _describe(args, parts):
        return None
    for name, value in kwargs.items():
        parts.append(name)
        if not _describe((value,), parts):
            return None
    return tuple(parts)


def _describe(values: Sequence[Any], parts: list[Any]) -> bool:
    """Adds a description of each value; False where one has none that can be compared."""
    for value in values:
        if isinstance(value, torch.Tensor):
            if not _is_plain(value):
                return False
            parts += (value.shape, value.stride(), value.dtype)
        elif isinstance(value, list | tuple):
            parts.append(len(value))
            if not _describe(value, parts):
                return False
        elif value is None or isinstance(value, _COMPARED):
            parts += (type(value), value)  # 1, 1.0 and True are equal and mean different types of output
        else:
            return False
    return True


_COMPARED = (bool, int, float, str, torch.dtype, torch.device, torch.layout, torch.memory_format)


def _is_plain(tensor: Any) -> bool:
    """Whether shape, strides and dtype are all there is to a tensor."""
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.is_meta
        and tensor.layout is torch.strided
        and not tensor.dtype.is_complex
    )
