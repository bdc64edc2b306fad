"""Round devices, operators and constants that the tests of the utilisation model share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from nas.costs import Device, Figure, Operator, Target, Trace
from nas_hardware.assumptions import STEP_US
from nas_hardware.gpu_kernels import FITTED, GpuConstants, read_constants
from nas_hardware.gpu_speed import GpuSpeed


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


FIGURES = {
    "fp32_tflops": 10.0,
    "tf32_tflops": 50.0,
    "fp16_tflops": 100.0,
    "bf16_tflops": 100.0,
    "int8_tops": 200.0,
    "memory_bandwidth_gbs": 1000.0,
    "cache_mb": 10.0,
    "units": 100.0,
    "clock_mhz": 1000.0,
    "base_clock_mhz": 1000.0,
    "launch_floor_us": 2.0,
    "eager_operator_us": 10.0,
    "tdp_w": 100.0,
    "idle_w": 20.0,
    "memory_gb": 16.0,
}
"""100 Tflop/s in half precision, 10 in fp32, 1 TB/s, 100 multiprocessors at 1 GHz that hold their clock."""


STEP = STEP_US / 1e3
"""Milliseconds from one kernel of a network to the next: the launch floor of that device is less."""


def device(
    runtime: str = "compiled",
    device_class: str = "dc-gpu",
    precision: str = "fp16",
    vendor: str = "NVIDIA",
    calibration: Any = None,
    architecture: str = "",
    **figures: float,
) -> Target:
    """A device of round FIGURES; those that are 0 are left out."""
    sheet = {name: Figure(value, "test") for name, value in {**FIGURES, **figures}.items() if value}
    described = Device("d", device_class, vendor, sheet, architecture=architecture)
    return Target("t", described, precision=precision, runtime=runtime, calibration=calibration)


def speed(**changes: Any) -> GpuSpeed:
    """The speed of that device in half precision."""
    figures: dict[str, Any] = {
        "matrix": 100e9,
        "vector": 10e9,
        "bandwidth": 1e9,
        "cache": 10e6,
        "units": 100.0,
        "clock": 1e6,
        "launch": 0.002,
        "step": STEP,
        "sustained": 1.0,
        "burst": 1.0,
        "streaming": 1.0,
        "tensor": True,
        "width": 2,
    }
    return GpuSpeed(**{**figures, **changes})


PRODUCTS = {
    "compute_share": 0.8,
    "memory_share": 0.5,
    "cache_bytes": 64.0,
    "resident_bytes": 64.0,
    "begin_cycles": 2000.0,
    "step_cycles": 100.0,
    "store_cycles": 10.0,
    "tile_loss": 1.0,
    "resident_share": 0.1,
    "few_blocks_share": 0.3,
    "split_cycles": 600.0,
    "cache_flops": 1e9,
}
CONTENT: dict[str, Any] = {
    "tensor_products": {**PRODUCTS, "power_share": 0.9},
    "vector_products": {
        **PRODUCTS,
        "compute_share": 0.9,
        "begin_cycles": 1000.0,
        "scattered_share": 0.25,
        "lookup_cycles": 10.0,
    },
    "memory_share": {"norm": 0.5},
    "plain_memory_share": {"norm": 0.4},
    "vector_share": {"pool": 0.25},
    "element_cycles": {"spread": 50.0, "copy_transposed": 100.0, "depthwise_plain": 10.0},
    "tap_cycles": {"depthwise_plain": 20.0, "depthwise_library": 5.0},
    "plain_element_cycles": {"depthwise_plain": 30.0},
    "plain_tap_cycles": {"depthwise_plain": 15.0},
    "line_cycles": {"norm": 400.0},
    "plain_line_cycles": {"norm": 800.0},
    "generations": {"sm90": {"memory_share": 1.0}},
    "factor": {},
    "reorder": {"conv": 2.0},
    "misaligned": {"1": 2.0, "2": 1.5, "4": 1.2, "innermost": 1.4, "plane": 1.3},
    "walk_step_us": 0.2,
}
"""Round constants in the form of ``fitted/gpu.json``."""


def constants(**changes: Any) -> GpuConstants:
    """The round constants, and those that ship for what is not among them."""
    shipped = json.loads(FITTED.read_text(encoding="utf-8"))
    products = {name: {**shipped[name], **CONTENT[name]} for name in ("tensor_products", "vector_products")}
    return read_constants({**shipped, **CONTENT, **products, **changes})


def operator(
    kind: str,
    flops: int = 0,
    read: int = 0,
    written: int = 0,
    sources: tuple[tuple[int, int], ...] = (),
    known: bool = True,
    name: str | None = None,
    scratch: int = 0,
    elements: int = 0,
    width: int = 2,
    order: str = "alike",
    **dims: int,
) -> Operator:
    """An operator by its numbers."""
    macs, place = flops // 2, (scratch, elements, width, order)
    given = (read, written, 0, tuple(sources), tuple(dims.items()), known)
    return Operator(name or kind, kind, "m", macs, flops, *given, *place)


def product(
    rows: int, columns: int, inner: int, batch: int = 1, kind: str = "gemm", width: int = 2
) -> Operator:
    """A matrix product with the traffic of its three matrices."""
    flops = 2 * batch * rows * columns * inner
    read, written = width * batch * (rows * inner + inner * columns), width * batch * rows * columns
    sizes = {"batch": batch, "rows": rows, "columns": columns, "inner": inner}
    return operator(kind, flops, read, written, width=width, **sizes)


def traced(*operators: Operator) -> Trace:
    """A trace of operators."""
    return Trace(operators, 7, 0, 11, 0, 1, "fp16")
