"""How the channels of an inception depthwise convolution split, and what it costs; without torch."""

from __future__ import annotations

from typing import Any

from nas.spaces.signature import Signature

ORDERS = (
    "identity_square_row_column",
    "square_row_column_identity",
    "row_column_identity_square",
    "column_identity_square_row",
)
"""Which channels go where, the first ones first; each branch stands at each place in one of the orders."""


def branch_channels(channels: int, ratio: float) -> int:
    """The channels of each of the three convolutions, rounded down."""
    return int(channels * ratio)


def fits(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    ratio: float,
    square_kernel: int,
    band_kernel: int,
    **knobs: Any,
) -> bool:
    """Kernels are odd, and every convolution has a channel."""
    is_odd = square_kernel % 2 == 1 and band_kernel % 2 == 1
    return is_odd and 1 <= branch_channels(signature.channels, ratio) <= signature.channels // 3


def params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    ratio: float,
    square_kernel: int,
    band_kernel: int,
    **knobs: Any,
) -> int:
    """A square and two bands for each channel of a branch, with a bias each."""
    return branch_channels(signature.channels, ratio) * (square_kernel**2 + 2 * band_kernel + 3)


def macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    ratio: float,
    square_kernel: int,
    band_kernel: int,
    **knobs: Any,
) -> int:
    """A square and two bands for each channel of a branch at every position."""
    height, breadth = signature.size
    taps = square_kernel**2 + 2 * band_kernel
    return height * breadth * branch_channels(signature.channels, ratio) * taps
