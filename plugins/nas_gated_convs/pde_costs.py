"""What the block of a quasi-linear hyperbolic system costs; without torch."""

from __future__ import annotations

from math import prod
from typing import Any

from nas.spaces.signature import Signature

KERNEL = 3


def is_transition(signature: Signature, width: int | None, stride: int) -> bool:
    """Whether the block changes the channels or the size, so that nothing passes by it as it is."""
    return stride != 1 or width not in (None, signature.channels)


def params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    expansion: int,
    depthwise_multiplier: int,
    **knobs: Any,
) -> int:
    """The convolutions without bias, and two numbers per channel behind each of them."""
    channels, outputs = signature.channels, width or signature.channels
    inner = expansion * channels
    wide = depthwise_multiplier * inner
    total = 2 * inner * (channels + 2) + wide * (KERNEL**2 + 2) + outputs * (wide + 2)
    return total + outputs * (channels + 2) * is_transition(signature, width, stride)


def macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    expansion: int,
    depthwise_multiplier: int,
    **knobs: Any,
) -> int:
    """The 1x1 expansion where the block is entered, all else where it is left."""
    channels, outputs = signature.channels, width or signature.channels
    inner = expansion * channels
    wide = depthwise_multiplier * inner
    leaving = wide * KERNEL**2 + outputs * wide
    leaving += outputs * channels * is_transition(signature, width, stride)
    return prod(signature.size) * 2 * inner * channels + prod(signature.after(width, stride).size) * leaving
