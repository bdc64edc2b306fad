"""Convolution by other algorithms, in plain PyTorch: what the cost model counts, made to run.

Each gives what `torch.nn.functional.conv2d` gives, for (N, C, H, W) inputs and (outputs, C / groups, kernel
height, kernel width) weights, with zero padding, stride, dilation and groups.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from nas_hardware.conv_algorithms import fast_length

Pair: TypeAlias = int | tuple[int, int]


def sliding_conv2d(
    x: Tensor, weight: Tensor, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1
) -> Tensor:
    """The sum over filter taps of the shifted input times the tap: no matrix of patches (arXiv:2310.05218).

    The input is read in place; only the output is allocated, and its padding where there is some.
    """
    x, (sh, sw), (dh, dw) = _padded(x, padding), _pair(stride), _pair(dilation)
    height, width = _out(x, weight, stride, dilation)
    taps = weight.unflatten(0, (groups, -1))
    x = x.unflatten(1, (groups, -1))
    total = x.new_zeros(x.shape[0], groups, taps.shape[1], height, width)
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            rows = slice(i * dh, i * dh + (height - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (width - 1) * sw + 1, sw)
            total += torch.einsum("ngchw,gkc->ngkhw", x[..., rows, columns], taps[..., i, j])
    return total.flatten(1, 2)


def im2win(x: Tensor, kernel_height: int, *, stride: int = 1, dilation: int = 1) -> Tensor:
    """The window tensor of an input that is padded already (arXiv:2306.14316).

    (N, C, H, W) to (N, C, output height, W · kernel height): for each output row the input rows it sees,
    column by column, so that the window of an output is one piece of it without gaps.
    """
    rows = x.unfold(2, dilation * (kernel_height - 1) + 1, stride)[..., ::dilation]
    return rows.contiguous().flatten(3)


def im2win_conv2d(
    x: Tensor, weight: Tensor, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1
) -> Tensor:
    """Dot products of the windows of `im2win` with filters in the same order."""
    x, (sh, sw), (dh, dw) = _padded(x, padding), _pair(stride), _pair(dilation)
    kernel_height, kernel_width = weight.shape[2:]
    _, breadth = _out(x, weight, stride, dilation)
    stored = im2win(x, kernel_height, stride=sh, dilation=dh)
    batch, channels, height, length = stored.shape
    windows = stored.as_strided(
        (batch, groups, channels // groups, height, breadth, kernel_width, kernel_height),
        (
            channels * height * length,
            channels // groups * height * length,
            height * length,
            length,
            sw * kernel_height,
            dw * kernel_height,
            1,
        ),
    )
    filters = weight.unflatten(0, (groups, -1)).transpose(-1, -2)
    product: Tensor = torch.einsum("ngchwba,gkcba->ngkhw", windows, filters)
    return product.flatten(1, 2)


def fft_conv2d(
    x: Tensor, weight: Tensor, *, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1
) -> Tensor:
    """The product of Fourier transforms, of a length at which nothing wraps around into the output.

    The work does not depend on the kernel, but for the padding. Strides keep every stride-th output of all.
    """
    x, (sh, sw) = _padded(x, padding), _pair(stride)
    weight = _dilated(weight, *_pair(dilation))
    sizes = tuple(fast_length(extent) for extent in x.shape[2:])
    maps = torch.fft.rfft2(x, s=sizes).unflatten(1, (groups, -1))
    filters = torch.fft.rfft2(weight, s=sizes).conj().unflatten(0, (groups, -1))
    product = torch.einsum("ngchw,gkchw->ngkhw", maps, filters).flatten(1, 2)
    every: Tensor = torch.fft.irfft2(product, s=sizes)
    height, width = (
        extent - kernel + 1 for extent, kernel in zip(x.shape[2:], weight.shape[2:], strict=True)
    )
    return every[..., :height:sh, :width:sw]


def _dilated(weight: Tensor, dh: int, dw: int) -> Tensor:
    """The weights with zeros between them."""
    if dh == dw == 1:
        return weight
    height, width = ((size - 1) * by + 1 for size, by in zip(weight.shape[2:], (dh, dw), strict=True))
    spread = weight.new_zeros(*weight.shape[:2], height, width)
    spread[..., ::dh, ::dw] = weight
    return spread


def _padded(x: Tensor, padding: Pair) -> Tensor:
    ph, pw = _pair(padding)
    return F.pad(x, (pw, pw, ph, ph)) if ph or pw else x


def _out(x: Tensor, weight: Tensor, stride: Pair, dilation: Pair) -> tuple[int, int]:
    """The height and width of the output of an input that is padded already."""
    height, width = (
        (extent - by * (kernel - 1) - 1) // step + 1
        for extent, kernel, step, by in zip(
            x.shape[2:], weight.shape[2:], _pair(stride), _pair(dilation), strict=True
        )
    )
    return height, width


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
