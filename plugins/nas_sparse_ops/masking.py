"""Convolutional networks on a part of their positions: sparse masked modelling (SparK, arXiv:2301.03580).

`sparsify` makes a network compute on active positions alone; which those are is said around a call::

    encoder = sparsify(network)
    mask = random_active(len(x), (7, 7), ratio=0.6, generator=generator)
    with active_positions(mask):
        features = encoder(x * resized(mask, x.shape[2:]))
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas_base.activations import StarReLU
from nas_base.norms import ChannelNorm, MapNorm

_active: ContextVar[Tensor | None] = ContextVar("active_positions", default=None)

CONVOLUTIONS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
CHANNELS_FIRST = (*CONVOLUTIONS, nn.BatchNorm2d, nn.GroupNorm, ChannelNorm, MapNorm, StarReLU)
CHANNELS_LAST = (nn.LayerNorm, nn.Linear)
"""What is masked where it gives a map: everything that can make a zero into something else."""


@contextmanager
def active_positions(mask: Tensor) -> Iterator[None]:
    """Inside, sparsified networks compute where the mask (N, 1, h, w) is 1; it is spread over larger maps."""
    token = _active.set(mask)
    try:
        yield
    finally:
        _active.reset(token)


def random_active(samples: int, grid: tuple[int, int], *, ratio: float, generator: torch.Generator) -> Tensor:
    """A mask (samples, 1, *grid) in which a share `ratio` of the cells of each sample, drawn at random, is 0.

    The grid is that of the last map of the network, so that a cell is whole on every map.
    """
    cells = grid[0] * grid[1]
    order = torch.rand(samples, cells, generator=generator).argsort(1)
    return (order < cells - round(ratio * cells)).float().reshape(samples, 1, *grid)


def resized(mask: Tensor, size: Sequence[int]) -> Tensor:
    """The mask on a map of another size: every cell becomes a patch."""
    return mask if mask.shape[2:] == tuple(size) else F.interpolate(mask, tuple(size), mode="nearest")


def sparsify(module: nn.Module) -> nn.Module:
    """A copy of a network that computes on the active positions alone, inside `active_positions`.

    Convolutions, pools and linear layers give zero elsewhere, so the active set does not grow with depth;
    batch and group norms take their statistics from active positions. Its state dict is that of the dense
    network. What mixes positions by other means, attention for instance, is not masked inside; global pooling
    and what stands behind it stays as it is.
    """
    module = copy.deepcopy(module)
    for part in module.modules():
        if type(part) in _NORMS:
            part.__class__ = _NORMS[type(part)]
        if isinstance(part, CHANNELS_FIRST):
            part.register_forward_hook(_mask_map)
        elif isinstance(part, CHANNELS_LAST):
            part.register_forward_hook(_mask_channels_last)
    return module


def active_batch_norm(norm: nn.BatchNorm2d, x: Tensor, mask: Tensor) -> Tensor:
    """A batch norm whose statistics are those of the positions where the mask (N, 1, H, W) is 1.

    Updates the running statistics in training; what it gives elsewhere has no meaning.
    """
    if not norm.training and norm.running_mean is not None:
        return F.batch_norm(
            x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
        )
    count = mask.sum().clamp(min=1)
    mean = (x * mask).sum((0, 2, 3)) / count
    centred = x - mean.reshape(-1, 1, 1)
    variance = (centred.square() * mask).sum((0, 2, 3)) / count
    if norm.training and norm.running_mean is not None:
        _update(norm, mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
    y = centred * torch.rsqrt(variance + norm.eps).reshape(-1, 1, 1)
    return y if norm.weight is None else y * norm.weight.reshape(-1, 1, 1) + norm.bias.reshape(-1, 1, 1)


def active_group_norm(
    x: Tensor, mask: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """A group norm whose statistics are those of the active positions of each sample."""
    N, C, H, W = x.shape
    grouped, spread = x.reshape(N, groups, C // groups, H, W), mask.unsqueeze(1)
    count = (spread.sum((2, 3, 4), keepdim=True) * (C // groups)).clamp(min=1)
    centred = grouped - (grouped * spread).sum((2, 3, 4), keepdim=True) / count
    variance = (centred.square() * spread).sum((2, 3, 4), keepdim=True) / count
    y = (centred * torch.rsqrt(variance + eps)).reshape(x.shape)
    y = y if weight is None else y * weight.reshape(-1, 1, 1)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


class ActiveBatchNorm(nn.BatchNorm2d):
    """A batch norm over the active positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Active statistics where a mask is set."""
        mask = _mask_for(x.shape[2:], x)
        return super().forward(x) if mask is None else active_batch_norm(self, x, mask)


class ActiveGroupNorm(nn.GroupNorm):
    """A group norm over the active positions."""

    def forward(self, x: Tensor) -> Tensor:
        """Active statistics where a mask is set."""
        mask = _mask_for(x.shape[2:], x)
        if mask is None:
            return super().forward(x)
        return active_group_norm(x, mask, self.num_groups, self.weight, self.bias, self.eps)


class ActiveMapNorm(MapNorm):
    """A norm over channels and active positions together."""

    def forward(self, x: Tensor) -> Tensor:
        """Active statistics where a mask is set."""
        mask = _mask_for(x.shape[2:], x)
        return (
            super().forward(x) if mask is None else active_group_norm(x, mask, 1, self.weight, None, self.eps)
        )


_NORMS: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm2d: ActiveBatchNorm,
    nn.GroupNorm: ActiveGroupNorm,
    MapNorm: ActiveMapNorm,
}


def _update(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Moves the running statistics, as `nn.BatchNorm2d` does."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    momentum = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), momentum)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), momentum)


def _mask_for(size: Sequence[int], like: Tensor) -> Tensor | None:
    """The active positions on a map of this size; None where none are set or the map is the smaller one."""
    mask = _active.get()
    if mask is None or len(size) != 2 or any(a < b for a, b in zip(size, mask.shape[2:], strict=True)):
        return None
    return resized(mask, size).to(like.dtype)


def _mask_map(part: nn.Module, args: Any, y: Tensor) -> Tensor:
    mask = _mask_for(y.shape[2:], y)
    return y if mask is None else y * mask


def _mask_channels_last(part: nn.Module, args: Any, y: Tensor) -> Tensor:
    mask = _mask_for(y.shape[1:-1], y)
    return y if mask is None else y * mask.squeeze(1).unsqueeze(-1)
