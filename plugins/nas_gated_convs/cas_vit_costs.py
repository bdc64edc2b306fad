"""Hand formulas of CAS-ViT, without torch.

The knobs `k` are `kernel`, `spatial_gate` and `channel_gate`.
"""

from __future__ import annotations

from math import prod

from nas.spaces.signature import Signature


def mixer_params(signature: Signature, width: int | None, stride: int, **k: int) -> int:
    """Parameters of `AdditiveMixer`."""
    C, taps = signature.channels, k["kernel"] ** 2
    gate = k["spatial_gate"] * C * (taps + 1 + 2 + 1) + k["channel_gate"] * C**2
    return 3 * C**2 + 2 * gate + 2 * C * (taps + 1)


def mixer_macs(signature: Signature, width: int | None, stride: int, **k: int) -> int:
    """Multiply-accumulates of `AdditiveMixer`: linear in the positions."""
    C, taps, positions = signature.channels, k["kernel"] ** 2, prod(signature.size)
    everywhere = 3 * C**2 + k["spatial_gate"] * 2 * C * (taps + 1) + 2 * C * taps
    return positions * everywhere + k["channel_gate"] * 2 * C**2
