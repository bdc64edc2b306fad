"""Copies of a module to run in its stead: without data on the meta device, or with it on the CPU."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import nn

META = torch.device("meta")
CPU_LIMIT = 4 << 30
"""Bytes of weights above which no copy with data is made."""
CONSTANTS = frozenset([int, float, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size])
"""Types of values that a copy shares with its original."""


def meta_twin(module: nn.Module) -> nn.Module:
    """A deep copy in eval mode whose tensors have shapes but no data; shared ones stay shared."""
    module = _inner(module)
    memo: dict[int, Any] = {}
    for part in module.modules():
        for parameter in _given(part._parameters):
            memo[id(parameter)] = nn.Parameter(_empty(parameter), requires_grad=parameter.requires_grad)
        for buffer in _given(part._buffers):
            memo[id(buffer)] = _empty(buffer)
        for tensor in _computed(part):
            memo[id(tensor)] = _empty(tensor)
    memo[id(memo)] = []  # where deepcopy keeps the originals alive
    twin: nn.Module = _copied(module, memo)
    tensors = (*twin.parameters(), *twin.buffers())
    if not all(tensor.is_meta for tensor in tensors):
        twin = twin.to("meta")
    return twin.eval()


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
    computed = [tensor for part in module.modules() for tensor in _computed(part)]
    memo: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in (*sparse, *computed)}
    return copy.deepcopy(module, memo).to("cpu").eval()


def has_sparse_weights(module: nn.Module) -> bool:
    """Whether a parameter or buffer is sparse: the meta device cannot tell how many values it holds."""
    return any(tensor.layout is not torch.strided for tensor in (*module.parameters(), *module.buffers()))


def _computed(part: nn.Module) -> list[torch.Tensor]:
    """Plain attributes that autograd computed, as `torch.nn.utils.prune` leaves them."""
    return [value for value in vars(part).values() if isinstance(value, torch.Tensor) and not value.is_leaf]


def _given(tensors: Mapping[str, torch.Tensor | None]) -> list[torch.Tensor]:
    return [tensor for tensor in tensors.values() if tensor is not None]


def _inner(module: nn.Module) -> nn.Module:
    """The module itself where it was wrapped by `torch.compile`."""
    inner = getattr(module, "_orig_mod", module)
    return inner if isinstance(inner, nn.Module) else module


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.layout is not torch.strided:
        return torch.empty_like(tensor.detach(), device=META)
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """`copy.deepcopy`, several times as fast on what modules are made of."""
    kind: Any = type(value)
    twin: Any
    if kind in CONSTANTS:
        return value
    if id(value) in memo:
        return memo[id(value)]
    if kind in (dict, OrderedDict):
        twin = memo[id(value)] = kind()
        for name, item in value.items():
            twin[_copied(name, memo)] = _copied(item, memo)
    elif kind is list:
        twin = memo[id(value)] = []
        twin.extend([_copied(item, memo) for item in value])
    elif (kind is tuple or kind is set) and all(type(item) in CONSTANTS for item in value):
        twin = value if kind is tuple else set(value)
    elif isinstance(value, nn.Module) and _is_plain(kind):
        twin = memo[id(value)] = kind.__new__(kind)
        twin.__setstate__({name: _copied(item, memo) for name, item in value.__getstate__().items()})
    else:
        twin = copy.deepcopy(value, memo)
    return twin


@cache
def _is_plain(kind: type[nn.Module]) -> bool:
    """Whether modules of a class are made of their attributes alone, which is what deepcopy asks too."""
    ways = ("__new__", "__reduce__", "__reduce_ex__", "__getstate__")
    own = ("__deepcopy__", "__getnewargs__", "__getnewargs_ex__", "__slots__")
    return all(getattr(kind, name) is getattr(nn.Module, name) for name in ways) and not any(
        hasattr(kind, name) for name in own
    )
