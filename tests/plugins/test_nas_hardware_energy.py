"""Energy by hand: idle power, joules for FLOPs and bytes, and the design power that nothing exceeds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from torch import nn

from nas.costs import Cost, Device, Figure, Operator, Target, estimate, resolve_target
from nas.costs.cost import ENERGY_ERROR
from nas_hardware.energy import (
    MEMORY_POWER_SHARE,
    SUSTAINED_SHARE,
    EnergyCoefficients,
    dynamic_energy_mj,
    energy_coefficients,
    energy_mj,
)

FIGURES = {
    "fp16_tflops": 100.0,
    "fp32_tflops": 10.0,
    "memory_bandwidth_gbs": 1000.0,
    "tdp_w": 120.0,
    "idle_w": 20.0,
}


def target(**changes: float | None) -> Target:
    figures = {name: value for name, value in {**FIGURES, **changes}.items() if value is not None}
    device = Device("d", "dc-gpu", "NVIDIA", {name: Figure(value, "test") for name, value in figures.items()})
    return Target("d", device)


def operator(kind: str, flops: int = 0) -> Operator:
    return Operator(kind, kind, "", 0, flops, 0, 0, 0)


def test_coefficients_follow_from_the_datasheet():
    found = energy_coefficients(target())
    assert found == EnergyCoefficients(
        idle_w=20.0,
        limit_w=120.0,
        matrix_j=pytest.approx(100 / (SUSTAINED_SHARE * 1e14)),
        vector_j=pytest.approx(100 / (SUSTAINED_SHARE * 1e13)),
        byte_j=pytest.approx(MEMORY_POWER_SHARE * 100 / 1e12),
    )


def test_large_products_run_at_the_design_power_and_streams_below_it():
    found = energy_coefficients(target())
    second = operator("gemm", round(SUSTAINED_SHARE * 1e14))
    assert energy_mj(1000, dynamic_energy_mj(second, 0, found), found) == pytest.approx(120_000)
    streamed = dynamic_energy_mj(operator("copy"), 10**12, found)
    assert energy_mj(1000, streamed, found) == pytest.approx(20_000 + MEMORY_POWER_SHARE * 100_000)


def test_energy_lies_between_idle_and_design_power():
    found = energy_coefficients(target())
    assert energy_mj(10, 0, found) == 200
    assert energy_mj(10, 10**9, found) == 1200


def test_vector_work_takes_more_than_matrix_work():
    found = energy_coefficients(target())
    matrix, vector = (dynamic_energy_mj(operator(kind, 10**9), 0, found) for kind in ("conv", "pointwise"))
    assert vector == pytest.approx(10 * matrix)


def test_missing_figures_are_assumed():
    found = energy_coefficients(target(tdp_w=None, idle_w=None, fp32_tflops=None))
    assert (found.idle_w, found.limit_w) == (1.0, 10.0)
    assert found.vector_j == pytest.approx(16 * found.matrix_j)
    assert energy_coefficients(target(idle_w=500.0)).idle_w == 120


def test_lower_precision_takes_less_for_each_flop():
    half = resolve_target("a100", precision="fp16")
    single = replace(half, precision="fp32")
    assert energy_coefficients(single).matrix_j == pytest.approx(16 * energy_coefficients(half).matrix_j)


def test_a_cost_says_how_far_its_energy_may_be_off():
    cost = estimate(nn.Linear(8, 8), (8,), "a100")
    assert (cost.energy_low_mj, cost.energy_high_mj) == pytest.approx(
        (cost.energy_mj * (1 - ENERGY_ERROR), cost.energy_mj * (1 + ENERGY_ERROR))
    )
    measured = Cost("t", "measured", "T4", "m", 1.0, 1.0, 1.0, 0, 5.0, 0, 0, 0, 0)
    assert (measured.energy_low_mj, measured.energy_high_mj) == (5.0, 5.0)
