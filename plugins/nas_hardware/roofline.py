"""The roofline cost model: every operator at a share of the datasheet's speed of light, plus a launch floor.

Tier T0: nothing was measured on the device. The utilisations below are assumptions of the size that published
kernels reach, not fits; the interval is wide accordingly.

* time = launch floor + max(flops / (peak × utilisation), bytes / (bandwidth × utilisation))
* what a runtime fuses loses its launch and the read of the fused intermediate, which then is not written either
* energy = time × (idle power + 0.6 × (thermal design power − idle power)), ±40 %
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.costs.cost import Cost, OperatorCost
from nas.costs.operators import Operator, Trace
from nas.costs.target import Target
from nas.costs.target_file import PEAKS

VERSION = "roofline 1"
COMPUTE_UTILISATION: Mapping[str, float] = {
    "gemm": 0.7, "bmm": 0.6, "sdpa": 0.5, "conv": 0.6, "conv_grouped": 0.25, "conv_depthwise": 0.1, "rnn": 0.3,
}  # fmt: skip
OTHER_COMPUTE_UTILISATION = 0.5
MEMORY_UTILISATION: Mapping[str, float] = {"gather": 0.4, "fft": 0.5, "resample": 0.5, "reduce": 0.7, "softmax": 0.7}
OTHER_MEMORY_UTILISATION = 0.8
MATRIX_KINDS = frozenset({"gemm", "bmm", "sdpa", "conv", "conv_grouped", "rnn"})
"""Kinds that run on the matrix units, at the peak of the precision; all others run at the fp32 peak at most."""
PRODUCERS = frozenset({"conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "norm", "pointwise", "reduce", "pool"})
FUSED = frozenset({"pointwise"})
"""Pointwise operators join their producer in every runtime but eager."""
BYTES: Mapping[str, int] = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "amp-fp16": 2, "int8": 1}
CPU_FLOOR_US = 2.0
"""Calling a kernel on a CPU; assumed where a target gives no launch floor."""
EAGER_OPERATOR_US = 8.0
ACTIVE_POWER_SHARE = 0.6
SPREAD = 1.6
"""A 90 % interval spans a factor of this each way; a datasheet roofline is off by 26–38 % at the 90th percentile
after its scale is known, and here the scale is not."""
UNKNOWN_SPREAD = 3.0


@dataclass(frozen=True)
class _Speed:
    """The figures of a target in flops and bytes per millisecond."""

    matrix: float
    vector: float
    bandwidth: float
    floor_ms: float
    element_bytes: int


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a traced module on a target; latency, interval and energy are sums over operators."""
    speed = _speed(target)
    fused = _fused(trace, target.runtime)
    priced = tuple(_price(op, index in fused, speed) for index, op in enumerate(trace.operators))
    latency = sum(op.latency_ms for op in priced)
    low = sum(op.latency_ms / _spread(op) for op in priced)
    high = sum(op.latency_ms * _spread(op) for op in priced)
    weights = (trace.params + trace.buffer_elements) * speed.element_bytes
    return Cost(
        target=target.label,
        kind="predicted",
        tier="T0",
        model=VERSION,
        latency_ms=latency,
        low_ms=low,
        high_ms=high,
        peak_memory_bytes=weights + trace.peak_live_elements * speed.element_bytes,
        energy_mj=latency * _power(target),
        params=trace.params,
        macs=trace.macs,
        bytes_moved=sum(op.bytes_moved for op in priced),
        activation_bytes=trace.activation_elements * speed.element_bytes,
        operators=priced,
        unknown_operators=trace.unknown_operators,
    )


def _speed(target: Target) -> _Speed:
    figures = target.device.figures
    peak = figures[PEAKS[target.precision]].value
    vector = min(peak, figures["fp32_tflops"].value) if "fp32_tflops" in figures else peak / 8
    return _Speed(
        matrix=peak * 1e9,
        vector=vector * 1e9,
        bandwidth=figures["memory_bandwidth_gbs"].value * 1e6,
        floor_ms=_floor_us(target) / 1e3,
        element_bytes=BYTES[target.precision],
    )


def _floor_us(target: Target) -> float:
    """The least an operator takes: the launch of a kernel, or the dispatch of an eager operator where that is longer."""
    figures = target.device.figures
    floor = figures["launch_floor_us"].value if "launch_floor_us" in figures else CPU_FLOOR_US
    if target.runtime != "eager":
        return floor
    eager = figures["eager_operator_us"].value if "eager_operator_us" in figures else EAGER_OPERATOR_US
    return max(floor, eager)


def _power(target: Target) -> float:
    """Watts while a network runs; 1 W where the datasheet says nothing, so that energy is never free."""
    figures = target.device.figures
    most = figures["tdp_w"].value if "tdp_w" in figures else 1.0
    idle = min(figures["idle_w"].value, most) if "idle_w" in figures else 0.1 * most
    return idle + ACTIVE_POWER_SHARE * (most - idle)


def _fused(trace: Trace, runtime: str) -> frozenset[int]:
    """Which operators join the one that produced their input: none in eager mode."""
    if runtime == "eager":
        return frozenset()
    produced = {}
    fused = set()
    for index, op in enumerate(trace.operators):
        sources = [produced[i] for i in op.inputs if i in produced]
        if op.kind in FUSED and any(s.kind in PRODUCERS and s.scope == op.scope for s in sources):
            fused.add(index)
        produced.update(dict.fromkeys(op.outputs, op))
    return frozenset(fused)


def _price(op: Operator, fused: bool, speed: _Speed) -> OperatorCost:
    """One operator; a fused one keeps its arithmetic and the reads that its producer did not write."""
    moved = op.elements_moved * speed.element_bytes
    if fused:
        moved = max(0, op.elements_read - op.elements_written) * speed.element_bytes
    peak = speed.matrix if op.kind in MATRIX_KINDS else speed.vector
    compute = op.flops / (peak * COMPUTE_UTILISATION.get(op.kind, OTHER_COMPUTE_UTILISATION))
    memory = moved / (speed.bandwidth * MEMORY_UTILISATION.get(op.kind, OTHER_MEMORY_UTILISATION))
    launch = 0.0 if fused else speed.floor_ms
    bound = "launch" if launch >= max(compute, memory) else "compute" if compute >= memory else "memory"
    return OperatorCost(
        name=op.name,
        kind=op.kind,
        module=op.module,
        macs=op.macs,
        flops=op.flops,
        bytes_moved=moved,
        latency_ms=launch + max(compute, memory),
        bound=bound,
        known=op.known,
    )


def _spread(op: OperatorCost) -> float:
    return SPREAD if op.known else UNKNOWN_SPREAD
