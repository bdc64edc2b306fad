"""The kernels of a network on a target, by the model of its class of device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.speed import MATRIX_KINDS, speed_of
from nas_hardware import assumptions
from nas_hardware.cpu import cpu_kernel_ms
from nas_hardware.dispatch import on_cpu, runs_whole
from nas_hardware.gpu_kernels import fitted_constants, kernels_ms
from nas_hardware.gpu_speed import GpuSpeed, gpu_speed
from nas_hardware.recurrence import gpu_launches_ms, gpu_steps_ms, host_steps_ms, recurrence_of
from nas_hardware.work import work_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator
    from nas.costs.target import Target
    from nas_hardware.fusion import Step

    Column = NDArray[np.float64]

GPU_CLASSES = frozenset({"dc-gpu", "consumer-gpu", "ws-gpu", "edge-gpu"})
"""Device classes with the multiprocessors that `nas_hardware.gpu_kernels` describes."""


@dataclass(frozen=True)
class Kernels:
    """The kernels of a network as arrays of shape (n,): the milliseconds each works and is launched, and
    whether arithmetic bounds it rather than memory."""

    busy_ms: Column
    launch_ms: Column
    computes: NDArray[np.bool_]


@np.errstate(over="ignore", invalid="ignore")
def kernels_of(steps: Sequence[Step], target: Target) -> Kernels:
    """The kernels of a network as a runtime executes it on a target.

    Figures that are absurd give numbers that no cost can be, which whoever asked for it says.
    """
    operators = [step.operator for step in steps]
    moved = np.array([step.bytes_moved for step in steps], dtype=np.float64)
    each = _launch_ms(target)
    begun = np.zeros(len(steps))
    if target.device.device_class in GPU_CLASSES:
        speed = gpu_speed(target)
        work = work_of(operators, moved.tolist(), eager=target.runtime == "eager")
        busy, each = kernels_ms(work, speed, fitted_constants()), speed.step
        begun = _walk(busy, operators, speed)
        if runs_whole(target):
            begun = host_steps_ms(operators, target)
    elif on_cpu(target):
        busy = cpu_kernel_ms(operators, speed_of(target), moved, target.runtime)
        busy += host_steps_ms(operators, target)
    else:
        busy = _assumed_ms(operators, moved, target) + host_steps_ms(operators, target)
    dispatch_is_all = on_cpu(target) and target.runtime == "eager"
    has_launches = not (runs_whole(target) or dispatch_is_all)
    launched = np.array([each if has_launches and step.is_kernel else 0.0 for step in steps])
    return Kernels(busy, launched + begun, _computes(operators, moved, target))


def _walk(busy: Column, operators: Sequence[Operator], speed: GpuSpeed) -> Column:
    """Puts what recurrent layers work in all their steps into `busy`; returns what the launches of steps
    take, of shape (n,)."""
    begun = np.zeros(len(operators))
    for index, operator in enumerate(operators):
        if layer := recurrence_of(operator):
            products = [layer.input_product] if layer.others else []
            inputs = kernels_ms(work_of(products), speed, fitted_constants()).sum()
            busy[index] = inputs + gpu_steps_ms(layer, speed)
            begun[index] = gpu_launches_ms(layer)
    return begun


def whole_graph_ms(target: Target) -> float:
    """The launch of a network that is handed over as one graph; 0 where each kernel has one of its own."""
    return _launch_ms(target) if runs_whole(target) else 0.0


def _launch_ms(target: Target) -> float:
    return _figure(target, "launch_floor_us", assumptions.LAUNCH_FLOOR_US) / 1e3


def _computes(operators: Sequence[Operator], moved: Column, target: Target) -> NDArray[np.bool_]:
    speed = speed_of(target)
    compute = np.array([speed.compute_ms(operator) for operator in operators])
    found: NDArray[np.bool_] = compute >= moved / speed.bandwidth
    return found


def _assumed_ms(operators: Sequence[Operator], moved: Column, target: Target) -> Column:
    """At assumed shares of the peak and the bandwidth, on devices to whose kernels nothing was fitted."""
    speed = speed_of(target)
    vector = speed.vector
    if "fp32_tflops" not in target.figures:
        vector = speed.matrix * assumptions.VECTOR_SHARE
    compute_share = np.array(
        [
            assumptions.COMPUTE_UTILISATION.get(o.kind, assumptions.OTHER_COMPUTE_UTILISATION)
            for o in operators
        ]
    )
    memory_share = np.array(
        [assumptions.MEMORY_UTILISATION.get(o.kind, assumptions.OTHER_MEMORY_UTILISATION) for o in operators]
    )
    peak = np.array([speed.matrix if o.kind in MATRIX_KINDS else vector for o in operators])
    flops = np.array([operator.flops for operator in operators], dtype=np.float64)
    if target.device.device_class in assumptions.WHOLE_GRAPH_CLASSES:
        weights = np.array([operator.weight_bytes for operator in operators], dtype=np.float64)
        moved = weights + np.maximum(moved - weights, 0) / assumptions.ON_CHIP_TIMES
    found: Column = np.maximum(flops / (peak * compute_share), moved / (speed.bandwidth * memory_share))
    return found


def _figure(target: Target, name: str, otherwise: float) -> float:
    return target.figures[name].value if name in target.figures else otherwise
