"""How much memory a network takes on a device: its weights, and the activations alive at one time.

Eager execution frees a tensor when no variable names it any more, a runtime that plans the graph after its
last use. torch's allocator on GPUs rounds sizes up and leaves holes between them. While a convolution runs,
cuDNN needs a workspace: tensor cores take channels last and tiles of their own, so that part of input and
output lies in memory twice. Operators that a runtime fuses write in the place of what they read.

Two numbers are fitted, WORKSPACE_SHARE and HOLES_SHARE, to the batch sizes at which networks of families a–m
ran out of memory on an RTX 3090 (huggingface/pytorch-image-models, results/, torch 2.4, eager autocast, both
layouts; `benchmarks/costs_memory.py`). Of a grid of 40 pairs the same was best without each of 35 families
but one; along a ridge where a smaller workspace goes with larger holes others are as good. Other runtimes
and devices were not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from nas.costs.liveness import Allocation, alive
from nas.costs.operators import Operator, Trace
from nas.costs.target import Target
from nas_hardware.fusion import executed, rules_of

CONVOLUTIONS = frozenset({"conv", "conv_depthwise", "conv_grouped"})
TORCH_RUNTIMES = frozenset({"eager"})
"""Runtimes that run torch's own kernels, on inputs as they lie."""
CUDNN_RUNTIMES = frozenset({"eager", "compiled", "onnxruntime"})
WORKSPACE_SHARE = 0.25
"""Workspace of a convolution by cuDNN as a share of its input and output."""
HOLES_SHARE = 0.15
"""What torch's caching allocator holds besides, as a share of what is alive in eager execution."""
GPU_ROUNDING = 512
"""Bytes to whose multiples torch's caching allocator rounds (``c10/cuda/CUDACachingAllocator``)."""
CPU_ROUNDING = 64
"""Alignment of torch on CPUs and of TensorFlow Lite's arena."""

GIB = 1 << 30
CONTEXT_BYTES = 450 << 20
"""What a CUDA process holds before its first tensor: kernels, the handles and workspaces of cuBLAS and cuDNN.
It grows with the libraries that are loaded: 0.3 to 0.6 GB with torch."""
VISIBLE_SHARE = 0.987
"""Of the memory on a GPU's datasheet, what programs see: 23.69 GiB on an RTX 3090, 79.1 on an A100-80."""


def peak_memory(trace: Trace, target: Target) -> int:
    """The bytes that a network takes at its peak: weights, and the most demanding moment of a pass.

    A trace that does not say when memory is there has its `peak_activation_bytes`. The CUDA context is apart
    (`CONTEXT_BYTES`). Less the weights it is that of the most demanding layer.
    """
    return trace.weight_bytes + working_memory(trace, target)


def working_memory(trace: Trace, target: Target) -> int:
    """Bytes of activations and workspace at the most demanding moment."""
    if not trace.allocations or not trace.operators:
        return trace.peak_activation_bytes
    eager = target.runtime == "eager"
    unit = GPU_ROUNDING if has_cudnn(target) else CPU_ROUNDING
    live = alive(trace.allocations, len(trace.operators), until_released=eager, unit=unit)
    if target.runtime in TORCH_RUNTIMES:
        live = [size + operator.scratch_bytes for size, operator in zip(live, trace.operators, strict=True)]
    if has_cudnn(target) and target.runtime in CUDNN_RUNTIMES:
        live = [size + _workspace(operator) for size, operator in zip(live, trace.operators, strict=True)]
    if not eager:
        live = _in_place(live, trace, target)
    holes = HOLES_SHARE if eager and has_cudnn(target) else 0.0
    return round(max(live) * (1 + holes))


def usable_memory(target: Target) -> int | None:
    """The bytes that a network may take on a target, the context apart; None where no datasheet says."""
    figure = target.figures.get("memory_gb")
    if figure is None:
        return None
    total = round(figure.value * GIB)
    return round(total * VISIBLE_SHARE) - CONTEXT_BYTES if has_cudnn(target) else total


def has_cudnn(target: Target) -> bool:
    """Whether convolutions run by cuDNN, and memory comes from torch's allocator for GPUs."""
    return target.device.vendor == "NVIDIA" and target.device.device_class.endswith("gpu")


def _workspace(operator: Operator) -> int:
    if operator.kind not in CONVOLUTIONS:
        return 0
    moved = operator.bytes_read - operator.weight_bytes + operator.bytes_written
    return round(WORKSPACE_SHARE * moved)


def _in_place(live: Sequence[int], trace: Trace, target: Target) -> list[int]:
    """The same where fused operators write in the place of what they are the last to read."""
    ending = _ending(trace.allocations)
    if trace.input_kind:
        ending.setdefault(0, set()).update(one.size for one in trace.allocations if one.last == 0)
    steps = executed(trace.operators, rules_of(target), trace.input_kind)
    return [
        size - step.operator.bytes_written
        if not step.is_kernel and step.operator.bytes_written in ending.get(index, ())
        else size
        for index, (size, step) in enumerate(zip(live, steps, strict=True))
    ]


def _ending(allocations: Sequence[Allocation]) -> dict[int, set[int]]:
    """Operator → the sizes of what it is the last to use."""
    ending: dict[int, set[int]] = {}
    for allocation in allocations:
        if allocation.first < allocation.last:
            ending.setdefault(allocation.last, set()).add(allocation.size)
    return ending
