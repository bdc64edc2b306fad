"""Norms for maps that do not look at other samples, and the choice between norms by name."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """Layer norm over the channels at each position of a map (arXiv:1607.06450).

    (N, C, H, W) keeps its shape. A gain per channel, and with `bias` a bias per channel; MetaFormer has none
    (arXiv:2210.13452).
    """

    def __init__(self, channels: int, eps: float = 1e-6, *, bias: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Zero mean and unit variance over C, times the gain, plus the bias."""
        last = x.permute(0, 2, 3, 1)
        return F.layer_norm(last, self.weight.shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class MapNorm(nn.Module):
    """Layer norm over channels and positions together, with a gain per channel and no bias.

    That is a group norm of one group; (N, C, H, W) keeps its shape.
    """

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Zero mean and unit variance over (C, H, W), times the gain."""
        return F.group_norm(x, 1, self.weight, None, self.eps)


def map_norm(name: str, channels: int) -> nn.Module:
    """The norm "layer", "layer_bias", "group", "batch" or "none" for maps of so many channels."""
    if name in ("layer", "layer_bias"):
        return ChannelNorm(channels, bias=name == "layer_bias")
    if name == "group":
        return MapNorm(channels)
    return nn.BatchNorm2d(channels) if name == "batch" else nn.Identity()


class ChannelScale(nn.Module):
    """A learned factor per channel (layer scale, arXiv:2103.17239); (N, C, H, W) keeps its shape."""

    def __init__(self, channels: int, initial: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), initial))

    def forward(self, x: Tensor) -> Tensor:
        """The map times the factors."""
        return x * self.weight.reshape(-1, 1, 1)


def channel_scale(channels: int, initial: float) -> nn.Module:
    """A `ChannelScale` that starts at `initial`, or nothing where that is 0."""
    return ChannelScale(channels, initial) if initial else nn.Identity()
