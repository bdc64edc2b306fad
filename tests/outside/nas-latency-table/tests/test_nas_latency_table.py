"""The cost model keeps every promise that cost models make, and says what the table says."""

from __future__ import annotations

import pytest
import torch
from nas_latency_table.measure import cases, seconds
from nas_latency_table.table import Row, Table, read_table
from torch import nn

import nas
from nas.errors import CostError
from nas.testing import CostModelConformance, TargetConformance

ROWS = [
    Row("conv", "convolution", 1_000, 1_000, 10.0),
    Row("conv", "convolution", 100_000, 100_000, 1_000.0),
    Row("pointwise", "relu", 0, 4_000, 4.0),
]


class TestLatencyTable(CostModelConformance):
    targets = ("table-host", "cpu")

    @pytest.fixture
    def cost_model(self) -> str:
        return "latency_table"


class TestTheHostOfTheTable(TargetConformance):
    @pytest.fixture
    def target(self) -> str:
        return "table-host"


def looked_up(table: Table, kind: str, macs: int, bytes_moved: int) -> float | None:
    return table.latency_us(kind, table.ideal_us(macs, bytes_moved))


def test_a_row_is_found_again() -> None:
    table = Table(ROWS)
    for row in ROWS:
        assert looked_up(table, row.kind, row.macs, row.bytes) == pytest.approx(row.latency_us)


def test_between_around_and_outside_of_the_rows() -> None:
    table = Table(ROWS)
    assert looked_up(table, "conv", 10_000, 10_000) == pytest.approx(100)  # half way in logarithms
    assert looked_up(table, "conv", 10, 10) == 10  # nothing is faster than the least that was seen
    assert looked_up(table, "conv", 200_000, 200_000) == pytest.approx(2_000)
    assert looked_up(table, "fft", 10, 10) is None


def test_latency_never_falls_where_a_row_was_disturbed() -> None:
    table = Table([*ROWS, Row("conv", "convolution", 2_000, 2_000, 5.0)])
    latencies = [looked_up(table, "conv", macs, macs) for macs in range(500, 5_000, 100)]
    assert latencies == sorted(latencies)


def test_the_shipped_table() -> None:
    table = read_table()
    assert {"conv", "conv_depthwise", "conv_grouped", "gemm", "norm", "pointwise"} <= set(table.curves)
    assert all(len(curve.ideal) >= 3 for curve in table.curves.values())
    assert 1 < table.spread() < 10


def test_an_operator_costs_what_its_row_says() -> None:
    cost = nas.estimate(nn.Linear(512, 512), (64, 512), target="table-host", model="latency_table")
    (row,) = [row for row in read_table().rows if row.kind == "gemm" and row.macs == 64 * 512 * 512]
    assert cost.latency_ms == pytest.approx(row.latency_us / 1e3)
    assert (cost.kind, cost.tier, cost.model) == ("predicted", "T2", "latency_table 1")


class Transformed(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(x).real


def test_what_is_not_in_the_table_costs_its_bytes_and_is_less_sure() -> None:
    near, far = (
        nas.estimate(module, (64, 64), target="table-host", model="latency_table")
        for module in (nn.ReLU(), Transformed())
    )
    assert far.latency_ms > 0
    assert far.high_ms / far.low_ms > near.high_ms / near.low_ms


def test_another_cpu_is_scaled_and_less_sure() -> None:
    here, there = (
        nas.estimate(
            nn.Conv2d(16, 16, 3), (16, 32, 32), target=target, runtime="eager", model="latency_table"
        )
        for target in ("table-host", "cpu")
    )
    assert there.latency_ms < here.latency_ms  # eight cores against one
    assert there.tier == "T1"
    assert there.high_ms / there.low_ms > here.high_ms / here.low_ms


@pytest.mark.parametrize(
    ("target", "precision", "reason"), [("a100", "fp32", "a CPU"), ("cpu", "int8", "no figures for int8")]
)
def test_what_it_cannot_price_is_refused(target: str, precision: str, reason: str) -> None:
    with pytest.raises(CostError, match=reason):
        nas.estimate(nn.ReLU(), (8,), target=target, precision=precision, model="latency_table")


def test_an_operator_is_measured() -> None:
    module, shape = next(cases())
    assert 0 < seconds(module.eval(), shape) < 1
