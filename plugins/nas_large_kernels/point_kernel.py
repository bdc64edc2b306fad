"""A convolution kernel of any size that a few moving points span."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

SMALLEST_RADIUS, LARGEST_RADIUS = 1e-3, 1.0


class PointKernel(nn.Module):
    """``K(x) = sum_i w_i relu(1 - |x - p_i|_1 / r_i)`` on a grid over [-1, 1]^d (SMPConv, arXiv:2304.02330).

    All channels share the positions p_i and the radii r_i, both learned; each has its own weights w_i. Radii
    begin at four over the size and count as from 0.001 to 1. ``points (channels + d + 1)`` parameters,
    whatever the size.
    """

    def __init__(self, channels: int, sizes: Sequence[int], points: int) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.positions = nn.Parameter(torch.empty(points, len(self.sizes)))
        self.radii = nn.Parameter(torch.full((points,), min(LARGEST_RADIUS, 4 / max(self.sizes))))
        self.weights = nn.Parameter(torch.empty(channels, points))
        nn.init.trunc_normal_(self.positions, std=0.2, a=-1.0, b=1.0)
        nn.init.trunc_normal_(self.weights, std=0.02)

    def forward(self, sizes: Sequence[int] | None = None) -> Tensor:
        """The kernel (channels, *sizes) at its own size or resampled at another."""
        grid = self._grid(self.sizes if sizes is None else tuple(sizes))
        distances = grid.unsqueeze(0) - self.positions.reshape(
            *self.positions.shape, *(1 for _ in self.sizes)
        )
        radii = self.radii.clamp(SMALLEST_RADIUS, LARGEST_RADIUS).reshape(-1, *(1 for _ in self.sizes))
        reach = torch.relu(1 - distances.abs().sum(1) / radii)
        return (self.weights @ reach.flatten(1)).reshape(-1, *reach.shape[1:])

    def on_epoch(self, progress: float) -> None:
        """Brings radii back that left their range, where nothing moves them any more."""
        with torch.no_grad():
            self.radii.clamp_(SMALLEST_RADIUS, LARGEST_RADIUS)

    def _grid(self, sizes: tuple[int, ...]) -> Tensor:
        """The coordinates (d, *sizes) of the taps."""
        like = self.positions
        axes = [
            torch.linspace(-1, 1, size, dtype=like.dtype, device=like.device)
            if size > 1
            else like.new_zeros(1)
            for size in sizes
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))
