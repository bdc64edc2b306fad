"""Synaptic flow: what passes through a network whose weights are all positive."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.errors import TrialError
from nas.training.proxy import ProxyBatch
from nas_proxies.calls import Calls, Handler, norm_handlers, norm_input

PRODUCTS = ("mul", "__mul__", "matmul", "__matmul__", "bmm")
SQUARES = ("square", "pow", "__pow__")
ATTENTION = "scaled_dot_product_attention"


def synflow(module: nn.Module, batch: ProxyBatch) -> float:
    """The natural log of ``sum |w * dR/dw|`` over all weights (arXiv:2006.05467).

    R is the sum of the scores for an input of ones, every parameter replaced by its absolute value and every
    norm left out; weights are the parameters of two axes or more. In float64 and as a log, since the flow
    grows as a power of the depth. The paper's networks are linear in the flow; so that gates and squares are
    too, a map that multiplies another one or itself, or that says where to attend, is first scaled to an
    average of 1. Only the shape of the batch matters. Where nothing flows, the log is that of the smallest
    double, -708.4.
    """
    positive = module.double().eval()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    with Calls(_linear(positive)):
        positive(torch.ones_like(batch.inputs[:1], dtype=torch.float64)).sum().backward()
    return _log_of(_flow(positive))


def _linear(module: nn.Module) -> dict[str, Handler]:
    """What stands for norms and products, so that the scores are linear in the flow."""
    constants = {value.untyped_storage().data_ptr() for value in (*module.parameters(), *module.buffers())}

    def is_map(value: object) -> bool:
        return isinstance(value, Tensor) and value.untyped_storage().data_ptr() not in constants

    def norm(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return norm_input(args, kwargs)

    def product(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if len(args) > 1 and is_map(args[0]) and is_map(args[1]):
            return call(args[0], _relative(args[1]), **kwargs)
        return call(*args, **kwargs)

    def square(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return call(*args, **kwargs) / call(*(_average(args[0]), *args[1:]), **kwargs) * _average(args[0])

    handlers = norm_handlers(norm) | dict.fromkeys(PRODUCTS, product) | dict.fromkeys(SQUARES, square)
    return handlers | {"softmax": _softmax, ATTENTION: _attention}


def _softmax(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return call(_relative(args[0]), *args[1:], **kwargs)


def _attention(call: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    return call(_relative(args[0]), _relative(args[1]), *args[2:], **kwargs)


def _average(flow: Tensor) -> Tensor:
    """The mean of a map, taken as a constant; 1 where it is 0."""
    mean = flow.detach().mean()
    return torch.where(mean == 0, torch.ones_like(mean), mean)


def _relative(flow: Tensor) -> Tensor:
    return flow / _average(flow)


@torch.no_grad()
def _flow(module: nn.Module) -> float:
    pairs = [(p, p.grad) for p in module.parameters() if p.ndim > 1]
    return math.fsum((w * gradient).abs().sum().item() for w, gradient in pairs if gradient is not None)


def _log_of(flow: float) -> float:
    if not math.isfinite(flow):
        raise TrialError("the flow is beyond what a double can hold: the network is too deep for it")
    return math.log(max(flow, sys.float_info.min))
