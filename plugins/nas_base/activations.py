"""Activations by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StarReLU(nn.Module):
    """``scale * relu(x) ** 2 + bias`` with a learned scale and bias, one of each (arXiv:2210.13452).

    The initial values give a standard normal input zero mean and unit variance.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), 0.8944))
        self.bias = nn.Parameter(torch.full((1,), -0.4472))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; keeps it."""
        return self.scale * F.relu(x).square() + self.bias


class SquaredReLU(nn.Module):
    """``relu(x) ** 2`` (arXiv:2109.08668)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; keeps it."""
        return F.relu(x).square()


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hard_swish": nn.Hardswish,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "star_relu": StarReLU,
    "squared_relu": SquaredReLU,
    "identity": nn.Identity,
}


def activation(name: str) -> nn.Module:
    """A new activation module; raises KeyError for a name that is not in `BUILDERS`."""
    return BUILDERS[name]()
