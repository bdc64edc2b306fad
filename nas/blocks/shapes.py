"""Runs operators on the meta device quickly: the shape of an elementwise result needs no decomposition.

torch finds the shapes of many elementwise operators on the meta device by running their decomposition in
Python, which takes milliseconds; a space of networks runs a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_NAMES = """
    relu hardswish hardsigmoid hardtanh sigmoid tanh gelu silu leaky_relu elu mish softplus exp abs neg
    square sqrt rsqrt clamp clamp_min clamp_max _softmax hardswish_ relu_ hardtanh_ silu_ hardsigmoid_
    normal_ uniform_ zero_ trunc_normal_
""".split()
ELEMENTWISE = frozenset(getattr(_aten, name).default for name in _NAMES if hasattr(_aten, name)) | {
    _aten.fill_.Scalar,
    _aten.add.Tensor,
    _aten.sub.Tensor,
    _aten.mul.Tensor,
    _aten.div.Tensor,
    _aten.pow.Tensor_Scalar,
}
NORMS = frozenset(
    {_aten.native_batch_norm.default, _aten.native_layer_norm.default, _aten.native_group_norm.default}
)


FILLS = frozenset(
    value for name, value in vars(torch.nn.init).items() if name.endswith("_") and callable(value)
) | {getattr(torch.Tensor, name) for name in ("fill_", "zero_", "normal_", "uniform_")}
"""What gives a tensor its first values, and returns it."""


def run(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The result of an operator; made by hand on the meta device where it is shaped like its inputs."""
    first = args[0] if args else None
    if not (isinstance(first, torch.Tensor) and first.is_meta and first.is_floating_point()):
        return func(*args, **kwargs)
    if func in NORMS and first.is_contiguous():
        return torch.empty_like(first), first.new_empty(0), first.new_empty(0)
    if func not in ELEMENTWISE:
        return func(*args, **kwargs)
    if func._schema.name.endswith("_"):  # type: ignore[attr-defined]
        return first
    others = [a for a in args[1:] if isinstance(a, torch.Tensor)]
    if not others and first.is_contiguous():
        return torch.empty_like(first)
    if all(o.is_meta and o.dtype == first.dtype for o in others):
        return first.new_empty(torch.broadcast_shapes(first.shape, *(o.shape for o in others)))
    return func(*args, **kwargs)


class ShapesOnly(TorchDispatchMode):
    """Runs operators by `run`: for building a module on the meta device and finding the shape it gives."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """One operator."""
        return run(func, args, kwargs or {})


class WithoutValues(TorchFunctionMode):
    """Leaves tensors as they were allocated: for building a module on the meta device, which keeps none."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """One function of torch."""
        kwargs = kwargs or {}
        if func in FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)
