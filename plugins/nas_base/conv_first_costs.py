"""Where the block of ConvFirstNet fits and what it costs, without torch."""

from __future__ import annotations

from math import prod
from typing import Any

from nas.spaces.signature import Signature


def inner_channels(channels: int, expansion: float) -> int:
    """The channels between the two 1x1 convolutions."""
    return round(channels * expansion)


def fits(
    signature: Signature, width: int | None, stride: int, *, group_width: int, kernel: int, **knobs: Any
) -> bool:
    """The kernel is odd, and the channels fall into groups of the width."""
    return kernel % 2 == 1 and signature.channels % group_width == 0


def params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    group_width: int,
    kernel: int,
    expansion: float,
    activation: str,
) -> int:
    """Three convolutions without bias, two numbers per channel behind each, and two of a StarReLU."""
    channels, inner = signature.channels, inner_channels(signature.channels, expansion)
    outputs = width or channels
    weights = kernel**2 * channels * group_width + inner * (channels + outputs)
    return weights + 2 * (channels + inner + outputs) + 2 * (activation == "star_relu")


def macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    group_width: int,
    kernel: int,
    expansion: float,
    activation: str,
) -> int:
    """The weights of the three convolutions at every position behind the stride."""
    channels, inner = signature.channels, inner_channels(signature.channels, expansion)
    behind = signature.after(width, stride)
    return prod(behind.size) * (kernel**2 * channels * group_width + inner * (channels + behind.channels))
