"""The module behind `gated_depthwise`."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas import Signature

from . import hidden_width

GATES = {"sigmoid": torch.sigmoid, "gelu": F.gelu}


class GatedDepthwise(nn.Module):
    """A 1x1 expansion to 2eC channels; ``depthwise(first half) * gate(second half)``; a 1x1 projection.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. A batch norm follows every convolution.
    The input is added where the stride is 1 and the width is C. For inference with a stride, the second half
    is computed at the kept positions alone.

    - `kernel`: side of the depthwise convolution in pixels, odd.
    - `expansion`: e, channels of either half as a multiple of C, rounded.
    - `gate`: what the second half goes through: "sigmoid" or "gelu".
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None,
        stride: int,
        kernel: int = 3,
        expansion: float = 2,
        gate: str = "sigmoid",
    ) -> None:
        super().__init__()
        channels, leaving = signature.channels, signature.after(width, stride).channels
        hidden = hidden_width(channels, expansion)
        self.stride, self.gate = stride, gate
        self.residual = stride == 1 and leaving == channels
        self.expand = _conv_norm(channels, 2 * hidden, 1)
        self.depthwise = _conv_norm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = _conv_norm(hidden, leaving, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, width, H / stride, W / stride)."""
        first, second = self.expand(x).chunk(2, dim=1)
        second = second[:, :, :: self.stride, :: self.stride]
        y = self.project(self.depthwise(first) * GATES[self.gate](second))
        return x + y if self.residual else y

    def fused(self) -> nn.Module:
        """The same with the two halves apart, each computed where it is needed."""
        return self if self.stride == 1 else _Strided(self)


class _Strided(nn.Module):
    """The deployed form of a block with a stride."""

    def __init__(self, block: GatedDepthwise) -> None:
        super().__init__()
        self.gate = block.gate
        self.first = _half(block.expand, 0, 1)
        self.second = _half(block.expand, 1, block.stride)
        self.depthwise, self.project = block.depthwise, block.project

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.depthwise(self.first(x)) * GATES[self.gate](self.second(x)))


def _conv_norm(entering: int, leaving: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(entering, leaving, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(leaving),
    )


def _half(expand: nn.Sequential, index: int, stride: int) -> nn.Conv2d:
    """One half of the expansion, with its batch norm folded, as a convolution of its own."""
    folded = nn.utils.fuse_conv_bn_eval(expand[0], expand[1])
    hidden = folded.out_channels // 2
    part = slice(index * hidden, (index + 1) * hidden)
    half = nn.utils.skip_init(
        nn.Conv2d,
        folded.in_channels,
        hidden,
        1,
        stride,
        device=folded.weight.device,
        dtype=folded.weight.dtype,
    )
    with torch.no_grad():
        half.weight.copy_(folded.weight[part])
        half.bias.copy_(folded.bias[part])
    return half
