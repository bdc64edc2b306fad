"""What operators return that keep a shape: on the meta device they need not run."""

from __future__ import annotations

from typing import Any

import torch

from nas.costs.call import tensors_of
from nas.costs.plans import Plan


def like_of(plan: Plan, args: tuple[Any, ...]) -> torch.Tensor | None:
    """The tensor that the output is like, where that is sure without running the operator."""
    is_sure = plan.keeps_input or (plan.keeps_shape and not plan.is_mutable)  # not where it fills an `out`
    given = tensors_of(args) if is_sure else []
    if not given or not given[0].dtype.is_floating_point:
        return None
    first = given[0]
    if plan.keeps_input and not plan.is_mutable:
        return first if first.is_contiguous() else None
    if any(tensor.dtype != first.dtype for tensor in given):
        return None
    largest = max(given, key=lambda tensor: (tensor.ndim, tensor.numel()))
    like = first if plan.is_mutable else largest
    return like if all(_spreads_over(tensor.shape, like.shape) for tensor in given) else None


def new_like(tensor: torch.Tensor) -> torch.Tensor:
    """A new tensor of the same shape, strides and type."""
    if not tensor.is_contiguous():
        return torch.empty_like(tensor)  # many times as slow: torch finds the strides in Python
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=tensor.device)


def _spreads_over(small: torch.Size, large: torch.Size) -> bool:
    """Whether a tensor of one shape, spread over one of another, gives that other shape."""
    return small == large or all(a in (1, b) for a, b in zip(reversed(small), reversed(large), strict=False))
