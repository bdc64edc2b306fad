"""The token mixer of InceptionNeXt: most channels pass, few see a large neighbourhood along bands."""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_large_kernels.inception_costs import branch_channels


class InceptionDepthwise(nn.Module):
    """Three depthwise convolutions on a part of the channels each, the rest passes (arXiv:2303.16900).

    Keeps (N, C, H, W). With g = int(ratio C), g channels go through a square kernel, g through a row of
    1 x band_kernel, g through a column of band_kernel x 1, and C - 3 g pass. It is a depthwise convolution
    of the size of the band whose kernels are masked, at a small part of its work; what it takes is mostly
    the traffic of putting the channels together again. Parameters: g (square_kernel² + 2 band_kernel + 3).
    The kernels may be larger than the map.

    - `ratio`: channels of one convolution as a share of C; there must be one at least.
    - `square_kernel`: side of the square kernel, odd, in pixels.
    - `band_kernel`: length of the row and of the column, odd, in pixels.
    - `order`: which channels go where, from the first to the last.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        ratio: float = 0.125,
        square_kernel: int = 3,
        band_kernel: int = 11,
        order: str = "identity_square_row_column",
    ) -> None:
        super().__init__()
        channels = branch_channels(signature.channels, ratio)
        kernels = {
            "square": (square_kernel, square_kernel),
            "row": (1, band_kernel),
            "column": (band_kernel, 1),
        }
        names = order.split("_")
        rest = signature.channels - 3 * channels
        self.parts = [channels if name in kernels else rest for name in names]
        self.branches = nn.ModuleDict({name: _depthwise(channels, kernels.get(name)) for name in names})

    def forward(self, x: Tensor) -> Tensor:
        """Each branch on its channels, then side by side as they were."""
        ends = accumulate(self.parts)
        branches = zip(self.branches.values(), ends, self.parts, strict=True)
        return torch.cat([branch(x.narrow(1, end - part, part)) for branch, end, part in branches], 1)


def _depthwise(channels: int, kernel: tuple[int, int] | None) -> nn.Module:
    """A depthwise convolution with bias that keeps the size; the identity where there is no kernel."""
    if kernel is None:
        return nn.Identity()
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv = nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels)
    nn.init.trunc_normal_(conv.weight, std=0.02)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
