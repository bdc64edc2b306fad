"""The roofline cost model: every operator at a share of the datasheet's speed of light, plus a launch floor.

For each kernel::

    latency = launch floor + max(flops / (peak · utilisation), bytes / (bandwidth · utilisation))

In eager mode no operator takes less than its dispatch on the host. What a runtime fuses has no launch and
moves fewer bytes (`nas_hardware.fusion`). Energy is idle power over the whole time, and so much for each
FLOP and byte (`nas_hardware.energy`). Accelerators that are handed a whole graph, and runtimes that
put a network into one kernel, have one launch per network instead. Recurrent layers begin every step
(`nas_hardware.recurrence`). Everything is a sum over operators and that constant; utilisations and shares are
assumptions (`nas_hardware.assumptions`): tier T0. The calibration of a target multiplies the busy time of
each kernel, by what its network moves in one run (`nas.costs.traffic`), and what short networks take as a
whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.costs.calibration import Calibration
from nas.costs.cost import Cost
from nas.costs.operators import Operator, Trace
from nas.costs.speed import MATRIX_KINDS
from nas.costs.target import Target
from nas.costs.target_file import PEAKS
from nas.costs.traffic import TRAFFICS
from nas_hardware import assumptions
from nas_hardware.assembly import Start, Time, assembled, calibration_for, finished, kernel_time
from nas_hardware.dispatch import runs_whole
from nas_hardware.fusion import Step, executed, rules_of
from nas_hardware.recurrence import host_steps_ms
from nas_hardware.sparse import sparse_share

NAME = "roofline"
VERSION = "roofline 6"


@dataclass(frozen=True)
class _Speed:
    """The figures of a target: operations and bytes per millisecond, floors in milliseconds.

    `start_ms` is for each network, `launch_ms` for each kernel, `least_ms` the least an operator takes;
    `has_sparse_kernels` says that sparse products run by kernels of their own.
    """

    matrix: float
    vector: float
    bandwidth: float
    start_ms: float
    launch_ms: float
    least_ms: float
    has_sparse_kernels: bool


@dataclass(frozen=True)
class _Kernels:
    """Operators in networks of several traffics: what each takes, and for how much of that it works, of shape
    (traffics, n); whether operations or bytes take longer, of shape (n,)."""

    latency_ms: NDArray[np.float64]
    busy_ms: NDArray[np.float64]
    computes: NDArray[np.bool_]


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a traced module on a target; latency, interval and energy are sums over its operators, at
    the traffics that a calibration tells apart."""
    steps = executed(trace.operators, rules_of(target), trace.input_kind)
    calibration = calibration_for(target, NAME)
    knows_traffic = calibration is not None and calibration.knows_traffic
    kernels = _kernels(steps, target, TRAFFICS if knows_traffic else (1.0,))
    middle = len(kernels.latency_ms) // 2
    rows = zip(
        kernels.latency_ms[middle].tolist(),
        kernels.busy_ms[middle].tolist(),
        kernels.computes.tolist(),
        steps,
        strict=True,
    )
    return assembled(
        trace,
        target,
        VERSION,
        steps,
        [_time(*row) for row in rows],
        start=_start(target, calibration),
        bounds=_interval(steps, kernels.latency_ms[middle], calibration),
        calibration=calibration,
        at_traffics=kernels.latency_ms if knows_traffic else None,
    )


