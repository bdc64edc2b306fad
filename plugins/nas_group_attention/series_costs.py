"""Which blocks for series fit where, and what they cost, by hand. No torch."""

from __future__ import annotations

from typing import Any

from nas.spaces.signature import Signature


def fits_attention(signature: Signature, width: int | None, stride: int, *, head_dim: int, **_: Any) -> bool:
    """The heads split the channels evenly."""
    return signature.channels % head_dim == 0


def fits_kernel(signature: Signature, width: int | None, stride: int, *, kernel: int, **_: Any) -> bool:
    """Kernels are odd, so that padding keeps the length."""
    return kernel % 2 == 1


def attention_params(signature: Signature, width: int | None, stride: int, **_: Any) -> int:
    """Queries, keys, values and projection, without biases."""
    return 4 * signature.channels**2


def attention_macs(signature: Signature, width: int | None, stride: int, **_: Any) -> int:
    """The four layers, every position against every other, and the sums of values."""
    channels, (length,) = signature.channels, signature.size
    return 4 * channels**2 * length + 2 * length**2 * channels


def group_attention_macs(
    signature: Signature, width: int | None, stride: int, *, groups: int, iterations: int, **_: Any
) -> int:
    """The four layers, and per group and position: two products in each iteration, four for the attention.

    Linear in the length; that of plain attention where there are no fewer groups than positions.
    """
    channels, (length,) = signature.channels, signature.size
    if groups >= length:
        return attention_macs(signature, width, stride)
    return 4 * channels**2 * length + (2 * iterations + 4) * length * groups * channels


def conv_params(signature: Signature, width: int | None, stride: int, *, kernel: int, **_: Any) -> int:
    """One kernel and one bias for every channel."""
    return (kernel + 1) * signature.channels


def conv_macs(signature: Signature, width: int | None, stride: int, *, kernel: int, **_: Any) -> int:
    """One kernel for every channel and position."""
    return kernel * signature.channels * signature.size[0]


def inner_channels(channels: int, ratio: float) -> int:
    """The channels between the two layers of a feed-forward part."""
    return max(1, round(channels * ratio))


def mlp_params(signature: Signature, width: int | None, stride: int, *, ratio: float, **_: Any) -> int:
    """Two layers with biases."""
    channels = signature.channels
    inner = inner_channels(channels, ratio)
    return 2 * channels * inner + inner + channels


def mlp_macs(signature: Signature, width: int | None, stride: int, *, ratio: float, **_: Any) -> int:
    """Two layers at every position."""
    return 2 * signature.channels * inner_channels(signature.channels, ratio) * signature.size[0]


def stem_params(signature: Signature, width: int | None, stride: int, *, kernel: int, position: str) -> int:
    """A convolution with bias, and a number per channel and position where those are learned."""
    behind = signature.after(width, stride)
    learned = behind.channels * behind.size[0] if position == "learned" else 0
    return behind.channels * (signature.channels * kernel + 1) + learned


def stem_macs(signature: Signature, width: int | None, stride: int, *, kernel: int, **_: Any) -> int:
    """The convolution."""
    behind = signature.after(width, stride)
    return behind.channels * behind.size[0] * signature.channels * kernel
