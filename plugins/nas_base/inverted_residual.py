"""Inverted residual bottlenecks: depthwise and fused."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct
from nas_base.squeeze_excite import squeeze_excite


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution with the stride, squeeze-and-excitation, linear 1x1 projection.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up (arXiv:1801.04381). The input is added
    where stride is 1 and width is C.

    - `kernel`: of the depthwise convolution, odd, in pixels.
    - `expansion`: inner channels as a multiple of C; at 1 there is no expanding convolution.
    - `se`: squeezed channels of the gate as a share of C, as in EfficientNet (arXiv:1905.11946); 0 for none.
    - `activation`: behind the expansion and the depthwise convolution; also inside the gate.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        expansion: float = 6,
        se: float = 0.0,
        activation: str = "relu6",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs, inner = width or channels, round(channels * expansion)
        self.expand = ConvNormAct(channels, inner, act=activation) if expansion != 1 else nn.Identity()
        self.depthwise = ConvNormAct(inner, inner, kernel, stride=stride, groups=inner, act=activation)
        self.se = squeeze_excite(inner, se, of=channels, act=activation)
        self.project = ConvNormAct(inner, outputs)
        self.is_residual = stride == 1 and outputs == channels

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, depthwise convolution, gate, projection, and the input where the shape is kept."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.is_residual else y


class FusedInvertedResidual(nn.Module):
    """One dense convolution that expands and strides, squeeze-and-excitation, linear 1x1 projection.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: `InvertedResidual` with its expansion and
    its depthwise convolution merged (arXiv:2003.02838, arXiv:2004.14525). The input is added where stride is
    1 and width is C.

    - `kernel`: side of the dense convolution in pixels, odd.
    - `expansion`: inner channels as a multiple of C; at 1 there is no projection and the dense convolution
      gives `width` channels itself, as in EfficientNetV2 (arXiv:2104.00298).
    - `se`: squeezed channels as a share of C; 0 for none.
    - `activation`: behind the dense convolution; also inside the gate.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        expansion: float = 6,
        se: float = 0.0,
        activation: str = "relu6",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs = width or channels
        inner = outputs if expansion == 1 else round(channels * expansion)
        self.expand = ConvNormAct(channels, inner, kernel, stride=stride, act=activation)
        self.se = squeeze_excite(inner, se, of=channels, act=activation)
        self.project = nn.Identity() if expansion == 1 else ConvNormAct(inner, outputs)
        self.is_residual = stride == 1 and outputs == channels

    def forward(self, x: Tensor) -> Tensor:
        """Dense expansion, gate, projection, and the input where the shape is kept."""
        y: Tensor = self.project(self.se(self.expand(x)))
        return x + y if self.is_residual else y
