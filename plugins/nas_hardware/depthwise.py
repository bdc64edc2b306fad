"""Which kernel runs a depthwise convolution on a GPU: one of the library's, or torch's own.

Images with the channels innermost always go to the library, planar ones only in half precision and by their
shape: ``check_cudnn_depthwise_workload_with_filter`` of torch (``ATen/native/Convolution.cpp``).
"""

from __future__ import annotations

from nas.costs.operators import Operator

HALF = 2
"""Bytes of a number that the library has kernels for planar images in."""
LIBRARY_SIDES = (1, 3, 5)
LEAST_CHANNELS = 32
LEAST_EXTENT = 7
FAST_TAPS = 49
"""The most taps the library has quick kernels for where the channels lie innermost."""


def depthwise_class(operator: Operator) -> str:
    """The class of the kernel: ``library``, ``plain`` (torch's own), ``innermost``, ``fallback`` (innermost,
    with more taps than the library has quick kernels for)."""
    if operator.order == "innermost":
        taps = (operator.dim("kernel_0") or 1) * (operator.dim("kernel_1") or 1)
        return "depthwise_innermost" if taps <= FAST_TAPS else "depthwise_fallback"
    return "depthwise_library" if _is_for_library(operator) else "depthwise_plain"


def is_by_library(operator: Operator) -> bool:
    """Whether the library runs a depthwise convolution, which counts in 64 bits where torch does in 32."""
    return depthwise_class(operator) != "depthwise_plain"


def _is_for_library(operator: Operator) -> bool:
    shape = [operator.dim(name) for name in ("kernel_0", "kernel_1", "stride_0", "stride_1", "out_1")]
    if None in shape or operator.width != HALF or operator.dim("dilation_0") != 1:
        return False
    side, other, stride, across, out = (extent or 0 for extent in shape)
    channels, extent = operator.dim("in_channels") or 0, out * stride
    if side != other or stride != across or side not in LIBRARY_SIDES:
        return False
    if channels < LEAST_CHANNELS or extent < LEAST_EXTENT:
        return False
    return stride == 1 or (stride == 2 and side > 1 and _is_wide(channels, extent))


def _is_wide(channels: int, extent: int) -> bool:
    return channels >= 512 or (channels >= 256 and extent >= 28)
