"""The Tucker convolution of MobileDets."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct


def rank(channels: int, ratio: float) -> int:
    """`ratio` of `channels`, rounded to the nearest multiple of 8, at least 8, as MobileDets does."""
    return max(8, int(channels * ratio / 8 + 0.5) * 8)


class Tucker(nn.Module):
    """1x1 compression, dense convolution between few channels, linear 1x1 expansion (arXiv:2004.14525).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. The input is added where stride is 1 and
    width is C.

    - `kernel`: of the dense convolution, odd, in pixels; it takes the stride.
    - `compress`: channels in front of the dense convolution as a share of C.
    - `expand`: channels behind it as a share of `width`; both are rounded to multiples of 8.
    - `activation`: behind the compression and the dense convolution.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        compress: float = 0.25,
        expand: float = 0.75,
        activation: str = "relu6",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs = width or channels
        before, behind = rank(channels, compress), rank(outputs, expand)
        self.compress = ConvNormAct(channels, before, act=activation)
        self.dense = ConvNormAct(before, behind, kernel, stride=stride, act=activation)
        self.expand = ConvNormAct(behind, outputs)
        self.is_residual = stride == 1 and outputs == channels

    def forward(self, x: Tensor) -> Tensor:
        """Compression, dense convolution, expansion, and the input where the shape is kept."""
        y: Tensor = self.expand(self.dense(self.compress(x)))
        return x + y if self.is_residual else y
