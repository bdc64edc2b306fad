"""Calls of torch as a network makes them, in whatever module: to see them, or to stand in for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Handler: TypeAlias = Callable[[Callable[..., Any], Sequence[Any], Mapping[str, Any]], Any]
NORMS = ("batch_norm", "instance_norm", "layer_norm", "group_norm", "rms_norm")


class Calls(TorchFunctionMode):
    """Inside, a call of a function of one of these names is made by its handler instead.

    A handler takes the function, its arguments and its keywords, and returns what stands for the result.
    """

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        super().__init__()
        self._handlers = handlers

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Takes any call of torch; those of other names go their way."""
        handler = self._handlers.get(getattr(func, "__name__", ""))
        given = kwargs or {}
        return func(*args, **given) if handler is None else handler(func, args, given)


def norm_handlers(handler: Handler) -> dict[str, Handler]:
    """This handler for every norm of torch."""
    return dict.fromkeys(NORMS, handler)


def norm_input(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
    """What a norm was given to normalise."""
    found: Tensor = args[0] if args else kwargs["input"]
    return found


def channel_variance(inputs: Tensor) -> Tensor:
    """The mean over channels of the variance that a batch has in each channel; channels are axis 1."""
    others = [axis for axis in range(inputs.ndim) if axis != 1]
    return torch.var(inputs, dim=others, correction=0).mean()
