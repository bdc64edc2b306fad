"""What kernels refuse however much memory there is: sizes beyond the integers they count with.

torch's own kernel for depthwise convolutions counts elements in 32 bits; it runs where cuDNN is not taken,
which is decided by `check_cudnn_depthwise_workload_with_filter` (``ATen/native/Convolution.cpp``). Fused
attention kernels launch a block for each sequence along a grid axis of at most 65,535. Networks on an RTX
3090 stop there: EfficientNet-B7 at 600² runs with 96 images and not with 128, of which the widest map has
1.03 · 2³¹ elements, with a third of the memory free.
"""

from __future__ import annotations

from collections.abc import Iterator

from nas.costs.operators import Operator, Trace
from nas.costs.target import Target
from nas_hardware.memory import has_cudnn, peak_memory, usable_memory

LARGEST_INDEX = 2**31 - 1
LARGEST_GRID = 65_535
NUMBER_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "amp-fp16": 2, "int8": 1}


def fits(trace: Trace, target: Target) -> bool:
    """Whether a network runs on a target: it fits into the memory, and no kernel refuses its sizes."""
    usable = usable_memory(target)
    return (usable is None or peak_memory(trace, target) <= usable) and not refusals(trace, target)


def refusals(trace: Trace, target: Target) -> tuple[str, ...]:
    """The kernels that refuse their sizes, in a few words each; none outside of torch on CUDA."""
    if not has_cudnn(target) or target.runtime not in ("eager", "compiled"):
        return ()
    return tuple(dict.fromkeys(_refused(trace, target)))


def _refused(trace: Trace, target: Target) -> Iterator[str]:
    width = NUMBER_BYTES[trace.precision]
    for operator in trace.operators:
        where = f"{operator.name} of {operator.module or 'the module'}"
        if operator.kind == "conv_depthwise" and not _by_cudnn(operator, target):
            numbers = max(operator.bytes_read - operator.weight_bytes, operator.bytes_written) // width
            if numbers > LARGEST_INDEX:
                yield f"{where}: {numbers:,} elements, at most {LARGEST_INDEX:,}"
        batch = operator.dim("batch") or 0
        if operator.kind == "sdpa" and batch > LARGEST_GRID:
            yield f"{where}: {batch:,} sequences, at most {LARGEST_GRID:,}"


def _by_cudnn(operator: Operator, target: Target) -> bool:
    """Whether torch gives a depthwise convolution to cuDNN: always with the channels last, else by its shape
    and in half precision alone."""
    if target.layout == "nhwc":
        return True
    shape = [operator.dim(name) for name in ("kernel_0", "kernel_1", "stride_0", "stride_1", "out_1")]
    if None in shape or target.precision not in ("fp16", "amp-fp16") or operator.dim("dilation_0") != 1:
        return False
    kernel, other, stride, across, out = (extent or 0 for extent in shape)
    channels = operator.dim("in_channels") or 0
    if kernel != other or stride != across or kernel not in (1, 3, 5) or channels < 32 or out * stride < 7:
        return False
    return stride == 1 or (stride == 2 and kernel > 1 and _is_wide(channels, out * stride))


def _is_wide(channels: int, extent: int) -> bool:
    return channels >= 512 or (channels >= 256 and extent >= 28)
