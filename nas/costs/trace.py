"""Traces what a module executes, on the meta device: shapes without memory or arithmetic."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.blocks import Model, shapes
from nas.costs.operators import Operator, Trace
from nas.costs.rules import Work, elements, rule_for
from nas.errors import CostError

__all__ = ["Operator", "Trace", "trace"]

COMPOSITES = frozenset({"scaled_dot_product_attention", "lstm", "gru", "rnn_tanh", "rnn_relu"})
"""Functions that run as one kernel but would be seen as many operators: recorded once, as themselves."""
ALLOCATIONS = frozenset({"empty", "empty_strided", "new_empty", "new_empty_strided", "empty_like", "resize_"})
ONE_OUTPUT = frozenset({"norm", "pool", "sdpa"})
"""Kinds whose further outputs (statistics, indices) inference does not write."""


def trace(module: nn.Module, input_shape: Sequence[int], batch_size: int = 1, *, owned: bool = False) -> Trace:
    """Every operator that `module` executes in eval mode for a float input of (batch_size, *input_shape).

    The module itself is not touched: a copy without data runs on the meta device, or on the CPU where it needs
    real values; with `owned` a module that is on the meta device already runs itself, and is left in eval mode.
    Raises CostError where it cannot run on such an input.

    >>> trace(nn.Linear(8, 4), (8,)).macs
    32
    """
    shape = (batch_size, *(int(extent) for extent in input_shape))
    try:
        return _run(module if owned and _is_meta(module) else _meta_copy(module), shape, torch.device("meta"))
    except Exception as first:
        try:
            return _run(copy.deepcopy(module).cpu(), shape, torch.device("cpu"))
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(first).__name__
            raise CostError(f"{type(module).__name__} cannot run on an input of shape {shape}: {reason}") from error


def _is_meta(module: nn.Module) -> bool:
    return all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))


def _meta_copy(module: nn.Module) -> nn.Module:
    """A deep copy whose parameters and buffers have shapes but no data; shared ones stay shared."""
    memo: dict[int, Any] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(_meta(parameter), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = _meta(buffer)
    return copy.deepcopy(module, memo).to("meta")


def _meta(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(tensor.detach(), device="meta")


def _run(module: nn.Module, shape: tuple[int, ...], device: torch.device) -> Trace:
    module.eval().requires_grad_(False)
    recorder = Recorder(module)
    with torch.no_grad(), _slow_attention(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with recorder.paths(), torch.device(device), recorder, Composites(recorder):
            module(recorder.input(shape, device))
    parameters = {id(p): p.numel() for p in module.parameters()}
    buffers = {id(b): b.numel() for b in module.buffers()}
    return Trace(
        operators=tuple(recorder.operators),
        params=sum(parameters.values()),
        buffer_elements=sum(buffers.values()),
        peak_live_elements=recorder.peak,
        input_shape=shape[1:],
        batch_size=shape[0],
    )


@contextmanager
def _slow_attention() -> Iterator[None]:
    """Keeps MultiheadAttention off its fused path, which no rule could look into."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


class Composites(TorchFunctionMode):
    """Records the functions of COMPOSITES once each, and hides what they are made of."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs the function; one of COMPOSITES under a pause of the recorder."""
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name not in COMPOSITES or self._recorder.paused:
            return func(*args, **kwargs)
        self._recorder.paused = True
        try:
            result = func(*args, **kwargs)
        finally:
            self._recorder.paused = False
        positional = (*args, *kwargs.values()) if name != "scaled_dot_product_attention" else _attention_inputs(args, kwargs)
        self._recorder.record(name, positional, {}, result)
        return result


