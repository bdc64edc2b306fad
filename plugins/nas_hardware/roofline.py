"""The roofline cost model: every operator at a share of the datasheet's speed of light, plus a launch floor.

For each kernel::

    latency = launch floor + max(flops / (peak · utilisation), bytes / (bandwidth · utilisation))

In eager mode no operator takes less than its dispatch on the host. What a runtime fuses has no launch and
moves fewer bytes (`nas_hardware.fusion`). Energy is idle power over the whole time, and a share of the power
above idle while kernels compute or move data. Accelerators that are handed a whole graph have one launch per
network instead. Everything is a sum over operators and that constant; utilisations and shares are assumptions
(`nas_hardware.assumptions`): tier T0.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.costs.cost import Cost, OperatorCost
from nas.costs.operators import Operator, Trace
from nas.costs.target import Target
from nas.costs.target_file import PEAKS
from nas_hardware import assumptions
from nas_hardware.fusion import Step, executed
from nas_hardware.sparse import sparse_share

VERSION = "roofline 3"


@dataclass(frozen=True)
class _Speed:
    """The figures of a target: operations and bytes per millisecond, floors in milliseconds, power in watts.

    `start_ms` is for each network, `launch_ms` for each kernel, `least_ms` the least an operator takes;
    `has_sparse_kernels` says that sparse products run by kernels of their own.
    """

    matrix: float
    vector: float
    bandwidth: float
    start_ms: float
    launch_ms: float
    least_ms: float
    idle_w: float
    active_w: float
    has_sparse_kernels: bool


@dataclass(frozen=True)
class _Time:
    """What one operator takes, in milliseconds: the busy part of its latency, and what bounds it."""

    latency: float
    busy: float
    bound: str


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a traced module on a target; latency, interval and energy are sums over its operators."""
    speed = _speed(target)
    steps = executed(trace.operators, target.runtime)
    times = [_time(step, speed) for step in steps]
    latency = speed.start_ms + sum(time.latency for time in times)
    busy = sum(time.busy for time in times)
    low, high = _interval(latency, steps, times)
    return Cost(
        target=target.label,
        kind="predicted",
        tier="T0",
        model=VERSION,
        latency_ms=latency,
        low_ms=low,
        high_ms=high,
        peak_memory_bytes=trace.peak_memory_bytes,
        energy_mj=latency * speed.idle_w + busy * speed.active_w,
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        operators=tuple(_operator_cost(step, time) for step, time in zip(steps, times, strict=True)),
        unknown_operators=trace.unknown_operators,
    )


def _time(step: Step, speed: _Speed) -> _Time:
    operator = step.operator
    peak = speed.matrix if operator.kind in assumptions.MATRIX_KINDS else speed.vector
    compute_share, memory_share = _shares(operator, speed)
    compute = operator.flops / (peak * compute_share)
    memory = step.bytes_moved / (speed.bandwidth * memory_share)
    busy = max(compute, memory)
    if not step.is_kernel:
        return _Time(busy, busy, "compute" if compute >= memory else "memory")
    latency = max(speed.launch_ms + busy, speed.least_ms)
    bound = "launch" if latency > 2 * busy else "compute" if compute >= memory else "memory"
    return _Time(latency, busy, bound)


def _shares(operator: Operator, speed: _Speed) -> tuple[float, float]:
    """The shares of the peak and of the bandwidth that the kernel of an operator reaches."""
    if operator.kind == "sparse" and speed.has_sparse_kernels:
        return sparse_share(operator), assumptions.OTHER_MEMORY_UTILISATION
    return (
        assumptions.COMPUTE_UTILISATION.get(operator.kind, assumptions.OTHER_COMPUTE_UTILISATION),
        assumptions.MEMORY_UTILISATION.get(operator.kind, assumptions.OTHER_MEMORY_UTILISATION),
    )


def _interval(latency: float, steps: list[Step], times: list[_Time]) -> tuple[float, float]:
    """The bounds of the latency; errors of operators are taken to go together, so bounds add up too."""
    unknown = sum(time.latency for step, time in zip(steps, times, strict=True) if not step.operator.known)
    known = latency - unknown
    low = known * assumptions.LOW_FACTOR + unknown * assumptions.UNKNOWN_LOW_FACTOR
    high = known * assumptions.HIGH_FACTOR + unknown * assumptions.UNKNOWN_HIGH_FACTOR
    return low, high


def _operator_cost(step: Step, time: _Time) -> OperatorCost:
    operator = step.operator
    return OperatorCost(
        name=operator.name,
        kind=operator.kind,
        module=operator.module,
        macs=operator.macs,
        flops=operator.flops,
        bytes_moved=step.bytes_moved,
        latency_ms=time.latency,
        bound=time.bound,
        known=operator.known,
    )


def _speed(target: Target) -> _Speed:
    figures = {name: figure.value for name, figure in target.device.figures.items()}
    matrix = figures[PEAKS[target.precision]]
    launch = figures.get("launch_floor_us", assumptions.LAUNCH_FLOOR_US) / 1e3
    whole_graph = target.device.device_class in assumptions.WHOLE_GRAPH_CLASSES
    eager = (
        figures.get("eager_operator_us", assumptions.EAGER_OPERATOR_US) if target.runtime == "eager" else 0.0
    )
    power = figures.get("tdp_w", assumptions.POWER_W)
    idle = min(power, figures.get("idle_w", assumptions.IDLE_POWER_SHARE * power))
    return _Speed(
        matrix=matrix * 1e9,
        vector=figures.get("fp32_tflops", matrix * assumptions.VECTOR_SHARE) * 1e9,
        bandwidth=figures["memory_bandwidth_gbs"] * 1e6,
        start_ms=launch if whole_graph else 0.0,
        launch_ms=0.0 if whole_graph else launch,
        least_ms=eager / 1e3,
        idle_w=idle,
        active_w=assumptions.ACTIVE_POWER_SHARE * (power - idle),
        has_sparse_kernels=target.device.device_class in assumptions.SPARSE_KERNEL_CLASSES,
    )
