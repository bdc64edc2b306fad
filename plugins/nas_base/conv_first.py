"""The block of ConvFirstNet: the spatial convolution first, so that one kernel can run all of it."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.conv_first_costs import inner_channels
from nas_base.convolution import ConvNormAct


class ConvFirst(nn.Module):
    """Grouped convolution with the stride, 1x1 expansion, activation, linear 1x1 projection, plus the input.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up (arXiv:2404.03617). The wide map lies
    between two 1x1 convolutions, so a fused kernel holds a few positions of it on the chip and moves the
    input, the output and the weights alone. Batch norm stands behind each convolution. The input is added
    where stride is 1 and width is C. Parameters, for the inner channels I = expansion · C:
    kernel² · C · group_width + 2 C + C · I + 2 I + I · width + 2 width.

    - `group_width`: channels that are convolved together, 1 for depthwise; it divides C.
    - `kernel`: of the grouped convolution, odd, in pixels.
    - `expansion`: I as a multiple of C.
    - `activation`: behind the expansion, the only one.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        group_width: int = 8,
        kernel: int = 3,
        expansion: float = 4,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs, inner = width or channels, inner_channels(channels, expansion)
        groups = channels // group_width
        self.grouped = ConvNormAct(channels, channels, kernel, stride=stride, groups=groups)
        self.expand = ConvNormAct(channels, inner, act=activation)
        self.project = ConvNormAct(inner, outputs)
        self.is_residual = stride == 1 and outputs == channels

    def forward(self, x: Tensor) -> Tensor:
        """The grouped convolution, both 1x1 convolutions, and the input where the shape is kept."""
        y: Tensor = self.project(self.expand(self.grouped(x)))
        return x + y if self.is_residual else y
