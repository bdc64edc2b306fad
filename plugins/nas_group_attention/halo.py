"""Halo attention: blocked local attention, in which a block sees itself and a halo around it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_group_attention.halo_costs import BlockAxis, axes, value_dim


class LocalAttention(nn.Module):
    """Halo attention without a projection: the operator in the place of a convolution (arXiv:2103.12731).

    (N, C, H, W) to (N, value_ratio C, H / stride, W / stride), rounded up. `HaloAttention` says what the
    knobs mean; the strided form keeps every stride-th output.
    """

    mask: Tensor | None

    def __init__(
        self,
        signature: Signature,
        *,
        stride: int = 1,
        block_size: int = 8,
        halo_size: int = 3,
        head_dim: int = 32,
        value_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        channels = signature.channels
        self.stride, self.block_size, self.halo_size = stride, block_size, halo_size
        self.head_dim, self.heads = head_dim, channels // head_dim
        self.axes = axes(signature.size, block_size, halo_size, stride)
        self.register_buffer("mask", inside_map(*self.axes), persistent=False)
        self.outputs = self.heads * value_dim(head_dim, value_ratio)
        self.query = nn.Conv2d(channels, channels, 1, bias=False)
        self.key = nn.Conv2d(channels, channels, 1, bias=False)
        self.value = nn.Conv2d(channels, self.outputs, 1, bias=False)
        rows = 2 * (block_size + 2 * halo_size) - 1
        self.vertical = nn.Parameter(torch.empty(rows, head_dim))
        self.horizontal = nn.Parameter(torch.empty(rows, head_dim))
        for conv in (self.query, self.key, self.value):
            nn.init.trunc_normal_(conv.weight, std=channels**-0.5)
        for table in (self.vertical, self.horizontal):
            nn.init.trunc_normal_(table, std=head_dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """softmax(Q (K + R)^T / sqrt(head_dim)) V in the window of each block."""
        (rows, columns), mask = self._cut(x)
        step = rows.stride
        q = self._queries(self.query(x[:, :, ::step, ::step]), rows, columns) * self.head_dim**-0.5
        k = self._windows(self.key(x), rows, columns)
        v = self._windows(self.value(x), rows, columns)
        bias = self._positions(q, rows, columns)
        if mask is not None:
            bias = bias.masked_fill(~mask[:, None], -torch.inf)
        queries = q.flatten(3, 4).flatten(1, 2)
        mixed = F.scaled_dot_product_attention(queries, k, v, bias.flatten(1, 2), scale=1.0)
        y = self._joined(mixed, rows, columns)
        left = self.stride // step
        return y[:, :, ::left, ::left] if left > 1 else y

    def _cut(self, x: Tensor) -> tuple[tuple[BlockAxis, BlockAxis], Tensor | None]:
        """The blocks of this map, and which keys of their windows lie on it; None where all do."""
        if (x.shape[2], x.shape[3]) == (self.axes[0].length, self.axes[1].length):
            return self.axes, self.mask
        cut = axes((x.shape[2], x.shape[3]), self.block_size, self.halo_size, self.stride)
        return cut, inside_map(*cut, device=x.device)

    def _queries(self, q: Tensor, rows: BlockAxis, columns: BlockAxis) -> Tensor:
        """(N, C, H, W) to (N, heads, blocks, rows of queries, columns of queries, head_dim)."""
        lacking = (part.count * part.queries - part.outputs for part in (columns, rows))
        right, bottom = lacking
        if right or bottom:
            q = F.pad(q, (0, right, 0, bottom))
        shape = (self.heads, self.head_dim, rows.count, rows.queries, columns.count, columns.queries)
        return q.reshape(q.shape[0], *shape).permute(0, 1, 3, 5, 4, 6, 2).flatten(2, 3)

    def _windows(self, x: Tensor, rows: BlockAxis, columns: BlockAxis) -> Tensor:
        """(N, channels, H, W) to (N, heads blocks, keys of a window, channels of a head)."""
        if rows.is_masked or columns.is_masked:
            before = (columns.halo, columns.halo + columns.missing)
            x = F.pad(x, (*before, rows.halo, rows.halo + rows.missing))
        x = x.unfold(2, rows.window, rows.block).unfold(3, columns.window, columns.block)
        x = x.unflatten(1, (self.heads, -1)).permute(0, 1, 3, 4, 5, 6, 2)
        return x.flatten(4, 5).flatten(1, 3)

    def _positions(self, q: Tensor, rows: BlockAxis, columns: BlockAxis) -> Tensor:
        """What the relative positions add to the logits: (N, heads, blocks, queries, keys)."""
        down = torch.einsum("nmbijd,idk->nmbijk", q, distances(self.vertical, rows))
        across = torch.einsum("nmbijd,jdk->nmbijk", q, distances(self.horizontal, columns))
        both = down[..., :, None] + across[..., None, :]
        return both.flatten(5, 6).flatten(3, 4)

    def _joined(self, x: Tensor, rows: BlockAxis, columns: BlockAxis) -> Tensor:
        """(N, heads blocks, queries, channels of a head) back to a map."""
        shape = (self.heads, rows.count, columns.count, rows.queries, columns.queries, x.shape[3])
        x = x.reshape(x.shape[0], *shape).permute(0, 1, 6, 2, 4, 3, 5)
        x = x.flatten(5, 6).flatten(3, 4).flatten(1, 2)
        return x[:, :, : rows.outputs, : columns.outputs]


def distances(table: Tensor, axis: BlockAxis) -> Tensor:
    """The rows of a table for each query and key of a block along one axis: (queries, head_dim, keys).

    The middle row stands for distance 0; each next one for a key one position further on.
    """
    last = (axis.queries - 1) * axis.stride + axis.halo
    first = table.shape[0] // 2 - last
    reached = table[first : first + last - axis.halo + axis.window]
    return reached.unfold(0, axis.window, axis.stride).flip(0)


def inside_map(rows: BlockAxis, columns: BlockAxis, device: torch.device | None = None) -> Tensor | None:
    """Which keys of the windows lie on the map, (blocks, keys); None where all do."""
    if not (rows.is_masked or columns.is_masked):
        return None
    down, across = (_inside(axis, device) for axis in (rows, columns))
    return (down[:, None, :, None] & across[None, :, None, :]).flatten(2, 3).flatten(0, 1)


def _inside(axis: BlockAxis, device: torch.device | None) -> Tensor:
    starts = torch.arange(axis.count, device=device)[:, None] * axis.block - axis.halo
    positions = starts + torch.arange(axis.window, device=device)
    return (positions >= 0) & (positions < axis.length)


class HaloAttention(nn.Module):
    """Blocked local self-attention with halos and relative positions (HaloNet, arXiv:2103.12731).

    (N, C, H, W) to (N, width, H / stride, W / stride), rounded up. The map is cut into blocks; the queries of
    a block attend to the keys of the block and of a halo around it, as far as they lie on the map. The logits
    are Q (K + R)^T / sqrt(head_dim), R the sum of a learned vector of the vertical distance and one of the
    horizontal. No biases; a 1x1 projection behind. With r = value_ratio: (2 + r) C² + r C width parameters,
    and 2 (2 (block_size + 2 halo_size) - 1) head_dim of the positions, which all heads share.

    - `block_size`: side of a block, in pixels; a map that is no larger is one block, which is attention over
      all positions. The last blocks of a map that it does not divide are padded and masked.
    - `halo_size`: how far a block sees beyond its edges, in pixels; 0 for attention within windows.
    - `head_dim`: channels of the queries and keys of one head; it must divide C.
    - `value_ratio`: channels of the values as a multiple of C.

    With a stride only every stride-th query of a block is kept.
    """

    def __init__(
        self,
        signature: Signature,
        *,
        width: int | None = None,
        stride: int = 1,
        block_size: int = 8,
        halo_size: int = 3,
        head_dim: int = 32,
        value_ratio: float = 1.0,
    ) -> None:
        super().__init__()
        self.attention = LocalAttention(
            signature,
            stride=stride,
            block_size=block_size,
            halo_size=halo_size,
            head_dim=head_dim,
            value_ratio=value_ratio,
        )
        self.project = nn.Conv2d(self.attention.outputs, width or signature.channels, 1, bias=False)
        nn.init.trunc_normal_(self.project.weight, std=self.attention.outputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Attention, projection."""
        return self.project(self.attention(x))  # type: ignore[no-any-return]
