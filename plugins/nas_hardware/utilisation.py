"""The utilisation cost model: the share of a device's speed of light that kernels reach, learnt elsewhere.

Each operator is a kernel of a class, whose time follows from its sizes and the figures of the datasheet: on
GPUs by `nas_hardware.gpu_kernels`, on CPUs by `nas_hardware.cpu`, elsewhere at assumed shares
(`nas_hardware.assumptions`); recurrent layers walk through their steps (`nas_hardware.recurrence`). In eager
mode the host spends a time of its own on every operator (`nas_hardware.dispatch`). What a runtime fuses has
no launch and moves fewer bytes (`nas_hardware.fusion`). Latency, its bounds and energy are sums over
operators. The calibration of a target multiplies the times of kernels, and those of short networks as a
whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nas_hardware import intervals, roofline
from nas_hardware.assembly import Start, assembled, calibration_for, finished, kernel_time
from nas_hardware.dispatch import combined_ms, dispatch_ms, on_cpu
from nas_hardware.fusion import executed, rules_of
from nas_hardware.kernels import kernels_of, whole_graph_ms

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nas.costs.calibration import Calibration
    from nas.costs.cost import Cost
    from nas.costs.operators import Trace
    from nas.costs.target import Target

NAME = "utilisation"
VERSION = "utilisation 7"


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a traced module on a target; latency, interval and energy are sums over its operators."""
    calibration = calibration_for(target, NAME)
    if calibration is not None and on_cpu(target):
        return _measured_cpu(trace, target, calibration)
    steps = executed(trace.operators, rules_of(target), trace.input_kind)
    kernels = kernels_of(steps, target)
    busy = kernels.busy_ms
    launch = kernels.launch_ms
    if calibration is not None:
        busy = busy * calibration.factors(trace.operators)[0]
        launch = launch + calibration.added_ms(trace.operators) * [step.is_kernel for step in steps]
    launched = launch + busy
    latencies = combined_ms(dispatch_ms(trace.operators, target), launched, target)
    rows = zip(latencies.tolist(), busy.tolist(), kernels.computes.tolist(), strict=True)
    return assembled(
        trace,
        target,
        VERSION,
        steps,
        [kernel_time(*row) for row in rows],
        start=_start(target),
        bounds=intervals.bounds(trace.operators, latencies, launched, launch, target, calibration),
        calibration=calibration,
    )


def _measured_cpu(trace: Trace, target: Target, calibration: Calibration) -> Cost:
    """The cost on a CPU that was measured: its own kernels tell more than the shares of other CPUs."""
    return replace(roofline.predict(trace, _for_roofline(target, calibration)), model=VERSION)


def _for_roofline(target: Target, calibration: Calibration) -> Target:
    return replace(target, calibration=replace(calibration, model=roofline.NAME))


def finish(amounts: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
    """Latency, bounds and energy of n networks, of shape (n, 4), from the sums over their operators."""
    calibration = calibration_for(target, NAME)
    if calibration is not None and on_cpu(target):
        return roofline.finish(amounts, _for_roofline(target, calibration))
    return finished(amounts, _start(target), target, calibration)


def _start(target: Target) -> Start:
    """The launch of a whole graph, where there is one."""
    start_ms = whole_graph_ms(target)
    return Start(start_ms, start_ms * intervals.START[0], start_ms * intervals.START[1])
