"""Watches a module run and records its operators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from nas.costs.call import Call, Work, bind, tensors_of
from nas.costs.liveness import Memory
from nas.costs.operators import Operator, Trace
from nas.costs.plans import ONE_OUTPUT, WRITE_ONLY, Plan, plan_of
from nas.costs.precision import widths_of
from nas.costs.rules import unknown
from nas.costs.tensors import memory_bytes, memory_key, tensor_bytes


class Recorder(TorchDispatchMode):
    """Records each operator that runs, with the module it runs in and the memory it reads and writes.

    It must be entered under `torch.inference_mode`: only there does torch show compositions, such as
    attention, before it takes them apart. On the meta device whatever belongs to another device is moved
    there.
    """

    def __init__(self, module: nn.Module, device: torch.device, batch_size: int, precision: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._module = module
        self._device = device
        self._batch_size = batch_size
        self._precision = precision
        self._widths = widths_of(precision)
        self._operators: list[Operator] = []
        self._memory = Memory()
        self._path: list[str] = []
        self._kept: list[Any] = []  # a key is an address: nothing may be freed while it is in use
        self._moved: dict[int, torch.Tensor] = {}
        self._weights: dict[int, int] = {}
        for tensor in (*module.parameters(), *module.buffers()):
            self._add_weight(tensor)

    def run(self, inputs: Sequence[torch.Tensor]) -> Trace:
        """Runs the module on its inputs and returns what was executed."""
        for tensor in inputs:
            self._memory.add(self._key(tensor), memory_bytes(tensor, self._widths.activation), 0)
        with self._paths(), self:
            output = self._module(*inputs)
        returned = [self._key(leaf) for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)]
        return Trace(
            operators=tuple(self._operators),
            params=sum(parameter.numel() for parameter in self._module.parameters()),
            weight_bytes=sum(self._weights.values()),
            activation_bytes=self._memory.allocated(),
            peak_activation_bytes=self._memory.peak(len(self._operators), returned),
            batch_size=self._batch_size,
            precision=self._precision,
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operator and records it, unless it is a view or is made of others."""
        kwargs = dict(kwargs or {})
        plan = plan_of(func)
        if plan.is_composite:
            with self:
                return func._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)
        if self._device.type == "meta":
            args, kwargs = self._to_meta(plan, args, kwargs)
        result = func(*args, **kwargs) if (like := self._like(plan, args)) is None else torch.empty_like(like)
        outputs = [result] if isinstance(result, torch.Tensor) else tensors_of(tree_leaves(result))
        if outputs:
            self._see(plan, args, kwargs, outputs)
        return result

    def _see(
        self, plan: Plan, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: list[torch.Tensor]
    ) -> None:
        """Records a call that returned tensors, or only the memory of its outputs where it did no work."""
        inputs = tensors_of((*args, *kwargs.values()))
        now = len(self._operators)
        if plan.is_free or (not plan.is_mutable and self._is_view(inputs, outputs)):
            for tensor in outputs:
                self._add_activation(tensor, now)
            return
        call = Call(plan.name, bind(plan.operator, args, kwargs), outputs)
        work = unknown(call) if plan.rule is None else plan.rule(call)
        read, weights, sources = self._reads(plan, work, inputs, outputs, now)
        written = self._writes(plan, work, inputs, outputs, now)
        self._operators.append(
            Operator(
                name=plan.name,
                kind=work.kind,
                module=self._path[-1] if self._path else "",
                macs=work.macs,
                flops=work.flops,
                bytes_read=read,
                bytes_written=written,
                weight_bytes=weights,
                sources=sources,
                dims=work.dims,
                known=plan.rule is not None,
            )
        )

    def _reads(
        self, plan: Plan, work: Work, inputs: list[torch.Tensor], outputs: list[torch.Tensor], now: int
    ) -> tuple[int, int, tuple[tuple[int, int], ...]]:
        """Bytes read, the weights among them, and who made the rest; a tensor given twice is read once."""
        total = weights = 0
        sources = []
        skipped = inputs[:1] if plan.name in WRITE_ONLY or (work.kind == "gather" and plan.is_mutable) else []
        gathered = max(tensor.numel() for tensor in outputs) if work.kind == "gather" else None
        for tensor in {id(tensor): tensor for tensor in inputs}.values():
            key = self._key(tensor)
            if key not in self._memory and key not in self._weights:
                self._add_weight(tensor)  # a constant that the module holds without registering it
            if skipped and tensor is skipped[0]:
                continue
            is_weight = key in self._weights
            size = tensor_bytes(tensor, self._widths.weight if is_weight else self._widths.activation)
            if gathered is not None and tensor.numel() > gathered:
                size = size * gathered // tensor.numel()
            total += size
            if is_weight:
                weights += size
            else:
                sources.append((self._memory.use(key, now), size))
        return total, weights, tuple(sources)

    def _writes(
        self, plan: Plan, work: Work, inputs: list[torch.Tensor], outputs: list[torch.Tensor], now: int
    ) -> int:
        """Bytes written; an in-place scatter writes no more than it was given."""
        written = outputs[:1] if work.kind in ONE_OUTPUT else outputs
        total = 0
        for tensor in written:
            self._add_activation(tensor, now)
            key = self._key(tensor)
            if key in self._memory:
                self._memory.write(key, now)
            total += tensor_bytes(tensor, self._widths.activation)
        if work.kind == "gather" and plan.is_mutable:
            given = (tensor_bytes(tensor, self._widths.activation) for tensor in inputs[1:])
            total = min(total, max(given, default=total))
        return total

    def _is_view(self, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> bool:
        memories = {self._key(tensor) for tensor in inputs}
        return all(self._key(tensor) in memories for tensor in outputs)

    def _key(self, tensor: torch.Tensor) -> int:
        key = memory_key(tensor)
        if key not in self._memory and key not in self._weights:
            self._kept.append(tensor if tensor.layout is not torch.strided else tensor.untyped_storage())
        return key

    def _add_weight(self, tensor: torch.Tensor) -> None:
        key = self._key(tensor)
        self._weights.setdefault(key, memory_bytes(tensor, self._widths.weight))

    def _add_activation(self, tensor: torch.Tensor, now: int) -> None:
        key = self._key(tensor)
        if key not in self._weights:
            self._memory.add(key, memory_bytes(tensor, self._widths.activation), now)

    def _like(self, plan: Plan, args: tuple[Any, ...]) -> torch.Tensor | None:
        """The tensor that the output is like, where that is known without running the operator."""
        if not plan.keeps_shape or self._device.type != "meta":
            return None
        given = tensors_of(args)
        if any(tensor.dtype != given[0].dtype for tensor in given) or not given[0].dtype.is_floating_point:
            return None
        largest = max(given, key=lambda tensor: (tensor.ndim, tensor.numel()))
        return largest if all(_spreads_over(tensor.shape, largest.shape) for tensor in given) else None

    def _to_meta(
        self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments on the meta device; new tensors are asked for there too."""
        if plan.takes_device:
            kwargs["device"] = self._device
        if any(not tensor.is_meta for tensor in tensors_of((*args, *kwargs.values()))):
            args, kwargs = tree_map(self._on_meta, (args, kwargs))
        return args, kwargs

    def _on_meta(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or value.is_meta:
            return value
        if id(value) not in self._moved:
            self._moved[id(value)] = value.to("meta")
            self._kept.append(value)
        return self._moved[id(value)]

    @contextmanager
    def _paths(self) -> Iterator[None]:
        """Hooks that know which submodule runs; one that stands in several places has its first path."""
        handles: list[Any] = []
        for name, part in self._module.named_modules():
            if not isinstance(part, torch.jit.ScriptModule):
                handles.extend(self._watch(name, part))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _watch(self, name: str, part: nn.Module) -> Iterable[Any]:
        def enter(*_: Any) -> None:
            self._path.append(name)

        def leave(*_: Any) -> None:
            self._path.pop()

        yield part.register_forward_pre_hook(enter, prepend=True)
        yield part.register_forward_hook(leave, always_call=True)


def _spreads_over(small: torch.Size, large: torch.Size) -> bool:
    """Whether a tensor of one shape, spread over one of another, gives that other shape."""
    return small == large or all(a in (1, b) for a, b in zip(reversed(small), reversed(large), strict=False))
