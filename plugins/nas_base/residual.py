"""The residual blocks of ResNet."""

from __future__ import annotations

from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.convolution import ConvNormAct
from nas_base.squeeze_excite import squeeze_excite


def shortcut(channels: int, outputs: int, stride: int) -> nn.Module:
    """The way around a block: nothing where the shape is kept, else a strided 1x1 convolution with norm."""
    if stride == 1 and channels == outputs:
        return nn.Identity()
    return ConvNormAct(channels, outputs, stride=stride)


class Bottleneck(nn.Module):
    """1x1 convolution down, 3x3 with the stride, linear 1x1 up, gate, plus shortcut, activation.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: the bottleneck of ResNet-50
    (arXiv:1512.03385) with the stride on its 3x3.

    - `ratio`: inner channels as a share of width.
    - `se`: squeezed channels as a share of width (1/16 in SE-ResNet, arXiv:1709.01507); 0 for none.
    - `activation`: behind each convolution and the sum.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        ratio: float = 0.25,
        se: float = 0.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs = width or channels
        inner = max(1, round(outputs * ratio))
        self.reduce = ConvNormAct(channels, inner, act=activation)
        self.conv = ConvNormAct(inner, inner, 3, stride=stride, act=activation)
        self.expand = ConvNormAct(inner, outputs)
        self.se = squeeze_excite(outputs, se, of=outputs)
        self.shortcut = shortcut(channels, outputs, stride)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the three convolutions plus the shortcut."""
        y = self.se(self.expand(self.conv(self.reduce(x))))
        return self.act(y + self.shortcut(x))  # type: ignore[no-any-return]


class Basic(nn.Module):
    """Two 3x3 convolutions, the first with the stride, plus shortcut.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up.

    - `order`: "conv_norm_act" is the block of ResNet-18 (arXiv:1512.03385), its shortcut a strided 1x1
      convolution with norm. "act_conv_norm" is the reduction of NAS-Bench-201 (arXiv:2001.00326): activation,
      convolution, norm, twice, nothing behind the sum, and a shortcut that averages and then convolves.
    - `activation`: of both orders.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        order: str = "conv_norm_act",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs = width or channels
        is_first = order == "act_conv_norm"
        inner = "identity" if is_first else activation
        self.before = make_activation(activation if is_first else "identity")
        self.first = ConvNormAct(channels, outputs, 3, stride=stride, act=inner)
        self.between = make_activation(activation if is_first else "identity")
        self.second = ConvNormAct(outputs, outputs, 3)
        make_shortcut = averaging_shortcut if is_first else shortcut
        self.shortcut = make_shortcut(channels, outputs, stride)
        self.act = make_activation(inner)

    def forward(self, x: Tensor) -> Tensor:
        """Two convolutions plus the shortcut."""
        y = self.second(self.between(self.first(self.before(x))))
        return self.act(y + self.shortcut(x))  # type: ignore[no-any-return]


def averaging_shortcut(channels: int, outputs: int, stride: int) -> nn.Module:
    """Average pooling by the stride, then a 1x1 convolution without norm; nothing where the shape is kept."""
    if stride == 1 and channels == outputs:
        return nn.Identity()
    conv = nn.Conv2d(channels, outputs, 1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if stride == 1:
        return nn.Sequential(conv)
    # Rounding up serves odd sizes; what lies beyond the edge is not counted.
    return nn.Sequential(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False), conv)
