"""How the recursive gated convolution cuts its channels; without torch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nas.spaces.signature import Signature


def widths(channels: int, order: int) -> list[int]:
    """The channels of the gates, from the narrowest to the widest: each half of the next, the last all.

    >>> widths(64, 3)
    [16, 32, 64]
    """
    return [channels >> step for step in reversed(range(order))]


def spatial_channels(channels: int, order: int) -> int:
    """The channels of all gates together: 2 C without those that are not gated."""
    return sum(widths(channels, order))


def fits(signature: Signature, width: int | None, stride: int, *, order: int, **knobs: Any) -> bool:
    """The channels can be halved for each product but the first."""
    return signature.channels % (1 << order - 1) == 0


def inside(signature: Signature, width: int | None, stride: int, *, order: int, **knobs: Any) -> Signature:
    """What the spatial operator works on."""
    return replace(signature, channels=spatial_channels(signature.channels, order))
