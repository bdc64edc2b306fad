"""Where one-shot aggregation fits and what it costs, without torch."""

from __future__ import annotations

from math import prod
from typing import Any

from nas.spaces.signature import Signature


def inner_channels(width: int, ratio: float) -> int:
    """The channels of each convolution of the chain."""
    return max(1, round(width * ratio))


def is_residual(channels: int, width: int, stride: int) -> bool:
    """Whether the shape is kept."""
    return stride == 1 and channels == width


def stem_widths(width: int) -> tuple[int, int, int]:
    """The channels behind each convolution of the stem."""
    return max(1, width // 2), max(1, width // 2), width


def stem_strides(stride: int) -> tuple[int, int]:
    """How the first and the last convolution of the stem share the stride."""
    first = 2 if stride % 2 == 0 else 1
    return first, stride // first


def fits(
    signature: Signature, width: int | None, stride: int, *, residual: bool, ratio: float, **knobs: Any
) -> bool:
    """The pool halves or is not there; a residual is asked for where the shape is kept alone."""
    kept = is_residual(signature.channels, width or signature.channels, stride)
    return stride in (1, 2) and (kept or not residual)


def _weights(channels: int, width: int, layers: int, ratio: float, separable: bool) -> tuple[int, int]:
    """Weights that stand at every position, and channels that are normed."""
    inner = inner_channels(width, ratio)
    mix = (channels + layers * inner) * width
    normed = layers * inner + width
    if not separable:
        return 9 * inner * (channels + (layers - 1) * inner) + mix, normed
    reduces = channels != inner
    chain = layers * (9 * inner + inner**2) + reduces * channels * inner
    return chain + mix, normed + reduces * inner


def params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    layers: int,
    ratio: float,
    separable: bool,
    residual: bool,
    gate: bool,
    activation: str,
) -> int:
    """Convolutions without bias, two numbers per channel behind each, and the gate with its bias."""
    outputs = width or signature.channels
    weights, normed = _weights(signature.channels, outputs, layers, ratio, separable)
    return weights + 2 * normed + gate * (outputs**2 + outputs)


def macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    layers: int,
    ratio: float,
    separable: bool,
    residual: bool,
    gate: bool,
    activation: str,
) -> int:
    """The weights at every position behind the pool, and the gate once."""
    behind = signature.after(width, stride)
    weights, _ = _weights(signature.channels, behind.channels, layers, ratio, separable)
    return weights * prod(behind.size) + gate * behind.channels**2


def stem_params(signature: Signature, width: int | None, stride: int, *, activation: str) -> int:
    """Three convolutions without bias and two numbers per channel behind each."""
    widths = stem_widths(width or signature.channels)
    return 9 * _products(signature.channels, widths) + 2 * sum(widths)


def stem_macs(signature: Signature, width: int | None, stride: int, *, activation: str) -> int:
    """Two convolutions behind the first share of the stride, one behind all of it."""
    first, second, third = stem_widths(width or signature.channels)
    before, _ = stem_strides(stride)
    inside = prod(signature.after(first, before).size)
    outside = prod(signature.after(third, stride).size)
    return 9 * (inside * first * (signature.channels + second) + outside * second * third)


def _products(channels: int, widths: tuple[int, ...]) -> int:
    return sum(inputs * outputs for inputs, outputs in zip((channels, *widths), widths, strict=False))
