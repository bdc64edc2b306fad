"""The formula of a dilated reparameterised convolution, for the tests of what has one inside."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def convolved(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """A depthwise convolution that keeps the size, tap by tap."""
    side = weight.shape[-1]
    reach = dilation * (side // 2)
    height, breadth = x.shape[2:]
    padded = x.new_zeros((*x.shape[:2], height + 2 * reach, breadth + 2 * reach))
    padded[:, :, reach : reach + height, reach : reach + breadth] = x
    y = torch.zeros_like(x)
    for i in range(side):
        for j in range(side):
            top, left = i * dilation, j * dilation
            y += weight[:, 0, i, j].reshape(-1, 1, 1) * padded[..., top : top + height, left : left + breadth]
    return y


def normalised(x: Tensor, norm: Any) -> Tensor:
    """A batch norm in eval."""
    mean, var, gain, bias = (
        value.reshape(-1, 1, 1) for value in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return (x - mean) / (var + norm.eps).sqrt() * gain + bias


def summed(x: Tensor, module: Any) -> Tensor:
    """What the mixer does in eval: every branch by itself."""
    y = torch.zeros_like(x)
    for convolution, norm in module.branches:
        y = y + normalised(convolved(x, convolution.weight, convolution.dilation[0]), norm)
    return y
