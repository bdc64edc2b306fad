"""The bottleneck and the stem of HaloNets."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_base.convolution import ConvNormAct
from nas_base.residual import shortcut
from nas_group_attention.halo import LocalAttention
from nas_group_attention.halo_costs import inner_width


class HaloBottleneck(nn.Module):
    """The bottleneck of ResNet with halo attention in place of its 3x3 convolution (arXiv:2103.12731).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up: 1x1 convolution down, attention with the
    stride, batch norm, linear 1x1 convolution up, plus shortcut, activation. `halo_attention` says more of
    the attention.

    - `ratio`: inner channels as a share of width.
    - `block_size`: side of a block of queries, in pixels.
    - `halo_size`: how far a block sees beyond its edges, in pixels.
    - `head_dim`: channels of the queries and keys of one head; it must divide the inner channels.
    - `value_ratio`: channels of the values as a multiple of the inner ones.
    - `activation`: behind the first convolution, the attention and the sum.

    Weights of an attention sum to 1, so the norm behind it is folded into its values where it is deployed.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        ratio: float = 0.25,
        block_size: int = 8,
        halo_size: int = 3,
        head_dim: int = 32,
        value_ratio: float = 1.0,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        channels, outputs = signature.channels, width or signature.channels
        inside = signature.after(inner_width(outputs, ratio), 1)
        self.reduce = ConvNormAct(channels, inside.channels, act=activation)
        self.attention = LocalAttention(
            inside,
            stride=stride,
            block_size=block_size,
            halo_size=halo_size,
            head_dim=head_dim,
            value_ratio=value_ratio,
        )
        self.norm: nn.Module = nn.BatchNorm2d(self.attention.outputs)
        self.inner_act = make_activation(activation)
        self.expand = ConvNormAct(self.attention.outputs, outputs)
        self.shortcut = shortcut(channels, outputs, stride)
        self.act = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """The activation of the branch plus the shortcut."""
        y = self.inner_act(self.norm(self.attention(self.reduce(x))))
        return self.act(self.expand(y) + self.shortcut(x))  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """The same with the norm behind the attention folded into its values."""
        if isinstance(self.norm, nn.Identity):
            return self
        deployed = copy.copy(self)
        deployed._modules = dict(self._modules)
        deployed.attention = copy.copy(self.attention)
        deployed.attention._modules = dict(self.attention._modules)
        deployed.attention._modules["value"] = fold_batch_norm(self.attention.value, self.norm)
        deployed.norm = nn.Identity()
        return deployed


class TieredStem(nn.Module):
    """Three 3x3 convolutions that widen step by step, each with batch norm and activation.

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. They have 3/8, 1/2 and all of the width,
    as in the public HaloNets (arXiv:2103.12731). Where the stride, less what the pool takes, is even, the
    first convolution takes a factor 2 of it and the last the rest.

    - `activation`: behind each of them.
    - `pool`: whether a 3x3 max-pool takes a factor 2 of an even stride.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        activation: str = "relu",
        pool: bool = True,
    ) -> None:
        super().__init__()
        outputs = width or signature.channels
        widths = (max(1, 3 * outputs // 8), max(1, outputs // 2), outputs)
        shared = 2 if pool and stride % 2 == 0 else 1
        left = stride // shared
        first = 2 if left % 2 == 0 else 1
        self.first = ConvNormAct(signature.channels, widths[0], 3, stride=first, act=activation)
        self.second = ConvNormAct(widths[0], widths[1], 3, act=activation)
        self.third = ConvNormAct(widths[1], widths[2], 3, stride=left // first, act=activation)
        self.pool = nn.MaxPool2d(3, shared, 1) if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Three convolutions and the pool."""
        return self.pool(self.third(self.second(self.first(x))))  # type: ignore[no-any-return]
