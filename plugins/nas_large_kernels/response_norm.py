"""Global response normalisation, in which channels compete."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

EPS = 1e-6


class ResponseNorm(nn.Module):
    """``x + gain * x * G / (mean(G) + eps) + bias`` with G the norm of each channel over the map.

    Global response normalisation, GRN (ConvNeXt V2, arXiv:2301.00808); the mean is over the channels.
    (N, C, H, W) keeps its shape. Gain and bias, one per channel, start at 0, where it is the identity.
    """

    bias: nn.Parameter | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The response of each channel beside that of the others scales it."""
        response: Tensor = torch.linalg.vector_norm(x, dim=(2, 3), keepdim=True)
        relative = response / (response.mean(1, keepdim=True) + EPS)
        y = x + self.weight.reshape(-1, 1, 1) * (x * relative)
        return y if self.bias is None else y + self.bias.reshape(-1, 1, 1)

    def without_bias(self) -> ResponseNorm:
        """A copy without the bias, for a deployed form whose next layer has taken it in."""
        copied = copy.deepcopy(self)
        copied.bias = None
        return copied
