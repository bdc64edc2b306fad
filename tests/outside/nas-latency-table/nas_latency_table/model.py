"""Prices operators from the table."""

from __future__ import annotations

from functools import cache

from nas.costs import Cost, Operator, OperatorCost, Target, Trace
from nas.errors import CostError

from . import HOST, VERSION
from .table import Table, read_table

PEAK_SHARE = 0.7  # what the best kernels reach of a datasheet's peaks; the table's own host has measured ones
OTHER_CPU = 2.0  # how much wider the interval is, each way, on a CPU that was not measured
NOT_IN_TABLE = 4.0  # and for an operator that is priced by its bytes alone
SHARE_OF_BEST = 0.5  # of the best rates, for such an operator
WATTS = 10.0  # where the target does not say


def predict(trace: Trace, target: Target) -> Cost:
    """The cost of a trace on a CPU in fp32: a sum over its operators."""
    if not target.device.device_class.endswith("cpu"):
        raise CostError(
            f"latency_table was measured on a CPU and has no figures for {target.device.name}: name a CPU"
        )
    if target.precision != "fp32":
        raise CostError(f"latency_table has no figures for {target.precision}: name --precision fp32")
    table = read_table()
    measured_here = target.device.name == HOST
    priced = [_priced(operator, target, table, measured_here) for operator in trace.operators]
    latency = sum(operator.latency_ms for operator, _ in priced)
    power = target.device.figures.get("tdp_w")
    return Cost(
        target=target.label,
        kind="predicted",
        tier="T2" if measured_here else "T1",
        model=f"latency_table {VERSION}",
        latency_ms=latency,
        low_ms=sum(operator.latency_ms / factor for operator, factor in priced),
        high_ms=sum(operator.latency_ms * factor for operator, factor in priced),
        peak_memory_bytes=trace.peak_memory_bytes,
        energy_mj=latency * (power.value if power else WATTS),
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        operators=tuple(operator for operator, _ in priced),
        unknown_operators=trace.unknown_operators,
    )


@cache
def _spread() -> float:
    return read_table().spread()


def _priced(
    operator: Operator, target: Target, table: Table, measured_here: bool
) -> tuple[OperatorCost, float]:
    """One operator, and the factor of its interval."""
    figures = target.device.figures
    share = 1.0 if measured_here else PEAK_SHARE
    arithmetic = 2 * operator.macs / (figures["fp32_tflops"].value * share * 1e6)
    traffic = operator.bytes_moved / (figures["memory_bandwidth_gbs"].value * share * 1e3)
    factor = _spread() * (1.0 if measured_here else OTHER_CPU)
    latency = table.latency_us(operator.kind, arithmetic + traffic) if operator.known else None
    if latency is None:
        factor *= NOT_IN_TABLE
        latency = table.least_us + (arithmetic + traffic) / SHARE_OF_BEST
    if arithmetic + traffic < 0.1 * latency:
        bound = "launch"
    else:
        bound = "compute" if arithmetic > traffic else "memory"
    cost = OperatorCost(
        name=operator.name,
        kind=operator.kind,
        module=operator.module,
        macs=operator.macs,
        flops=operator.flops,
        bytes_moved=operator.bytes_moved,
        latency_ms=latency / 1e3,
        bound=bound,
        known=operator.known,
    )
    return cost, factor
