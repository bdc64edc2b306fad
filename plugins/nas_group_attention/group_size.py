"""Grouped convolutions whose groups all have one size (E2GC), in the blocks of MobileNet-V1 and ResNeXt."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from nas.blocks import build, fuse
from nas.costs.trace import trace
from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.convolution import ConvNormAct
from nas_base.residual import shortcut
from nas_group_attention.group_size_costs import DRAM_JOULE, MAC_JOULE, energy, group_count, inner_channels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nas.blocks import Block
    from nas.spaces.architecture import Architecture

WORD_BYTES = 4


class GroupedSeparable(nn.Module):
    """Grouped convolution, batch norm, activation, 1x1 convolution, batch norm, activation.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: the depthwise-separable block of
    MobileNet-V1 (arXiv:1704.04861) with the groups of E2GC (arXiv:2006.15100). Parameters:
    kernel² · G · C + 2 C + C · width + 2 width.

    - `group_size`: channels G that are convolved together, the same in every layer; it divides C, and 1 is
      depthwise.
    - `groups`: where it is not 0, the number of groups instead, whatever their size; `group_size` then stays
      at 1. It divides C.
    - `kernel` of the grouped convolution, which has the stride: odd, in pixels.
    - `activation`: behind both norms.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        group_size: int = 1,
        groups: int = 0,
        kernel: int = 3,
        activation: str = "relu6",
    ) -> None:
        super().__init__()
        channels = signature.channels
        count = group_count(channels, group_size, groups)
        self.grouped = ConvNormAct(channels, channels, kernel, stride=stride, groups=count, act=activation)
        self.pointwise = ConvNormAct(channels, width or channels, act=activation)

    def forward(self, x: Tensor) -> Tensor:
        """The grouped convolution, then the 1x1 one."""
        return self.pointwise(self.grouped(x))  # type: ignore[no-any-return]


class GroupedBottleneck(nn.Module):
    """1x1 convolution down, grouped convolution with the stride, linear 1x1 up, plus shortcut, activation.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: the bottleneck of ResNeXt
    (arXiv:1611.05431) with the groups of E2GC (arXiv:2006.15100).

    - `group_size`: inner channels that are convolved together, the same in every layer; it divides the inner
      channels.
    - `groups`: where it is not 0, the number of groups instead (32 in ResNeXt-50 32x4d); `group_size` then
      stays at 1. It divides the inner channels.
    - `ratio`: inner channels as a share of width.
    - `kernel` of the grouped convolution: odd, in pixels.
    - `activation`: behind the first two convolutions and the sum.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        group_size: int = 1,
        groups: int = 0,
        ratio: float = 0.5,
        kernel: int = 3,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels = signature.channels
        outputs = width or channels
        inner = inner_channels(outputs, ratio)
        count = group_count(inner, group_size, groups)
        self.reduce = ConvNormAct(channels, inner, act=activation)
        self.grouped = ConvNormAct(inner, inner, kernel, stride=stride, groups=count, act=activation)
        self.expand = ConvNormAct(inner, outputs)
        self.shortcut = shortcut(channels, outputs, stride)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the three convolutions plus the shortcut."""
        y = self.expand(self.grouped(self.reduce(x)))
        return self.act(y + self.shortcut(x))  # type: ignore[no-any-return]


def energy_price(
    blocks: Mapping[str, Block], mac_joule: float = MAC_JOULE, dram_joule: float = DRAM_JOULE
) -> Callable[[Architecture], float]:
    """The energy of a whole network for one sample, in joules, as a `known` objective of `nas.search`.

    Every operator of the deployed form computes at `mac_joule` per multiply-accumulate and moves its inputs,
    outputs and weights, as 32-bit numbers, at `dram_joule` each. It is a comparison of architectures, not the
    prediction of a device: caches are not counted.
    """

    @cache
    def price(architecture: Architecture) -> float:
        assert architecture.network is not None
        with torch.device("meta"):
            module = fuse(build(architecture.network, blocks))
        found = trace(module, architecture.network.input.shape)
        words = sum(operator.bytes_moved for operator in found.operators) / WORD_BYTES
        return energy(found.macs, words, mac_joule, dram_joule)

    return price
