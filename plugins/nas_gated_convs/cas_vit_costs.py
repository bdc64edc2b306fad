"""Hand formulas of CAS-ViT, without torch."""

from __future__ import annotations

from math import prod

from nas.spaces.signature import Signature


def mixer_params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    spatial_gate: bool,
    channel_gate: bool,
) -> int:
    """Parameters of `AdditiveMixer`."""
    C, taps = signature.channels, kernel**2
    gate = spatial_gate * C * (taps + 1 + 2 + 1) + channel_gate * C**2
    return 3 * C**2 + 2 * gate + 2 * C * (taps + 1)


def mixer_macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel: int,
    spatial_gate: bool,
    channel_gate: bool,
) -> int:
    """Multiply-accumulates of `AdditiveMixer`: linear in the positions."""
    C, taps, positions = signature.channels, kernel**2, prod(signature.size)
    everywhere = 3 * C**2 + spatial_gate * 2 * C * (taps + 1) + 2 * C * taps
    return positions * everywhere + channel_gate * 2 * C**2
