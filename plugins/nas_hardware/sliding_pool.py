"""Pooling in a logarithmic number of steps: windows of powers of two are made from each other."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def sliding_max_pool2d(x: Tensor, kernel: int, *, stride: int = 1, padding: int = 0) -> Tensor:
    """`max_pool2d` by `pool_steps(kernel)` maxima of shifted maps for each axis (arXiv:2310.05218)."""
    x = F.pad(x, (padding,) * 4, value=float("-inf"))
    for axis in (2, 3):
        x = _slide(x, kernel, axis, torch.maximum)
    return x[..., ::stride, ::stride]


def sliding_average_pool2d(x: Tensor, kernel: int, *, stride: int = 1, padding: int = 0) -> Tensor:
    """`avg_pool2d`, padding counted as zeros, by `pool_steps(kernel)` sums for each axis."""
    x = F.pad(x, (padding,) * 4)
    for axis in (2, 3):
        x = _slide(x, kernel, axis, torch.add)
    return x[..., ::stride, ::stride] / kernel**2


def pool_steps(kernel: int) -> int:
    """How many combinations of two maps make a window of `kernel`: its bits, and its ones, less one each.

    >>> [pool_steps(kernel) for kernel in (1, 2, 3, 4, 7, 8, 64)]
    [0, 1, 2, 2, 4, 3, 6]
    """
    return kernel.bit_length() - 1 + kernel.bit_count() - 1


def _slide(x: Tensor, kernel: int, axis: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Windows of `kernel` along an axis: those of the ones in its binary form, one behind the other."""
    length = x.shape[axis] - kernel + 1
    total: Tensor | None = None
    window, size, start = x, 1, 0
    while True:
        if kernel & size:
            part = window.narrow(axis, start, length)
            total = part if total is None else combine(total, part)
            start += size
        if start == kernel:
            return total if total is not None else x
        extent = window.shape[axis] - size
        window = combine(window.narrow(axis, 0, extent), window.narrow(axis, size, extent))
        size *= 2
