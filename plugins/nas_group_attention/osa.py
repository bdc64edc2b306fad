"""One-shot aggregation: a chain of convolutions that is concatenated once (VoVNet)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.spaces.signature import Signature
from nas_base.convolution import ConvNormAct
from nas_group_attention.osa_costs import inner_channels, is_residual, stem_strides, stem_widths


class OneShotAggregation(nn.Module):
    """A chain of 3x3 convolutions; its input and all outputs, concatenated once, in a 1x1 convolution.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: the OSA module of VoVNet
    (arXiv:1904.09730). Stride 2 is a 3x3 max-pool in front. Each convolution gives the same channels, so the
    data that is moved grows with the length of the chain, where that of a dense block grows with its square.

    - `layers`: length of the chain.
    - `ratio`: channels of each convolution as a share of width.
    - `separable`: whether the chain is of depthwise-separable convolutions, behind a 1x1 convolution where C
      is not their channels.
    - `residual`: whether the input is added where stride is 1 and width is C (VoVNetV2, arXiv:1911.06667).
    - `gate`: whether each channel is gated by one linear layer of the channel means (same paper).
    - `activation`: behind every norm.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        layers: int = 5,
        ratio: float = 0.5,
        separable: bool = False,
        residual: bool = False,
        gate: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs = width or channels
        inner = inner_channels(outputs, ratio)
        make = Separable if separable else _dense
        self.pool = _pool(signature) if stride == 2 else nn.Identity()
        reduces = separable and channels != inner
        self.reduce = ConvNormAct(channels, inner, act=activation) if reduces else nn.Identity()
        first = inner if reduces else channels
        self.chain = nn.ModuleList(make(inner if i else first, inner, activation) for i in range(layers))
        self.mix = ConvNormAct(channels + layers * inner, outputs, act=activation)
        self.gate = Gate(outputs) if gate else nn.Identity()
        self.is_residual = residual and is_residual(channels, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """The pool, the chain, the aggregation, the gate, and the input where it is added."""
        x = self.pool(x)
        found = [x]
        y = self.reduce(x)
        for part in self.chain:
            y = part(y)
            found.append(y)
        z: Tensor = self.gate(self.mix(torch.cat(found, 1)))
        return x + z if self.is_residual else z


class Separable(nn.Module):
    """3x3 depthwise convolution, then 1x1 convolution, batch norm and activation."""

    def __init__(self, inputs: int, outputs: int, activation: str) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        nn.init.kaiming_normal_(self.depthwise.weight, mode="fan_out", nonlinearity="relu")
        self.pointwise = ConvNormAct(inputs, outputs, act=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Depthwise, then pointwise."""
        return self.pointwise(self.depthwise(x))  # type: ignore[no-any-return]


class Gate(nn.Module):
    """Effective squeeze-and-excitation: ``x * hard_sigmoid(W mean(x))`` (arXiv:1911.06667)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The map times its gate."""
        return x * nn.functional.hardsigmoid(self.linear(x.mean((2, 3), keepdim=True)))


class VoVNetStem(nn.Module):
    """Three 3x3 convolutions with batch norm: two of half the width, the last of all of it.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up (arXiv:1904.09730). The first takes a
    factor 2 of an even stride, the last the rest.

    - `activation`: behind each of them.
    """

    def __init__(
        self, signature: Signature, *, width: int | None = None, stride: int = 1, activation: str = "relu"
    ) -> None:
        super().__init__()
        first, second, third = stem_widths(width or signature.channels)
        before, behind = stem_strides(stride)
        self.first = ConvNormAct(signature.channels, first, 3, stride=before, act=activation)
        self.second = ConvNormAct(first, second, 3, act=activation)
        self.third = ConvNormAct(second, third, 3, stride=behind, act=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Three convolutions."""
        return self.third(self.second(self.first(x)))  # type: ignore[no-any-return]


def _dense(inputs: int, outputs: int, activation: str) -> nn.Module:
    return ConvNormAct(inputs, outputs, 3, act=activation)


def _pool(signature: Signature) -> nn.Module:
    """A 3x3 max-pool of stride 2; at even sizes without padding in front, as in the published networks."""
    if all(extent % 2 == 0 for extent in signature.size):
        return nn.MaxPool2d(3, 2, ceil_mode=True)
    return nn.MaxPool2d(3, 2, 1)
