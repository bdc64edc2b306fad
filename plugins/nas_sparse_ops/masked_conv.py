"""A convolution that leaves empty positions empty."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_base.convolution import ConvAct, ConvNormAct
from nas_sparse_ops.masking import active_batch_norm


class MaskedConv(ConvNormAct):
    """Submanifold convolution, batch norm over active positions, activation (SparK, arXiv:2301.03580).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. A position whose channels are all exactly
    zero is inactive and stays zero, so the active set does not grow with depth; behind a stride a position is
    active where any of the stride × stride it stands for is. On a map without empty positions it is a plain
    convolution with norm and activation, and it is priced as one: dense kernels compute every position.

    - `kernel`: odd, in pixels.
    - `activation`: behind the norm.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        kernel: int = 3,
        activation: str = "relu",
    ) -> None:
        outputs = width or signature.channels
        super().__init__(signature.channels, outputs, kernel, stride=stride, act=activation)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation, at the active positions."""
        mask = active_mask(x, self.conv.stride[0])
        y: Tensor = self.act(active_batch_norm(self.norm, self.conv(x), mask)) * mask
        return y

    def fused(self) -> nn.Module:
        """The convolution with the norm folded in, and the activation, at the active positions."""
        return MaskedConvAct(fold_batch_norm(self.conv, self.norm), self.act)


class MaskedConvAct(ConvAct):
    """Convolution with bias and activation at the active positions: the deployed form of `MaskedConv`."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, activation, zero where there was nothing."""
        assert isinstance(self.conv, nn.Conv2d)
        return super().forward(x) * active_mask(x, self.conv.stride[0])


def active_mask(x: Tensor, stride: int = 1) -> Tensor:
    """1 where any channel is not zero, (N, 1, H, W); behind a stride, where any position of a cell is."""
    mask = (x.abs().amax(1, keepdim=True) > 0).to(x.dtype)
    return F.max_pool2d(mask, stride, stride, ceil_mode=True) if stride > 1 else mask
