"""From active positions back to whole maps, and the loss of masked modelling (SparK, arXiv:2301.03580)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas_sparse_ops.masking import resized

EPS = 1e-6


class Densify(nn.Module):
    """A learned embedding at every empty position, then a convolution to the width of a decoder.

    (N, channels, H, W) and a mask (N, 1, h, w) to (N, width, H, W). The convolution is 1x1, or the identity
    where `width` is `channels` and no projection is needed.
    """

    def __init__(self, channels: int, width: int | None = None) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(channels))
        nn.init.trunc_normal_(self.embedding, std=0.02)
        is_kept = width in (None, channels)
        self.project = nn.Identity() if is_kept else nn.Conv2d(channels, width or channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """The map where the mask is 1, the embedding elsewhere, projected."""
        is_active = resized(mask, x.shape[2:]).bool()
        return self.project(torch.where(is_active, x, self.embedding.reshape(-1, 1, 1)))  # type: ignore[no-any-return]


def patches(x: Tensor, grid: tuple[int, int]) -> Tensor:
    """A map (N, C, H, W) as (N, h · w, C · H/h · W/w), a row for each cell of the grid (h, w)."""
    N, C, H, W = x.shape
    h, w = grid
    if H % h or W % w:
        raise ValueError(f"a map of {H}x{W} cannot be cut into a grid of {h}x{w}")
    cells = x.reshape(N, C, h, H // h, w, W // w)
    return cells.permute(0, 2, 4, 3, 5, 1).reshape(N, h * w, -1)


def masked_patch_loss(output: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """The mean squared error of the masked patches, each patch of the target normalised by itself.

    `output` and `target` are (N, C, H, W), the mask (N, 1, h, w) is 0 where a patch had been taken away;
    visible patches have no part in it. Zero where nothing is masked.
    """
    grid = (mask.shape[2], mask.shape[3])
    wanted = patches(target, grid)
    wanted = F.layer_norm(wanted, wanted.shape[-1:], eps=EPS)
    errors = (patches(output, grid) - wanted).square().mean(-1)
    missing = 1 - mask.flatten(1)
    return (errors * missing).sum() / missing.sum().clamp(min=1)
