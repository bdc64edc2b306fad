"""How a mixed depthwise convolution shares out its channels, and what its block costs; without torch."""

from __future__ import annotations

from math import prod
from typing import Any

from nas.spaces.signature import Signature

SPLITS = ("equal", "exponential")


def kernel_sizes(kernel_groups: int) -> tuple[int, ...]:
    """The kernel of each group, in pixels: 3, 5, 7, ..."""
    return tuple(range(3, 2 * kernel_groups + 2, 2))


def group_channels(channels: int, kernel_groups: int, split: str) -> tuple[int, ...]:
    """The channels of each group.

    "equal" gives every group the same, "exponential" each a half of the one before it and the last two the
    same. Both round down; the first group takes what is left over.

    >>> group_channels(32, 4, "equal"), group_channels(32, 4, "exponential")
    ((8, 8, 8, 8), (16, 8, 4, 4))
    """
    if split == "equal":
        others = [channels // kernel_groups] * (kernel_groups - 1)
    else:
        others = [channels // 2 ** min(i + 1, kernel_groups - 1) for i in range(1, kernel_groups)]
    return (channels - sum(others), *others)


def inner_channels(signature: Signature, expansion: float) -> int:
    """The channels behind the expansion."""
    return round(signature.channels * expansion)


def fits(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel_groups: int,
    split: str,
    expansion: float,
    expand_groups: int,
    project_groups: int,
    **knobs: Any,
) -> bool:
    """Every kernel has a channel, and the groups of a 1x1 convolution divide what enters and leaves it."""
    channels, inner = signature.channels, inner_channels(signature, expansion)
    outputs = width or channels
    expands = expansion == 1 or (channels % expand_groups == 0 and inner % expand_groups == 0)
    projects = inner % project_groups == 0 and outputs % project_groups == 0
    return expands and projects and min(group_channels(inner, kernel_groups, split)) >= 1


def params(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel_groups: int,
    split: str,
    dilated: bool,
    expansion: float,
    expand_groups: int,
    project_groups: int,
    se: float,
    activation: str,
) -> int:
    """Three convolutions without bias, two numbers per channel behind each, and the gate with its biases."""
    channels, inner = signature.channels, inner_channels(signature, expansion)
    outputs = width or channels
    total = _taps(inner, kernel_groups, split, dilated) + 2 * inner
    total += inner * outputs // project_groups + 2 * outputs
    if expansion != 1:
        total += channels * inner // expand_groups + 2 * inner
    if se:
        squeezed = _squeezed(channels, se)
        total += 2 * inner * squeezed + squeezed + inner
    activations = 1 + (expansion != 1) + (se != 0)
    return total + (2 * activations if activation == "star_relu" else 0)


def macs(
    signature: Signature,
    width: int | None,
    stride: int,
    *,
    kernel_groups: int,
    split: str,
    dilated: bool,
    expansion: float,
    expand_groups: int,
    project_groups: int,
    se: float,
    **knobs: Any,
) -> int:
    """The expansion where the block is entered, the gate once, all else where the block is left."""
    channels, inner = signature.channels, inner_channels(signature, expansion)
    leaving = _taps(inner, kernel_groups, split, dilated)
    leaving += inner * (width or channels) // project_groups
    total = prod(signature.after(None, stride).size) * leaving
    if expansion != 1:
        total += prod(signature.size) * channels * inner // expand_groups
    return total + (2 * inner * _squeezed(channels, se) if se else 0)


def _taps(channels: int, kernel_groups: int, split: str, dilated: bool) -> int:
    """The weights of the depthwise convolutions."""
    sides = [3 if dilated else kernel for kernel in kernel_sizes(kernel_groups)]
    shares = group_channels(channels, kernel_groups, split)
    return sum(count * side**2 for count, side in zip(shares, sides, strict=True))


def _squeezed(channels: int, se: float) -> int:
    """The channels between the two layers of the gate."""
    return max(1, round(channels * se))
