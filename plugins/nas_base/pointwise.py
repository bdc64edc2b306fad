"""1x1 convolutions in place of linear layers, as MetaFormer has them."""

from __future__ import annotations

from torch import nn


def pointwise(inputs: int, outputs: int, *, bias: bool = False) -> nn.Conv2d:
    """A 1x1 convolution; its weights are drawn from a truncated normal of deviation 0.02, a bias is 0."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=bias)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
