"""A cost model: every operator takes the longer of its arithmetic and its memory traffic."""

from __future__ import annotations

from nas import hookimpl
from nas.costs import Cost, CostModel, Operator, OperatorCost, Target, Trace

NAS_API_VERSION = 1
VERSION = "1"
UTILISATION = 0.4  # the share of the peaks that kernels reach: replace it by what you measure
SPREAD = 2.5  # the interval: latencies from 1 / SPREAD to SPREAD times the estimate
PEAKS = {
    "fp32": "fp32_tflops",
    "tf32": "tf32_tflops",
    "fp16": "fp16_tflops",
    "bf16": "bf16_tflops",
    "amp-fp16": "fp16_tflops",
    "int8": "int8_tops",
}


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a traced module on a target: a sum over its operators."""
    operators = tuple(_priced(operator, target) for operator in trace.operators)
    latency = sum(operator.latency_ms for operator in operators)
    power = target.device.figures.get("tdp_w")
    return Cost(
        target=target.label,
        kind="predicted",
        tier="T0",
        model=f"latency_table {VERSION}",
        latency_ms=latency,
        low_ms=latency / SPREAD,
        high_ms=latency * SPREAD,
        peak_memory_bytes=trace.peak_memory_bytes,
        energy_mj=latency * (power.value if power else 10.0),
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        operators=operators,
        unknown_operators=trace.unknown_operators,
    )


def _priced(operator: Operator, target: Target) -> OperatorCost:
    """One operator; an operator that no rule describes is priced by its bytes, never free."""
    figures = target.device.figures
    compute = operator.flops / (figures[PEAKS[target.precision]].value * 1e9 * UTILISATION)
    memory = operator.bytes_moved / (figures["memory_bandwidth_gbs"].value * 1e6 * UTILISATION)
    return OperatorCost(
        name=operator.name,
        kind=operator.kind,
        module=operator.module,
        macs=operator.macs,
        flops=operator.flops,
        bytes_moved=operator.bytes_moved,
        latency_ms=max(compute, memory),
        bound="compute" if compute > memory else "memory",
        known=operator.known,
    )


@hookimpl
def nas_cost_models() -> list[CostModel]:
    """The cost models of this package."""
    return [
        CostModel(
            name="latency_table",
            predict=predict,
            version=VERSION,
            description="arithmetic or traffic at a fixed share of the datasheet's peaks",
        )
    ]
