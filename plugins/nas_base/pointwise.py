"""1x1 convolutions without bias, as MetaFormer has them in place of linear layers."""

from __future__ import annotations

from torch import nn


def pointwise(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution without bias; its weights are drawn from a truncated normal of deviation 0.02."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    return conv
