"""Depthwise convolutions whose large kernel is generated from points: trained as such, deployed as plain."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_large_kernels.point_kernel import PointKernel
from nas_large_kernels.smp_costs import points_of, series_kernel

CONVOLUTION: dict[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
NORM: dict[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}


class GeneratedConv(nn.Module):
    """A depthwise convolution with a `PointKernel`, and a small one beside it, each with a batch norm.

    Keeps (N, C, *size). `fused()` is one depthwise convolution with bias.
    """

    def __init__(self, channels: int, kernel: int, points: int, small_kernel: int, dimensions: int) -> None:
        super().__init__()
        self.channels, self.dimensions = channels, dimensions
        self.kernel = PointKernel(channels, (kernel,) * dimensions, points)
        self.norm = NORM[dimensions](channels)
        self.small = self._plain(small_kernel, bias=False)
        self.small_norm = NORM[dimensions](channels)
        nn.init.trunc_normal_(self.small.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """The sum of both branches."""
        kernel = self.kernel().unsqueeze(1)
        convolve = F.conv2d if self.dimensions == 2 else F.conv1d
        padding = [extent // 2 for extent in kernel.shape[2:]]
        large = convolve(x, kernel.to(x.dtype), padding=padding, groups=self.channels)
        y: Tensor = self.norm(large) + self.small_norm(self.small(x))
        return y

    def fused(self) -> nn.Module:
        """One depthwise convolution: the generated kernel, the small one in its middle, both norms folded."""
        large = self._plain(self.kernel.sizes[0], bias=False).to(self.small.weight)
        with torch.no_grad():
            large.weight.copy_(self.kernel().unsqueeze(1))
        merged: Any = fold_batch_norm(large, self.norm)
        small: Any = fold_batch_norm(self.small, self.small_norm)
        missing = (merged.weight.shape[-1] - small.weight.shape[-1]) // 2
        with torch.no_grad():
            merged.weight += F.pad(small.weight, (missing,) * (2 * self.dimensions))
            merged.bias += small.bias
        return merged  # type: ignore[no-any-return]

    def _plain(self, kernel: int, *, bias: bool) -> nn.Conv1d | nn.Conv2d:
        C = self.channels
        return CONVOLUTION[self.dimensions](C, C, kernel, padding=kernel // 2, groups=C, bias=bias)


class SmpConv(GeneratedConv):
    """A large depthwise kernel that few moving points span (SMPConv, arXiv:2304.02330).

    Keeps (N, C, H, W); deployed it is one plain depthwise convolution. With n = kernel² / points_divisor
    points: n (C + 3) + C (small_kernel² + 4) parameters.

    - `kernel`: side of the generated kernel in pixels, odd; it may be larger than the map.
    - `points_divisor`: taps for each point; more make the kernel smoother and smaller.
    - `small_kernel`: side of the plain depthwise convolution beside it, odd.
    """

    def __init__(
        self, signature: Signature, *, kernel: int = 13, points_divisor: int = 4, small_kernel: int = 5
    ) -> None:
        super().__init__(signature.channels, kernel, points_of(kernel**2, points_divisor), small_kernel, 2)


class SeriesSmpConv(GeneratedConv):
    """The same along time (arXiv:2304.02330): a kernel up to twice as long as the series.

    Keeps (N, C, L). With n = kernel / points_divisor points: n (C + 2) + C (small_kernel + 4) parameters.

    - `kernel`: length in steps, odd; 0 for one in which every step sees all others.
    - `points_divisor`: taps for each point.
    - `small_kernel`: length of the plain depthwise convolution beside it, odd.
    """

    def __init__(
        self, signature: Signature, *, kernel: int = 0, points_divisor: int = 4, small_kernel: int = 5
    ) -> None:
        length = series_kernel(signature, kernel, small_kernel)
        super().__init__(signature.channels, length, points_of(length, points_divisor), small_kernel, 1)