def _attention_inputs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Query, key, value and mask, however they were passed."""
    names = ("query", "key", "value", "attn_mask")
    given = dict(zip(names, args, strict=False)) | {name: kwargs[name] for name in names if name in kwargs}
    return tuple(value for value in given.values() if value is not None)


class Recorder(TorchDispatchMode):
    """Records each operator with the module it ran in, and follows which activations are alive."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.operators: list[Operator] = []
        self.paused = False
        self.peak = 0
        self._live = 0
        self._module = module
        self._path: list[str] = []
        self._weights = {_storage_key(tensor) for tensor in (*module.parameters(), *module.buffers())}
        self._ids: dict[int, int] = {}
        self._count = 0

    def input(self, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
        """The input of the module; nobody but the module keeps it alive."""
        self.paused = True
        tensor = torch.zeros(shape, device=device)
        self.paused = False
        self._activation(tensor)
        return tensor

    @contextmanager
    def paths(self) -> Iterator[None]:
        """Hooks that know which submodule runs."""
        handles = []
        for name, module in self._module.named_modules():
            handles.append(module.register_forward_pre_hook(lambda _m, _a, name=name: self._path.append(name)))
            handles.append(module.register_forward_hook(lambda _m, _a, _o: self._leave(), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _leave(self) -> None:
        if self._path:
            self._path.pop()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operator and records it, unless it is a view or moves nothing."""
        kwargs = kwargs or {}
        result = shapes.run(func, args, kwargs)
        if not self.paused and not _is_view(func):
            self.record(func._schema.name.partition("::")[2], args, kwargs, result)
        return result

    def record(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """Adds one operator."""
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if not outputs:
            return
        written = tuple(self._activation(tensor) for tensor in outputs)
        if name in ALLOCATIONS:
            return
        rule = rule_for(name)
        work = Work("custom", 0, elements(outputs)) if rule is None else rule(args, kwargs, outputs)
        if work.kind in ONE_OUTPUT:
            outputs = outputs[:1]
        inputs = [leaf for leaf in tree_leaves((args, dict(kwargs))) if isinstance(leaf, torch.Tensor)]
        read, weights, sources = self._reads(inputs, work.kind, elements(outputs))
        self.operators.append(
            Operator(
                name=name,
                kind=work.kind,
                module=self._path[-1] if self._path else "",
                macs=work.macs,
                flops=work.flops,
                elements_read=read,
                elements_written=elements(outputs),
                weight_elements=weights,
                inputs=sources,
                outputs=written,
                dims=work.dims,
                known=rule is not None,
                scope=self._scope(),
            )
        )

    def _reads(self, inputs: Sequence[torch.Tensor], kind: str, written: int) -> tuple[int, int, tuple[int, ...]]:
        """Activation elements read, weight elements read, and the ids of the activations; each tensor once."""
        read = weights = 0
        sources: dict[int, None] = {}
        for tensor in {id(tensor): tensor for tensor in inputs}.values():
            count = min(_distinct(tensor), written) if kind == "gather" else _distinct(tensor)
            if _storage_key(tensor) in self._weights:
                weights += count
            else:
                read += count
                sources[self._activation(tensor)] = None
        return read, weights, tuple(sources)

    def _scope(self) -> str:
        """The layer of a network of ours: kernels are not fused across layers, so that layers can be priced alone."""
        if not isinstance(self._module, Model) or not self._path:
            return ""
        return ".".join(self._path[-1].split(".")[:2])

    def _activation(self, tensor: torch.Tensor) -> int:
        """The id of the memory behind a tensor; memory seen for the first time is alive until it is dropped."""
        key = _storage_key(tensor)
        if key in self._weights:
            return -1
        if key not in self._ids:
            self._count += 1
            self._ids[key] = self._count
            storage = tensor.untyped_storage()
            size = storage.nbytes() // max(1, tensor.element_size())
            self._live += size
            self.peak = max(self.peak, self._live)
            weakref.finalize(storage, self._drop, key, size).atexit = False
        return self._ids[key]

    def _drop(self, key: int, size: int) -> None:
        self._live -= size
        self._ids.pop(key, None)


def _storage_key(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _distinct(tensor: torch.Tensor) -> int:
    """The elements of a tensor that differ in memory: an expanded dimension is read once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else min(size, 1)
    return count


def _is_view(func: Any) -> bool:
    """Whether the operator returns its input's memory unchanged."""
    if func._schema.name == "aten::_unsafe_view":
        return True
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)
