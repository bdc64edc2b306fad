"""What kernels refuse however much memory there is: sizes beyond the integers they count with.

torch's own kernel for depthwise convolutions counts elements in 32 bits; it runs where the library is not
taken (`nas_hardware.depthwise`). Fused attention kernels launch a block for each sequence along a grid axis
of at most 65,535. Networks on an RTX 3090 stop there: EfficientNet-B7 at 600² runs with 96 images and not
with 128, of which the widest map has 1.03 · 2³¹ elements, with a third of the memory free.
"""

from __future__ import annotations

from collections.abc import Iterator

from nas.costs.operators import Trace
from nas.costs.target import Target
from nas_hardware.depthwise import is_by_library
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
    return tuple(dict.fromkeys(_refused(trace)))


def _refused(trace: Trace) -> Iterator[str]:
    width = NUMBER_BYTES[trace.precision]
    for operator in trace.operators:
        where = f"{operator.name} of {operator.module or 'the module'}"
        if operator.kind == "conv_depthwise" and not is_by_library(operator):
            numbers = max(operator.bytes_read - operator.weight_bytes, operator.bytes_written) // width
            if numbers > LARGEST_INDEX:
                yield f"{where}: {numbers:,} elements, at most {LARGEST_INDEX:,}"
        batch = operator.dim("batch") or 0
        if operator.kind == "sdpa" and batch > LARGEST_GRID:
            yield f"{where}: {batch:,} sequences, at most {LARGEST_GRID:,}"