def finish(amounts: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
    """Latency, bounds and energy of n networks, of shape (n, 4), from the sums over their operators."""
    calibration = calibration_for(target, NAME)
    return finished(amounts, _start(target, calibration), target, calibration)


def _kernels(steps: Sequence[Step], target: Target, traffics: Sequence[float]) -> _Kernels:
    """What each operator takes in networks of such traffics."""
    speed, calibration = _speed(target), calibration_for(target, NAME)
    operators = [step.operator for step in steps]
    compute, memory = _least_ms(steps, speed)
    walked = host_steps_ms(operators, target)
    busy = (np.maximum(compute, memory) + walked) * np.ones((len(traffics), 1))
    added = np.zeros(len(steps))
    if calibration is not None:
        busy *= calibration.factors(operators, traffics)
        added = calibration.added_ms(operators)
    launched = np.maximum(speed.launch_ms + busy, speed.least_ms) + added
    is_kernel = np.array([step.is_kernel for step in steps], dtype=bool)
    return _Kernels(np.where(is_kernel, launched, busy), busy, compute >= memory)


def _least_ms(steps: Sequence[Step], speed: _Speed) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the operations and the bytes of each operator take, each of shape (n,)."""
    shares = np.array([_shares(step.operator, speed) for step in steps]).reshape(-1, 2)
    peaks = [speed.matrix if step.operator.kind in MATRIX_KINDS else speed.vector for step in steps]
    flops = np.array([step.operator.flops for step in steps], dtype=np.float64)
    moved = np.array([step.bytes_moved for step in steps], dtype=np.float64)
    return flops / (np.array(peaks) * shares[:, 0]), moved / (speed.bandwidth * shares[:, 1])


def _time(latency: float, busy: float, computes: bool, step: Step) -> Time:
    if step.is_kernel:
        return kernel_time(latency, busy, computes)
    return Time(latency, "compute" if computes else "memory")


def _shares(operator: Operator, speed: _Speed) -> tuple[float, float]:
    """The shares of the peak and of the bandwidth that the kernel of an operator reaches."""
    if operator.kind == "sparse" and speed.has_sparse_kernels:
        return sparse_share(operator), assumptions.OTHER_MEMORY_UTILISATION
    return (
        assumptions.COMPUTE_UTILISATION.get(operator.kind, assumptions.OTHER_COMPUTE_UTILISATION),
        assumptions.MEMORY_UTILISATION.get(operator.kind, assumptions.OTHER_MEMORY_UTILISATION),
    )


def _start(target: Target, calibration: Calibration | None) -> Start:
    """The launch of a whole graph, where there is one."""
    start_ms = _speed(target).start_ms
    if calibration is not None:
        return Start(start_ms, start_ms * calibration.low, start_ms * calibration.high)
    return Start(start_ms, start_ms * assumptions.LOW_FACTOR, start_ms * assumptions.HIGH_FACTOR)


def _interval(
    steps: Sequence[Step], latencies: NDArray[np.float64], calibration: Calibration | None
) -> tuple[float, float]:
    """The bounds of all operators; their errors are taken to go together, so bounds add up too."""
    lows = np.full(len(steps), assumptions.LOW_FACTOR)
    highs = np.full(len(steps), assumptions.HIGH_FACTOR)
    if calibration is not None:
        lows, highs = calibration.bounds_of([step.operator.kind for step in steps])
    unknown = np.array([not step.operator.known for step in steps], dtype=bool)
    lows[unknown] = assumptions.UNKNOWN_LOW_FACTOR
    highs[unknown] = assumptions.UNKNOWN_HIGH_FACTOR
    return float(lows @ latencies), float(highs @ latencies)


def _speed(target: Target) -> _Speed:
    figures = {name: figure.value for name, figure in target.figures.items()}
    matrix = figures[PEAKS[target.precision]]
    launch = figures.get("launch_floor_us", assumptions.LAUNCH_FLOOR_US) / 1e3
    whole_graph = runs_whole(target)
    eager = (
        figures.get("eager_operator_us", assumptions.EAGER_OPERATOR_US) if target.runtime == "eager" else 0.0
    )
    return _Speed(
        matrix=matrix * 1e9,
        vector=figures.get("fp32_tflops", matrix * assumptions.VECTOR_SHARE) * 1e9,
        bandwidth=figures["memory_bandwidth_gbs"] * 1e6,
        start_ms=launch if whole_graph else 0.0,
        launch_ms=0.0 if whole_graph else launch,
        least_ms=eager / 1e3,
        has_sparse_kernels=target.device.device_class in assumptions.SPARSE_KERNEL_CLASSES,
    )
