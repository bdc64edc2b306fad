"""A gated depthwise mixer for images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas import Block, Choice, Signature, hookimpl

NAS_API_VERSION = 1


class GatedDepthwise(nn.Module):
    """``depthwise(x) * sigmoid(pointwise(x))``: what a position sees around it, gated by what stands there.

    Keeps (N, C, H, W). Parameters: C (kernel² + 1) + C (C + 1).

    - `kernel`: side of the depthwise convolution in pixels, odd.
    """

    def __init__(self, signature: Signature, *, kernel: int = 3) -> None:
        super().__init__()
        channels = signature.channels
        self.depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.pointwise = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to the same shape."""
        return self.depthwise(x) * torch.sigmoid(self.pointwise(x))


def _is_odd(signature: Signature, width: int | None, stride: int, *, kernel: int) -> bool:
    """Which knob values fit: even kernels would change the size."""
    return kernel % 2 == 1


def _params(signature: Signature, width: int | None, stride: int, *, kernel: int) -> int:
    return signature.channels * (kernel**2 + 1) + signature.channels * (signature.channels + 1)


def _macs(signature: Signature, width: int | None, stride: int, *, kernel: int) -> int:
    height, width_ = signature.size
    return height * width_ * signature.channels * (kernel**2 + signature.channels)


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this package."""
    options: dict[str, Any] = {"valid": _is_odd, "params": _params, "macs": _macs}
    return [
        Block(
            name="gated_depthwise",
            role="mixer",
            domain="image",
            build=GatedDepthwise,
            knobs={"kernel": Choice(3, 5, 7)},
            description="a depthwise convolution gated by a pointwise one",
            **options,
        )
    ]
