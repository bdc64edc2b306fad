"""What global response normalisation costs; without torch."""

from __future__ import annotations

from typing import Any

from nas.spaces.signature import Signature


def norm_params(signature: Signature, width: int | None, stride: int) -> int:
    """A gain and a bias per channel."""
    return 2 * signature.channels


def norm_macs(signature: Signature, width: int | None, stride: int) -> int:
    """No convolution, no product of matrices."""
    return 0


def mlp_params(
    signature: Signature, width: int | None, stride: int, *, ratio: float, bias: bool, **knobs: Any
) -> int:
    """Two 1x1 convolutions, the gain and bias of the norm between them, and the activation's own."""
    channels, inner = signature.channels, _inner(signature, ratio)
    own = 2 if knobs["activation"] == "star_relu" else 0
    return 2 * channels * inner + 2 * inner + (inner + channels if bias else 0) + own


def mlp_macs(
    signature: Signature, width: int | None, stride: int, *, ratio: float, bias: bool, **knobs: Any
) -> int:
    """Two 1x1 convolutions at every position."""
    height, breadth = signature.size
    return 2 * height * breadth * signature.channels * _inner(signature, ratio)


def _inner(signature: Signature, ratio: float) -> int:
    return max(1, round(signature.channels * ratio))
