"""Depthwise convolutions that mix kernel sizes, and the inverted residual made of them (arXiv:1907.09595)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from math import sqrt

import torch
from torch import Tensor, nn

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.convolution import ConvAct, ConvNormAct
from nas_base.mixed_convolution_costs import group_channels, inner_channels, kernel_sizes
from nas_base.squeeze_excite import squeeze_excite


class MixedConv(nn.Module):
    """Convolutions side by side, each on the channels that follow those of the one before it.

    (N, C, H, W) to (N, C', H', W'), the outputs of all convolutions joined in their order; together they
    read all C channels.
    """

    def __init__(self, convs: Iterable[nn.Module]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.channels: list[int] = [conv.in_channels for conv in self.convs]  # type: ignore[misc]
        self.starts = [0, *accumulate(self.channels)][:-1]

    def forward(self, x: Tensor) -> Tensor:
        """Each convolution on its channels."""
        parts = [
            conv(x.narrow(1, start, count))
            for conv, start, count in zip(self.convs, self.starts, self.channels, strict=True)
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts, 1)

    def folded(self, norm: nn.BatchNorm2d) -> MixedConv:
        """The same with a batch norm behind it folded into every convolution."""
        return MixedConv(
            fold_batch_norm(conv, _channels_of(norm, start, count))
            for conv, start, count in zip(self.convs, self.starts, self.channels, strict=True)
        )


def _channels_of(norm: nn.BatchNorm2d, start: int, count: int) -> nn.BatchNorm2d:
    """What a batch norm does to a few of its channels."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    part = nn.BatchNorm2d(count, norm.eps)
    part.weight = nn.Parameter(norm.weight.detach().narrow(0, start, count))
    part.bias = nn.Parameter(norm.bias.detach().narrow(0, start, count))
    part.running_mean = norm.running_mean.narrow(0, start, count)
    part.running_var = norm.running_var.narrow(0, start, count)
    return part


def mixed_conv(
    channels: int, kernel_groups: int, *, stride: int = 1, split: str = "equal", dilated: bool = False
) -> MixedConv:
    """A depthwise convolution with another kernel for each group of channels; see `MixedInvertedResidual`."""
    kernels = kernel_sizes(kernel_groups)
    shares = group_channels(channels, kernel_groups, split)
    return MixedConv(
        _depthwise(count, kernel, stride, dilated) for count, kernel in zip(shares, kernels, strict=True)
    )


def _depthwise(channels: int, kernel: int, stride: int, dilated: bool) -> nn.Conv2d:
    """One group: it reaches as far as its kernel, dilated with nine weights per channel."""
    side, reach = (3, kernel // 2) if dilated else (kernel, 1)
    conv = nn.Conv2d(
        channels, channels, side, stride, kernel // 2, dilation=reach, groups=channels, bias=False
    )
    nn.init.normal_(conv.weight, std=sqrt(2) / side)
    return conv


class MixedConvNormAct(nn.Module):
    """A mixed depthwise convolution, batch norm and activation.

    (N, C, H, W) to (N, C, H / stride, W / stride), rounded up.
    """

    def __init__(self, conv: MixedConv, act: str) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(sum(conv.channels))
        self.act = make_activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Convolutions, norm, activation."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """The convolutions with their share of the norm folded in, and the activation."""
        return ConvAct(self.conv.folded(self.norm), self.act)


class MixedInvertedResidual(nn.Module):
    """1x1 expansion, mixed depthwise convolution, squeeze-and-excitation, linear 1x1 projection.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: the block of MixNet (arXiv:1907.09595).
    The input is added where stride is 1 and width is C.

    - `kernel_groups`: groups of channels in the depthwise convolution; the first has kernel 3, the next 5,
      then 7, 9 and 11 pixels.
    - `split`: "equal" groups of channels, or "exponential": each a half of the one before it, the last two
      alike. Both round down and give the first group what is left over. Every group needs a channel.
    - `dilated`: with it every kernel is a dilated 3x3 that reaches as far as the dense one.
    - `expansion`: inner channels as a multiple of C; at 1 there is no expanding convolution.
    - `expand_groups`, `project_groups`: groups of the two 1x1 convolutions; they divide the channels that
      enter and leave it.
    - `se`: squeezed channels of the gate as a share of C; 0 for none.
    - `activation`: behind the expansion and the depthwise convolution; also inside the gate.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel_groups: int = 3,
        split: str = "equal",
        dilated: bool = False,
        expansion: float = 6,
        expand_groups: int = 1,
        project_groups: int = 1,
        se: float = 0.0,
        activation: str = "silu",
    ) -> None:
        super().__init__()
        channels, inner = signature.channels, inner_channels(signature, expansion)
        outputs = width or channels
        self.expand: nn.Module = nn.Identity()
        if expansion != 1:
            self.expand = ConvNormAct(channels, inner, groups=expand_groups, act=activation)
        mixed = mixed_conv(inner, kernel_groups, stride=stride, split=split, dilated=dilated)
        self.depthwise = MixedConvNormAct(mixed, activation)
        self.se = squeeze_excite(inner, se, of=channels, act=activation)
        self.project = ConvNormAct(inner, outputs, groups=project_groups)
        self.is_residual = stride == 1 and outputs == channels

    def forward(self, x: Tensor) -> Tensor:
        """Expansion, depthwise convolutions, gate, projection, and the input where the shape is kept."""
        y: Tensor = self.project(self.se(self.depthwise(self.expand(x))))
        return x + y if self.is_residual else y
