"""The utilisation cost model: the share of a device's speed of light that kernels reach, learnt elsewhere.

Each operator is a kernel of a class, whose time follows from its sizes and the figures of the datasheet: on
GPUs by `nas_hardware.gpu_kernels`, on CPUs by `nas_hardware.cpu`, elsewhere at assumed shares
(`nas_hardware.assumptions`). In eager mode the host spends a time of its own on every operator
(`nas_hardware.dispatch`). What a runtime fuses has no launch and moves fewer bytes (`nas_hardware.fusion`).
Latency, its bounds and energy are sums over operators. The calibration of a target multiplies the times of
kernels.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.cost import Cost, OperatorCost
from nas_hardware import intervals, roofline
from nas_hardware.dispatch import combined_ms, dispatch_ms, on_cpu
from nas_hardware.energy import dynamic_energy_mj, energy_coefficients, energy_mj
from nas_hardware.fusion import Step, executed
from nas_hardware.kernels import Kernels, kernels_of
from nas_hardware.memory import peak_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.calibration import Calibration
    from nas.costs.operators import Trace
    from nas.costs.target import Target

NAME = "utilisation"
VERSION = "utilisation 1"


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a traced module on a target; latency, interval and energy are sums over its operators."""
    calibration = _fitting(target)
    if calibration is not None and on_cpu(target):
        return _measured_cpu(trace, target, calibration)
    steps = executed(trace.operators, target.runtime)
    kernels = kernels_of(steps, target)
    busy = kernels.busy_ms
    if calibration is not None:
        busy = busy * calibration.factors(trace.operators)
    launched = kernels.launch_ms + busy
    times = combined_ms(dispatch_ms(trace.operators, target), launched, target)
    latency = kernels.start_ms + float(times.sum())
    low, high = intervals.bounds(trace.operators, times, launched, target, calibration)
    return Cost(
        target=target.label,
        kind="predicted",
        tier=calibration.tier if calibration else "T0",
        model=VERSION,
        latency_ms=latency,
        low_ms=low + kernels.start_ms * intervals.START[0],
        high_ms=high + kernels.start_ms * intervals.START[1],
        peak_memory_bytes=peak_memory(trace, target),
        energy_mj=_energy(kernels.start_ms, steps, times, target),
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        operators=_operator_costs(steps, times, busy, kernels),
        unknown_operators=trace.unknown_operators,
    )


def _measured_cpu(trace: Trace, target: Target, calibration: Calibration) -> Cost:
    """The cost on a CPU that was measured: its own kernels tell more than the shares of other CPUs."""
    alone = replace(target, calibration=replace(calibration, model=roofline.NAME))
    return replace(roofline.predict(trace, alone), model=VERSION)


def _fitting(target: Target) -> Calibration | None:
    """The calibration of a target where it was fitted to this model."""
    calibration = target.calibration
    return calibration if calibration is not None and calibration.model == NAME else None


def _energy(start_ms: float, steps: list[Step], times: NDArray[np.float64], target: Target) -> float:
    """The energy of the start and of all operators, each held to the design power."""
    coefficients = energy_coefficients(target)
    dynamic = (dynamic_energy_mj(step.operator, step.bytes_moved, coefficients) for step in steps)
    parts = (energy_mj(time, more, coefficients) for time, more in zip(times.tolist(), dynamic, strict=True))
    return energy_mj(start_ms, 0.0, coefficients) + sum(parts)


def _operator_costs(
    steps: list[Step], times: NDArray[np.float64], busy: NDArray[np.float64], kernels: Kernels
) -> tuple[OperatorCost, ...]:
    """One OperatorCost for each step; launch bounds what takes more than twice as long as its kernel
    works."""
    return tuple(
        OperatorCost(
            name=step.operator.name,
            kind=step.operator.kind,
            module=step.operator.module,
            macs=step.operator.macs,
            flops=step.operator.flops,
            bytes_moved=step.bytes_moved,
            latency_ms=time,
            bound="launch" if time > 2 * work else "compute" if compute else "memory",
            known=step.operator.known,
        )
        for step, time, work, compute in zip(
            steps, times.tolist(), busy.tolist(), kernels.computes.tolist(), strict=True
        )
    )
