"""Copies of a module to run in its stead: without data on the meta device, or with it on the CPU."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

CPU_LIMIT = 4 << 30
"""Bytes of weights above which no copy with data is made."""


def meta_twin(module: nn.Module) -> nn.Module:
    """A deep copy in eval mode whose tensors have shapes but no data; shared ones stay shared."""
    module = _inner(module)
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(_empty(parameter), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = _empty(buffer)
    for tensor in _computed(module):
        memo[id(tensor)] = _empty(tensor)
    memo[id(memo)] = []  # where deepcopy keeps the originals alive
    return copy.deepcopy(module, memo).to("meta").eval()


def cpu_twin(module: nn.Module) -> nn.Module:
    """A deep copy in eval mode on the CPU; ValueError where there is no data or too much of it."""
    module = _inner(module)
    tensors = [*module.parameters(), *module.buffers()]
    if any(tensor.is_meta for tensor in tensors):
        raise ValueError("its parameters are on the meta device")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors) > CPU_LIMIT:
        raise ValueError(f"it is too large to be copied ({CPU_LIMIT >> 30} GiB)")
    sparse = [tensor for tensor in tensors if tensor.layout is not torch.strided]
    # deepcopy alone copies neither sparse tensors nor those that know how they were computed
    memo: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in (*sparse, *_computed(module))}
    return copy.deepcopy(module, memo).to("cpu").eval()


def has_sparse_weights(module: nn.Module) -> bool:
    """Whether a parameter or buffer is sparse: the meta device cannot tell how many values it holds."""
    return any(tensor.layout is not torch.strided for tensor in (*module.parameters(), *module.buffers()))


def _computed(module: nn.Module) -> list[torch.Tensor]:
    """Plain attributes that autograd computed, as `torch.nn.utils.prune` leaves them."""
    values = [value for part in module.modules() for value in vars(part).values()]
    return [value for value in values if isinstance(value, torch.Tensor) and not value.is_leaf]


def _inner(module: nn.Module) -> nn.Module:
    """The module itself where it was wrapped by `torch.compile`."""
    inner = getattr(module, "_orig_mod", module)
    return inner if isinstance(inner, nn.Module) else module


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(tensor.detach(), device="meta")
