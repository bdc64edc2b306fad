"""A cost model that looks latencies up in a measured table, and as a target the CPU of that table."""

from __future__ import annotations

from nas import Target, hookimpl
from nas.costs import CostModel, Device, Figure

NAS_API_VERSION = 1
VERSION = "1"
HOST = "latency-table-host"


@hookimpl
def nas_cost_models() -> list[CostModel]:
    """The cost models of this package."""
    return [
        CostModel(
            name="latency_table",
            predict="nas_latency_table.model:predict",
            version=VERSION,
            description="operators looked up in a table that was measured on a CPU",
        )
    ]


@hookimpl
def nas_targets() -> list[Target]:
    """The CPU of the table: its peaks are the best rates that the table holds."""
    from .table import read_table

    table = read_table()
    source = "the best row of table.csv in nas-latency-table"
    figures = {
        "fp32_tflops": Figure(table.flops_per_us / 1e6, source, "measured"),
        "memory_bandwidth_gbs": Figure(table.bytes_per_us / 1e3, source, "measured"),
        "tdp_w": Figure(10.0, "one core of a server CPU, assumed", "assumed"),
    }
    device = Device(HOST, "x86-cpu", "generic", figures, aliases=("table-host",))
    return [Target(HOST, device, precision="fp32", batch_size=1, runtime="eager", layout="nchw")]
