"""Zen score: how expressive the maps of a network are, when its weights are plain noise."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import TrialError
from nas.training.proxy import ProxyBatch
from nas_proxies.calls import Calls, channel_variance, norm_handlers, norm_input

STEP = 0.01
"""Size of the change of the input, in standard deviations."""
EPSILON = 1e-5


def zen(module: nn.Module, batch: ProxyBatch) -> float:
    """``log E|f(x + 0.01 e) - f(x)| + sum log sigma`` (arXiv:2102.01063), for any batch of one shape.

    f is the last map before positions are pooled, x and e are standard normal, and so are all weights (the
    parameters of two axes or more; biases are 0). E is the mean over samples of the summed difference; sigma
    is, for each norm, the root of the mean over channels of the variance that it divides by.
    """
    generator = torch.Generator().manual_seed(batch.seed)
    _draw_weights(module, generator)
    x, e = (torch.randn(batch.inputs.shape, generator=generator) for _ in range(2))
    for dtype in (torch.float32, torch.float64):  # without norms the maps outgrow a float
        scale, difference = _measured(module.to(dtype), x.to(dtype), e.to(dtype))
        if math.isfinite(scale + difference):
            return math.log(max(difference, sys.float_info.min)) + scale
    raise TrialError("the last map is beyond what a double can hold: the network is too deep for it")


def _draw_weights(module: nn.Module, generator: torch.Generator) -> None:
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(generator=generator)
        elif name.endswith("bias"):
            parameter.data.zero_()


def _measured(module: nn.Module, x: Tensor, e: Tensor) -> tuple[float, float]:
    """The sum of the logs of all sigmas, and how far the last map moves."""
    logs: list[float] = []

    def note(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        variance = channel_variance(norm_input(args, kwargs)).item()
        logs.append(0.5 * math.log(variance + EPSILON))
        return call(*args, **kwargs)

    with Calls(norm_handlers(note)):
        here = last_map(module, x)
    there = last_map(module, x + STEP * e)
    return math.fsum(logs), float((here - there).abs().flatten(1).sum(1).mean())


def last_map(module: nn.Module, inputs: Tensor) -> Tensor:
    """What the last part of a module that still has positions gave, or the output where none has any."""
    maps: list[Tensor] = []

    def note(part: nn.Module, given: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 2 and math.prod(output.shape[2:]) > 1:
            maps[:] = [output]

    leaves = [part for part in module.modules() if not any(True for _ in part.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    output: Tensor = module(inputs)
    for hook in hooks:
        hook.remove()
    return maps[-1] if maps else output
