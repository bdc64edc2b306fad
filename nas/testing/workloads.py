"""Modules to price: one for each kind of operator that a network is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.costs import Target, Trace
from nas.costs.trace import trace

UNKNOWN = "nas_testing::mystery"


@dataclass(frozen=True)
class Workload:
    """A module of any width, for inputs of any size; `shape` is without the batch."""

    name: str
    build: Callable[[int], nn.Module]
    shape: Callable[[int, int], tuple[int, ...]]

    def trace(self, target: Target, width: int = 32, size: int = 8, batch: int = 1) -> Trace:
        """What it executes on a target."""
        return _traced(self, width, size, batch * target.batch_size, target.precision)


@cache
def _traced(workload: Workload, width: int, size: int, batch: int, precision: str) -> Trace:
    with torch.random.fork_rng(devices=[]):
        return trace(workload.build(width), workload.shape(width, size), batch, precision)


@cache
def workloads() -> tuple[Workload, ...]:
    """Convolutions, matrix products, attention, norms, a small network, and an operator nobody knows."""
    return (
        Workload("convolution", _convolution, _picture),
        Workload("depthwise convolution", _depthwise, _picture),
        Workload("linear", lambda width: nn.Linear(width, 4 * width), _sequence),
        Workload("attention", _Attention, _sequence),
        Workload("norm", nn.LayerNorm, _sequence),
        Workload("small network", _network, _picture),
        unknown_workload(),
    )


@cache
def unknown_workload() -> Workload:
    """An operator that no rule describes."""
    return Workload("operator without a rule", lambda width: _Mystery(), _picture)


def layers_in_line(target: Target, width: int = 16, size: int = 8) -> list[Trace]:
    """The layers of a network, of one shape, of which each is told what made its input; one passes its input
    on, one reads it twice."""
    modules = (
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Identity(),
        nn.Sequential(nn.Sigmoid(), nn.BatchNorm2d(width)),
        nn.Sequential(nn.Hardswish(), nn.Conv2d(width, width, 1)),
        nn.Sequential(nn.BatchNorm2d(width), nn.ReLU()),
        _Gate(),
        nn.MaxPool2d(3, 1, 1),
        nn.Softmax(1),
        nn.GELU(),
    )
    found, kind = [], ""
    for module in modules:
        traced = trace(module, _picture(width, size), target.batch_size, target.precision)
        found.append(replace(traced, input_kind=kind))
        kind = found[-1].output_kind
    return found


def _picture(width: int, size: int) -> tuple[int, ...]:
    return (width, size, size)


def _sequence(width: int, size: int) -> tuple[int, ...]:
    return (size * size, width)


def _convolution(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU())


def _depthwise(width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(width, width, 5, padding=2, groups=width), nn.Hardswish())


def _network(width: int) -> nn.Module:
    return nn.Sequential(
        _convolution(width),
        nn.MaxPool2d(2),
        _depthwise(2 * width),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 10),
        nn.Softmax(dim=1),
    )


class _Attention(nn.Module):
    """Self-attention with heads of 8."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, width // 8, 8).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return torch.as_tensor(self.out(y.transpose(1, 2).reshape(batch, length, width)))


class _Gate(nn.Module):
    """A picture times its own sigmoid."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x.sigmoid()


class _Mystery(nn.Module):
    """One operator of a library of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(_mystery()(x))


@cache
def _mystery() -> Any:
    """The operator, registered at its first use."""
    namespace, _, name = UNKNOWN.partition("::")
    library = torch.library.Library(namespace, "DEF")
    library.define(f"{name}(Tensor x) -> Tensor")
    for key in ("CPU", "Meta"):
        library.impl(name, torch.empty_like, key)
    operator = getattr(getattr(torch.ops, namespace), name)
    operator.library = library  # it is gone with its library
    return operator
