"""The deployed form of a pruned 1x1 convolution: only the kept weights, and a sparse product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas_sparse_ops.layouts import Packed
from nas_sparse_ops.sparsity import DEFAULT


class PackedPointwise(nn.Module):
    """A sparse matrix times the channels at every position, plus a bias, as a pruned 1x1 convolution.

    (N, inner, H, W) to (N, rows, H / stride, W / stride), rounded up. The kept weights are the parameter
    `values`, their pattern lies in buffers. With one sample a map is the dense matrix as it lies in memory
    (channels first); a batch is copied once.

    Export formats know no sparse product: in an exported program the weight is written out, zeros included,
    which is what runtimes with sparse kernels read (TFLite with XNNPACK packs it itself when it loads).
    """

    def __init__(self, packed: Packed, bias: Tensor | None, stride: int = 1) -> None:
        super().__init__()
        self.layout, self.shape, self.options = packed.layout, packed.shape, dict(packed.options)
        self.stride = stride
        self.patterns = [name for name in packed.tensors if name != "values"]
        self.values = nn.Parameter(packed.values.contiguous())
        self.bias = None if bias is None else nn.Parameter(bias.contiguous())
        for name in self.patterns:
            self.register_buffer(f"pattern_{name}", packed.tensors[name].contiguous())

    @property
    def packed(self) -> Packed:
        """The sparse matrix."""
        tensors = {name: getattr(self, f"pattern_{name}") for name in self.patterns}
        return Packed(self.layout, self.shape, {"values": self.values, **tensors}, self.options)

    def dense(self) -> Tensor:
        """The weight of the 1x1 convolution that computes the same, (rows, inner, 1, 1)."""
        return DEFAULT.unpack(self.packed)[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        """The product at every position that the stride keeps."""
        if _is_exporting():
            return F.conv2d(x, self.dense().to(x.dtype), self.bias, self.stride)
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        N, _, H, W = x.shape
        y: Any = DEFAULT.run("matmul", self.packed, x.transpose(0, 1).flatten(1))
        if self.bias is not None:
            y = y + self.bias.to(y.dtype).unsqueeze(1)
        found: Tensor = y.reshape(-1, N, H, W).transpose(0, 1)
        return found

    def extra_repr(self) -> str:
        """Its layout and size."""
        rows, inner = self.shape
        return f"{inner}, {rows}, layout={self.layout}, stored={self.values.numel()}, stride={self.stride}"


def _is_exporting() -> bool:
    """Whether `torch.export` is looking."""
    ask = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)
    return bool(ask())
