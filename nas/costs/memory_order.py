"""How tensors lie in memory: what torch's kernels do depends on it, and its meta kernels forget it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from nas.costs.plans import Plan

CONVOLUTIONS = frozenset({"convolution", "_convolution"})
IMAGE_KINDS = frozenset({"conv", "conv_depthwise", "conv_grouped", "pool", "resample"})
"""Kinds with kernels for images that lie with the channels innermost."""
ELEMENTWISE_KINDS = frozenset({"pointwise", "copy"})
"""Kinds that go through several tensors in step, which is quick where these lie alike."""
ANY = "any"
"""The layout of images where a compiler chooses how tensors lie; otherwise ``nchw`` or ``nhwc``."""
ORDERS = ("alike", "spread", "transposed", "innermost")
"""See `order_of`."""


def order_of(kind: str, inputs: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> str:
    """How the tensors of an operator lie in memory, one of ORDERS.

    ``innermost``: images with the channels innermost. Of what goes through tensors in step: ``spread`` where
    one has gaps or is spread over another, ``transposed`` where not all have the same axis innermost; so is
    attention whose heads do not lie side by side, number by number. ``alike`` is everything else.
    """
    if not inputs or not outputs or any(t.layout is not torch.strided for t in (*inputs, *outputs)):
        return "alike"
    if kind in IMAGE_KINDS:
        return "innermost" if has_channels_innermost(inputs[0]) else "alike"
    if kind == "sdpa":
        return "transposed" if any(_is_strided(tensor) for tensor in inputs[:3]) else "alike"
    return _in_step(inputs, outputs[0]) if kind in ELEMENTWISE_KINDS else "alike"


def _in_step(inputs: Sequence[torch.Tensor], output: torch.Tensor) -> str:
    whole = [tensor for tensor in inputs if tensor.shape == output.shape]
    if not whole:
        return "alike"
    if any(_fastest_axis(tensor) != _fastest_axis(output) for tensor in whole):
        return "transposed"
    is_smaller = any(1 < tensor.numel() < output.numel() for tensor in inputs)
    is_filled = all(t.stride() == output.stride() and _is_dense(t) for t in (*whole, output))
    return "alike" if is_filled and not is_smaller else "spread"


def _is_strided(tensor: torch.Tensor) -> bool:
    """Whether the numbers of a row lie apart."""
    return tensor.shape[-1] > 1 and tensor.stride(-1) != 1


def _fastest_axis(tensor: torch.Tensor) -> int | None:
    """The last axis along which neighbours lie side by side."""
    sizes = zip(tensor.shape, tensor.stride(), strict=True)
    return max((axis for axis, (size, stride) in enumerate(sizes) if size > 1 and stride == 1), default=None)


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether a tensor fills its memory without gaps, in whichever order."""
    expected = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride != expected:
                return False
            expected *= size
    return True


def as_kernels_write(plan: Plan, args: tuple[Any, ...], result: Any) -> Any:
    """What a convolution on the meta device returned, in the order that the kernels of devices write.

    Images lie with the channels innermost where those of the input do, or the weight. Whatever else is
    given is returned as it is.
    """
    if plan.name not in CONVOLUTIONS or result.ndim != 4:
        return result
    if any(has_channels_innermost(tensor) for tensor in args[:2]):
        return torch.empty_like(result, memory_format=torch.channels_last)
    return result


def lay_out_weights(module: nn.Module, layout: str) -> None:
    """Brings the weights of two-dimensional convolutions into the order of a layout, in place.

    Weights of other dimensions stay as they are, where ``module.to(memory_format=...)`` would refuse them.
    """
    order = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=order)


def has_channels_innermost(images: torch.Tensor) -> bool:
    """Whether torch takes (N, C, H, W) for images with the channels innermost, by their strides alone.

    Images of one pixel, or of one channel, lie both ways, and count as not.

    >>> has_channels_innermost(torch.empty(2, 8, 4, 4).to(memory_format=torch.channels_last))
    True
    """
    if images.ndim != 4 or images.stride(1) == 0:
        return False
    least = 0
    for axis in (1, 3, 2, 0):
        extent, stride = images.shape[axis], images.stride(axis)
        if extent == 0 or stride < least or (axis == 0 and least == images.stride(1)):
            return False
        least = stride * max(1, extent)
    return True
