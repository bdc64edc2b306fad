"""Pruned 1x1 convolutions: dense weights and a mask in training, a sparse product when deployed."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import fold_batch_norm
from nas.spaces.signature import Signature
from nas_base.activations import activation as make_activation
from nas_sparse_ops import layouts
from nas_sparse_ops.costs import kept_weights
from nas_sparse_ops.layouts import Packed
from nas_sparse_ops.packed import PackedPointwise
from nas_sparse_ops.sparsifiers import block_fraction, keep_all, nm, nmg

RAMP_END = 0.75
"""The share of training after which gradual pruning has reached its target."""


class PrunedPointwise(nn.Conv2d):
    """A 1x1 convolution whose weight is multiplied by a mask, which a subclass draws.

    (N, inputs, H, W) to (N, outputs, H / stride, W / stride), rounded up. The mask is a buffer: it is drawn
    from the initial weights, again at each epoch, and never from a random state.
    """

    mask: Tensor

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")
        self.register_buffer("mask", torch.ones(outputs, inputs, dtype=torch.bool))

    def draw(self) -> Tensor:
        """The mask for the weights as they are now, (outputs, inputs)."""
        raise NotImplementedError

    def pack(self, weight: Tensor) -> Packed:
        """What the mask keeps of a weight (outputs, inputs)."""
        raise NotImplementedError

    def kept(self) -> int:
        """How many weights the deployed form holds."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draws the mask anew."""
        if not self.weight.is_meta:
            self.mask.copy_(self.draw())

    def pruned_parameters(self) -> int:
        """The weights that the deployed form does not hold."""
        return self.weight.numel() - self.kept()

    def masked(self) -> Tensor:
        """The weight with zeros where the mask has none, (outputs, inputs, 1, 1)."""
        return self.weight * self.mask[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """The convolution with the masked weight."""
        return F.conv2d(x, self.masked(), None, self.stride)


class BlockPointwise(PrunedPointwise):
    """A 1x1 convolution that keeps the largest blocks of `block` outputs by one input (arXiv:1911.09723).

    `sparsity` is the share that is pruned in the end. Pruning is gradual, sparsity · (1 − (1 − t)³) with t
    rising to 1 over the first three quarters of training (arXiv:1710.01878); before training starts the mask
    stands at its target.
    """

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, sparsity: float = 0.9, block: int = 1
    ) -> None:
        super().__init__(inputs, outputs, stride=stride)
        self.sparsity, self.block, self.progress = sparsity, block, 1.0
        self.redraw()

    def on_epoch(self, progress: float) -> None:
        """Prunes as much as this share of training asks for."""
        self.progress = progress
        self.redraw()

    def draw(self) -> Tensor:
        """The blocks of the largest magnitude."""
        left = 1 - min(1.0, self.progress / RAMP_END)
        density = 1 - self.sparsity * (1 - left**3)
        return block_fraction(self.weight[:, :, 0, 0], density=density, block=self.block)

    def pack(self, weight: Tensor) -> Packed:
        """CSR, or blocks."""
        return layouts.pack_blocks(weight, self.mask, block=self.block, kept=self.kept() // self.block)

    def kept(self) -> int:
        """The weights of the blocks that are kept in the end."""
        return kept_weights(self.in_channels, self.out_channels, self.sparsity, self.block)


class NmPointwise(PrunedPointwise):
    """A 1x1 convolution that keeps n of every m inputs; with `g` in groups of rows (arXiv:2304.07613)."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int = 1, n: int = 2, m: int = 4, g: int = 0
    ) -> None:
        super().__init__(inputs, outputs, stride=stride)
        self.n, self.m, self.g = n, m, g
        self.redraw()

    def on_epoch(self, progress: float) -> None:
        """Chooses again which weights are kept."""
        self.redraw()

    def draw(self) -> Tensor:
        """The largest n of every m, or the grouped pattern that keeps the most."""
        weight = self.weight[:, :, 0, 0].detach()
        if self.n == self.m:
            return keep_all(weight)
        if self.g:
            return nmg(weight, n=self.n, m=self.m, g=self.g)
        return nm(weight, n=self.n, m=self.m)

    def pack(self, weight: Tensor) -> Packed:
        """Values with their places, or sorted by pattern."""
        if self.g:
            return layouts.pack_nmg(weight, self.mask, n=self.n, m=self.m, g=self.g)
        return layouts.pack_nm(weight, self.mask, n=self.n, m=self.m)

    def kept(self) -> int:
        """n of every m."""
        return self.weight.numel() // self.m * self.n


class PrunedConvNormAct(nn.Module):
    """A pruned 1x1 convolution, batch norm and activation; deployed as `PackedPointwise` and activation."""

    def __init__(self, conv: PrunedPointwise, act: str = "identity") -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels)
        self.act = make_activation(act)

    def forward(self, x: Tensor) -> Tensor:
        """Convolution, norm, activation."""
        return self.act(self.norm(self.conv(x)))  # type: ignore[no-any-return]

    def fused(self) -> nn.Module:
        """The norm folded into the kept weights and a bias; a dense convolution where nothing is pruned."""
        conv = self.conv
        folded = fold_batch_norm(conv, self.norm)
        assert isinstance(folded, nn.Conv2d)
        assert folded.bias is not None
        if not conv.pruned_parameters():
            dense = nn.Conv2d(conv.in_channels, conv.out_channels, 1, conv.stride[0], device="meta")
            dense.weight, dense.bias = folded.weight, folded.bias
            return nn.Sequential(dense, self.act)
        packed = conv.pack(folded.weight.detach()[:, :, 0, 0])
        return nn.Sequential(PackedPointwise(packed, folded.bias.detach(), conv.stride[0]), self.act)


class SparsePointwise(PrunedConvNormAct):
    """A 1x1 convolution with pruned weights, batch norm and activation (Fast Sparse ConvNets,
    arXiv:1911.09723).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Trained with dense weights and a mask by
    magnitude that tightens over training; deployed as a product with the kept weights alone, of which there
    are block · round((1 − sparsity) · C · width / block); 2 · width more parameters are the norm's.

    - `sparsity`: share of the weights that is pruned; 0 gives a dense convolution.
    - `block`: output channels that share a pattern: kept or pruned together; divides `width`.
    - `activation`: behind the norm.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        sparsity: float = 0.9,
        block: int = 1,
        activation: str = "relu",
    ) -> None:
        channels = signature.channels
        conv = BlockPointwise(channels, width or channels, stride=stride, sparsity=sparsity, block=block)
        super().__init__(conv, activation)


class NmPointwiseBlock(PrunedConvNormAct):
    """A 1x1 convolution with n:m or n:m:g sparse weights, batch norm and activation (STen,
    arXiv:2304.07613).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. Of every `m` inputs each output keeps `n`:
    C · width · n / m weights, and 2 · width of the norm. Trained with dense weights and a mask by magnitude
    that is drawn again at each epoch; deployed as a product with the packed weights.

    - `n`, `m`: inputs kept of how many; `m` divides C.
    - `g`: 0 lets every output choose freely. Otherwise chunks of C(m, n) · g outputs hold each of the C(m, n)
      patterns exactly g times in every group of inputs, so that a kernel loads inputs once for g outputs; the
      chunk divides `width`.
    - `activation`: behind the norm.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        n: int = 2,
        m: int = 4,
        g: int = 0,
        activation: str = "relu",
    ) -> None:
        channels = signature.channels
        super().__init__(NmPointwise(channels, width or channels, stride=stride, n=n, m=m, g=g), activation)
