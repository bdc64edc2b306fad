"""What the global-local filter costs and where it fits; without torch."""

from __future__ import annotations

from math import log2, prod
from typing import Any

from nas.spaces.signature import Signature

KERNEL = 3


def fits(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """One channel for each half at least; every size of a map will do."""
    return signature.channels > 1


def split(channels: int) -> tuple[int, int]:
    """The channels of the local half and of the global one; an odd one is local."""
    return channels - channels // 2, channels // 2


def frequencies(size: tuple[int, ...]) -> tuple[int, int]:
    """The frequencies of a real map: all along H, the half of them along W that tells the other half."""
    height, width = size
    return height, width // 2 + 1


def params(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """A depthwise kernel per local channel, two numbers per global frequency, two norms."""
    local, spectral = split(signature.channels)
    rows, columns = frequencies(signature.size)
    return local * KERNEL**2 + spectral * rows * columns * 2 + 4 * signature.channels


def macs(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """The depthwise convolution, and a transform there and one back.

    A transform of n real numbers is counted as 5 / 2 · n · log2 n operations, and two of them as one
    multiply-accumulate.
    """
    local, spectral = split(signature.channels)
    positions = prod(signature.size)
    transform = round(5 / 4 * spectral * positions * log2(max(2, positions)))
    return local * KERNEL**2 * positions + 2 * transform
