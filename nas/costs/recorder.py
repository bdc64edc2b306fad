"""Watches a module run and records its operators."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from nas.costs.autocast import Autocast
from nas.costs.autocast_state import autocast_state
from nas.costs.call import Call, Work, bind, tensors_of
from nas.costs.likeness import like_of, new_like
from nas.costs.liveness import Memory
from nas.costs.memory_order import as_kernels_write, order_of
from nas.costs.operators import Operator, Trace
from nas.costs.outcomes import call_key, recall, remember
from nas.costs.paths import module_paths
from nas.costs.plans import ONE_OUTPUT, WRITE_ONLY, Plan, plan_of
from nas.costs.precision import AUTOCAST, widths_of
from nas.costs.rules import unknown
from nas.costs.rules_matrix import as_linear
from nas.costs.scratch import scratch_bytes
from nas.costs.tensors import memory_bytes, memory_key, number_bytes, tensor_bytes

TO_COPY = torch.ops.aten._to_copy.default


class Recorder(TorchDispatchMode):
    """Records each operator that runs, with the module it runs in and the memory it reads and writes.

    It must be entered under `torch.inference_mode`: only there does torch show compositions, such as
    attention, before it takes them apart. On the meta device whatever belongs to another device is moved
    there. Where the precision stands for autocast, the casts it executes are operators. Unless `keeps_order`
    is False, as where a compiler lays tensors out, convolutions write images as the kernels of torch do.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        batch_size: int,
        precision: str,
        keeps_order: bool = True,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._module = module
        self._device = device
        self._is_meta = device.type == "meta"
        self._orders_images = keeps_order and self._is_meta
        self._batch_size = batch_size
        self._precision = precision
        self._widths = widths_of(precision)
        lower = AUTOCAST.get(precision)
        self._autocast = None if lower is None else Autocast(lower, self._cast)
        self._operators: list[Operator] = []
        self._memory = Memory()
        self._path: list[str] = []
        self._kept: list[Any] = []  # a key is an address: what is not watched may not be freed
        self._watched: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._moved: dict[int, torch.Tensor] = {}
        self._weights: dict[int, int] = {}
        self._weight_casts: set[int] = set()
        self._linear: Plan | None = None
        for tensor in (*module.parameters(), *module.buffers()):
            self._add_weight(tensor)

    def run(self, inputs: Sequence[torch.Tensor]) -> Trace:
        """Runs the module on its inputs and returns what was executed."""
        for tensor in inputs:
            self._memory.add(self._key(tensor), memory_bytes(tensor, self._widths.activation), 0)
        with autocast_state(self._autocast is not None), module_paths(self._module, self._path), self:
            output = self._module(*inputs)
        cast = self._autocast.kept if self._autocast else []
        returned = {self._key(leaf) for leaf in tree_leaves(output) if isinstance(leaf, torch.Tensor)}
        return Trace(
            operators=tuple(self._operators),
            params=sum(parameter.numel() for parameter in self._module.parameters()),
            weight_bytes=sum(self._weights.values()) + self._memory.take_out(map(self._key, cast)),
            activation_bytes=self._memory.allocated(),
            peak_activation_bytes=self._memory.peak(len(self._operators), returned),
            allocations=self._memory.allocations(len(self._operators), returned),
            batch_size=self._batch_size,
            precision=self._precision,
            output=self._maker(output),
        )

    def _maker(self, output: Any) -> int | None:
        """The operator that made what the module returns, of which that is all; -1 for the input itself."""
        if not isinstance(output, torch.Tensor) or (key := self._key(output)) not in self._memory:
            return None
        maker, width = self._memory.maker(key), self._widths.activation
        made = memory_bytes(output, width) if maker < 0 else self._operators[maker].bytes_written
        return maker if tensor_bytes(output, width) == made else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs one operator and records it, unless it is a view or is made of others."""
        kwargs = dict(kwargs or {})
        plan = plan_of(func)
        autocast = self._autocast
        if autocast is None or plan.policy is None or not autocast.is_active:
            return self._dispatch(plan, args, kwargs)
        operator, args, kwargs = autocast.apply(func, plan.policy, args, kwargs)
        with autocast.suspended():
            return self._dispatch(plan_of(operator), args, kwargs)

    def _dispatch(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Takes an operator apart, recalls what it returns, or runs it."""
        if plan.is_linear and not is_flat(args[0]):
            return self._linear_in_parts(plan, args, kwargs)
        if plan.is_composite:
            return self._in_parts(plan, args, kwargs)
        key = call_key(plan.operator, args, kwargs) if plan.is_pure and self._is_meta else None
        if key is not None and (found := recall(key)) is not None:
            outputs = [self._ordered(plan, args, tensor) for tensor in found.tensors()]
            self._record(plan, found.work, tensors_of((*args, *kwargs.values())), outputs)
            return found.result(outputs)
        if self._is_meta:
            args, kwargs = self._to_meta(plan, args, kwargs)
        returned = self._execute(plan, args, kwargs)
        result = self._ordered(plan, args, returned)
        outputs = [result] if isinstance(result, torch.Tensor) else tensors_of(tree_leaves(result))
        if outputs:
            work = self._see(plan, args, kwargs, outputs)
            if key is not None and work is not None:
                remember(key, returned, work)
        return result

    def _in_parts(self, plan: Plan, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        with self:
            return plan.operator._op_dk(torch._C.DispatchKey.CompositeImplicitAutograd, *args, **kwargs)

    def _linear_in_parts(self, plan: Plan, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The linear layer of something that is no matrix in memory: torch copies, multiplies and adds."""
        self._linear = plan
        try:
            return self._in_parts(plan, args, kwargs)
        finally:
            self._linear = None

    def _execute(self, plan: Plan, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What an operator returns; one that the CPU lacks in half precision is run in single precision."""
        if self._is_meta and (like := like_of(plan, args)) is not None:
            return like if plan.is_mutable else new_like(like)
        try:
            return plan.operator(*args, **kwargs)
        except RuntimeError:
            if self._autocast is None or self._is_meta or plan.is_mutable:
                raise
            args, kwargs = tree_map(lambda value: _floating_to(value, torch.float32), (args, kwargs))
            result = plan.operator(*args, **kwargs)
            return tree_map(lambda value: _floating_to(value, torch.float16), result)

    def _ordered(self, plan: Plan, args: tuple[Any, ...], result: Any) -> Any:
        return as_kernels_write(plan, args, result) if self._orders_images else result

    def _cast(self, tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """A copy in another precision; that of a weight is one too."""
        copy: torch.Tensor = self._dispatch(plan_of(TO_COPY), (tensor,), {"dtype": dtype})
        if self._key(tensor) in self._weights:
            self._weight_casts.add(self._key(copy))
        return copy

    def _see(
        self, plan: Plan, args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: list[torch.Tensor]
    ) -> Work | None:
        """Records a call that returned tensors, or only the memory of its outputs where it did no work."""
        inputs = tensors_of((*args, *kwargs.values()))
        now = len(self._operators)
        if plan.is_free or (not plan.is_mutable and self._is_view(inputs, outputs)):
            for tensor in outputs:
                self._add_activation(tensor, now)
            return None
        call = Call(plan.name, bind(plan.operator, args, kwargs), outputs, self._widths.activation)
        work = unknown(call) if plan.rule is None else plan.rule(call)
        self._record(plan, work, inputs, outputs)
        return work

    def _record(
        self, plan: Plan, work: Work, inputs: list[torch.Tensor], outputs: list[torch.Tensor]
    ) -> None:
        if self._linear is not None and plan.name in ("mm", "bmm"):
            plan, work = self._linear, as_linear(work)
        now = len(self._operators)
        read, weights, sources = self._reads(plan, work, inputs, outputs, now)
        written = self._writes(plan, work, inputs, outputs, now)
        if work.moved is not None:
            read, written = work.moved
        threads = (*(inputs[1:] if plan.name in WRITE_ONLY else inputs), *outputs)
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
                scratch_bytes=work.held or scratch_bytes(plan.name, work, inputs, self._widths.activation),
                elements=max((tensor.numel() for tensor in threads), default=0),
                width=number_bytes(inputs[0].dtype, self._widths.activation) if inputs else 0,
                order=order_of(work.kind, inputs, outputs),
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
            is_weight, is_cast = key in self._weights, key in self._weight_casts
            size = tensor_bytes(tensor, self._widths.weight if is_weight else self._widths.activation)
            if gathered is not None and tensor.numel() > gathered:
                size = size * gathered // tensor.numel()
            total += size
            maker = -1 if is_weight else self._memory.use(key, now)
            if is_weight or is_cast:
                weights += size
            else:
                sources.append((maker, size))
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
        if key not in self._weights and key not in self._watched and key not in self._memory:
            if tensor.layout is torch.strided:
                self._watched[key] = weakref.ref(tensor.untyped_storage(), partial(self._release, key))
            else:
                self._kept.append(tensor)
        return key

    def _release(self, key: int, _: object) -> None:
        """Memory is gone, and another may get its key."""
        del self._watched[key]
        self._weight_casts.discard(key)
        if key in self._memory:
            self._memory.release(key, len(self._operators))

    def _add_weight(self, tensor: torch.Tensor) -> None:
        key = memory_key(tensor)
        if key not in self._weights:
            self._kept.append(tensor if tensor.layout is not torch.strided else tensor.untyped_storage())
            self._weights[key] = memory_bytes(tensor, self._widths.weight)

    def _add_activation(self, tensor: torch.Tensor, now: int) -> None:
        key = self._key(tensor)
        if key not in self._weights:
            self._memory.add(key, memory_bytes(tensor, self._widths.activation), now)

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


def is_flat(tensor: torch.Tensor) -> bool:
    """Whether a linear layer takes a tensor for one matrix; otherwise torch multiplies and adds apart."""
    return tensor.ndim <= 2 or tensor.is_contiguous()


def _floating_to(value: Any, dtype: torch.dtype) -> Any:
    is_floating = isinstance(value, torch.Tensor) and value.dtype.is_floating_point
    return value.to(dtype) if is_floating else value
