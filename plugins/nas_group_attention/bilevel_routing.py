"""Attention of BiFormer: within routed regions, and over the whole map with a local convolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.spaces.signature import Signature
from nas_base.pointwise import pointwise
from nas_group_attention.bilevel_routing_costs import RegionGrid, region_grid


class BilevelRoutingAttention(nn.Module):
    """Bi-level routing attention: each region of the map attends to the k regions most like it.

    Keeps (N, C, H, W). The map is cut into regions; the affinity of two is the product of the mean query of
    one and the mean key of the other. The queries of a region attend to all positions of its `topk` regions
    of greatest affinity. Logits are scaled by C^-0.5, not by head_dim^-0.5, as the authors' code has it
    (BiFormer, arXiv:2303.08810). 4 C² + 4 C parameters, and C (local_kernel² + 1) of the convolution.

    - `regions`: S, regions per side. A side shorter than S, or one that S does not divide, is cut into
      regions of ceil(side / S) positions, as many as cover it; what the last ones lack is masked.
    - `topk`: regions that a region attends to; where there are fewer, all of them. All regions make it full
      attention (of scale C^-0.5), and its products grow linearly with `topk`.
    - `head_dim`: channels of one head; it must divide C.
    - `local_kernel`: side of the depthwise convolution of the values that is added to the output, odd, in
      pixels; 0 for none.
    - `soft_routing`: whether keys and values are multiplied by the softmax of the affinities of the routed
      regions; only then does the routing get a gradient.
    """

    real: Tensor | None

    def __init__(
        self,
        signature: Signature,
        *,
        regions: int = 7,
        topk: int = 4,
        head_dim: int = 32,
        local_kernel: int = 5,
        soft_routing: bool = False,
    ) -> None:
        super().__init__()
        channels = signature.channels
        self.regions, self.topk, self.head_dim = regions, topk, head_dim
        self.soft_routing = soft_routing
        self.scale = channels**-0.5
        self.grid = region_grid((signature.size[0], signature.size[1]), regions)
        self.register_buffer("real", real_positions(self.grid), persistent=False)
        self.qkv = pointwise(channels, 3 * channels, bias=True)
        self.local = local_convolution(channels, local_kernel)
        self.project = pointwise(channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """Attention to the routed regions plus the convolution of the values, then a projection."""
        qkv = self.qkv(x)
        q, k, v = qkv.chunk(3, 1)
        grid, real = self._cut(x)
        index, weight = self.route(q, k, grid)
        mixed = self._attend(q, qkv[:, x.shape[1] :], index, weight, grid, real)
        if self.local is not None:
            mixed = mixed + self.local(v)
        return self.project(mixed)  # type: ignore[no-any-return]

    def route(self, q: Tensor, k: Tensor, grid: RegionGrid) -> tuple[Tensor, Tensor]:
        """The routed regions of each region, and the softmax of their affinities: both (N, regions, topk)."""
        if not self.soft_routing:
            q, k = q.detach(), k.detach()
        queries, keys = (
            F.avg_pool2d(part, grid.extent, ceil_mode=grid.is_padded).flatten(2) for part in (q, k)
        )
        affinity = (queries * self.scale).transpose(1, 2) @ keys
        best, index = affinity.topk(min(self.topk, grid.regions), -1)
        return index, best.softmax(-1)

    def _cut(self, x: Tensor) -> tuple[RegionGrid, Tensor | None]:
        """The regions of this map, and which of their positions are real; None where all are."""
        size = (x.shape[2], x.shape[3])
        if size == self.grid.size:
            return self.grid, self.real
        grid = region_grid(size, self.regions)
        return grid, real_positions(grid, x.device)

    def _attend(
        self, q: Tensor, kv: Tensor, index: Tensor, weight: Tensor, grid: RegionGrid, real: Tensor | None
    ) -> Tensor:
        """softmax(Q K^T / sqrt(C)) V in each region, over the positions of its routed regions."""
        channels = q.shape[1]
        routed = gather_regions(to_regions(kv, grid), index)
        if self.soft_routing:
            routed = routed * weight[..., None, None]
        keys, values = (self._heads(part) for part in routed.flatten(2, 3).split(channels, -1))
        queries = self._heads(to_regions(q, grid))
        mask = None
        if real is not None:
            heads = channels // self.head_dim
            mask = real[index].flatten(2)[:, :, None].repeat_interleave(heads, 2).flatten(1, 2)[:, :, None]
        mixed = F.scaled_dot_product_attention(queries, keys, values, mask, scale=self.scale)
        mixed = mixed.unflatten(1, (grid.regions, -1)).transpose(2, 3).flatten(3)
        return from_regions(mixed, grid)

    def _heads(self, x: Tensor) -> Tensor:
        """(N, regions, positions, C) to (N, regions heads, positions, head_dim)."""
        return x.unflatten(3, (-1, self.head_dim)).transpose(2, 3).flatten(1, 2)  # type: ignore[no-any-return]


def to_regions(x: Tensor, grid: RegionGrid) -> Tensor:
    """(N, C, H, W) to (N, regions, positions, C), zeros where the last regions lack positions."""
    if grid.is_padded:
        x = F.pad(x, (0, grid.missing[1], 0, grid.missing[0]))
    (rows, columns), (tall, wide) = grid.counts, grid.extent
    cut = x.reshape(x.shape[0], x.shape[1], rows, tall, columns, wide).permute(0, 2, 4, 3, 5, 1)
    return cut.reshape(x.shape[0], grid.regions, grid.positions, x.shape[1])


def from_regions(x: Tensor, grid: RegionGrid) -> Tensor:
    """(N, regions, positions, C) back to (N, C, H, W)."""
    (rows, columns), (tall, wide) = grid.counts, grid.extent
    parts = x.reshape(x.shape[0], rows, columns, tall, wide, x.shape[3]).permute(0, 5, 1, 3, 2, 4)
    joined = parts.reshape(x.shape[0], x.shape[3], rows * tall, columns * wide)
    return joined[:, :, : grid.size[0], : grid.size[1]]


def gather_regions(x: Tensor, index: Tensor) -> Tensor:
    """(N, regions, positions, C) and the routed regions of each, to (N, regions, k, positions, C)."""
    N, count, positions, channels = x.shape
    firsts = torch.arange(N, device=x.device)[:, None, None] * count
    rows = (index + firsts).flatten()
    return x.flatten(0, 1).index_select(0, rows).reshape(N, count, index.shape[2], positions, channels)


def real_positions(grid: RegionGrid, device: torch.device | None = None) -> Tensor | None:
    """Which positions of each region lie on the map, (regions, positions); None where all do."""
    if not grid.is_padded:
        return None
    (rows, columns), (tall, wide) = grid.counts, grid.extent
    down = torch.arange(rows * tall, device=device).reshape(rows, 1, tall, 1) < grid.size[0]
    across = torch.arange(columns * wide, device=device).reshape(1, columns, 1, wide) < grid.size[1]
    return (down & across).reshape(grid.regions, grid.positions)


def local_convolution(channels: int, kernel: int) -> nn.Conv2d | None:
    """A depthwise convolution with bias that keeps the size; None for a kernel of 0."""
    if not kernel:
        return None
    return nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)


class LocallyEnhancedAttention(nn.Module):
    """Attention over all positions plus a depthwise convolution of the input, as in BiFormer's last stage.

    Keeps (N, C, H, W) (arXiv:2303.08810). Logits are scaled by head_dim^-0.5. Only the projection and the
    convolution have a bias: 4 C² + C parameters, and C (local_kernel² + 1) of the convolution.

    - `head_dim`: channels of one head; it must divide C.
    - `local_kernel`: side of the convolution, odd, in pixels; 0 for none.
    """

    def __init__(self, signature: Signature, *, head_dim: int = 32, local_kernel: int = 5) -> None:
        super().__init__()
        channels = signature.channels
        self.head_dim = head_dim
        self.qkv = pointwise(channels, 3 * channels)
        self.local = local_convolution(channels, local_kernel)
        self.project = pointwise(channels, channels, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        """softmax(Q K^T / sqrt(head_dim)) V per head plus the convolution, then a projection."""
        N, C, H, W = x.shape
        heads = self.qkv(x).reshape(N, 3, C // self.head_dim, self.head_dim, H * W).transpose(-1, -2)
        q, k, v = heads.unbind(1)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(N, C, H, W)
        if self.local is not None:
            mixed = mixed + self.local(x)
        return self.project(mixed)  # type: ignore[no-any-return]
