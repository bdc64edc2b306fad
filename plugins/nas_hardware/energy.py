"""How much energy operators take on a device: idle power over time, and so much for each FLOP and byte::

    energy = idle · time + Σ (per FLOP · FLOPs + per byte · bytes), at most the thermal design power · time

Coefficients follow from the datasheet: a device runs large matrix products at its design power, at the share
of the peak that they sustain, and streams memory at half of what is above idle. That gives 1.6 pJ per FLOP of
an A100 in half precision and 86 pJ per byte of HBM2e, of which the memory itself takes 31 (3.92 pJ per bit:
O'Connor et al., MICRO 2017). Trust: assumed, nothing was measured on the device that is priced. Board power
of one GPU ranges over 0.29 to 0.99 of its design power with the work, and predictors fitted on the device's
own counters are off by 11 to 14 %, so bounds are wide: `nas.costs.cost.ENERGY_ERROR`.
"""

from __future__ import annotations

from dataclasses import dataclass

from nas.costs.operators import Operator
from nas.costs.speed import MATRIX_KINDS
from nas.costs.target import Target
from nas.costs.target_file import PEAKS
from nas_hardware import assumptions

SUSTAINED_SHARE = 0.7
"""The share of the peak at which large matrix products reach the design power."""
MEMORY_POWER_SHARE = 0.5
"""Power above idle while memory streams at full bandwidth, as a share of what the design allows."""


@dataclass(frozen=True)
class EnergyCoefficients:
    """Watts at rest and at most, and joules for one FLOP of matrix and other work and one byte of memory."""

    idle_w: float
    limit_w: float
    matrix_j: float
    vector_j: float
    byte_j: float


def energy_coefficients(target: Target) -> EnergyCoefficients:
    """The coefficients of a target, from its figures, and where those are missing from assumptions."""
    figures = {name: figure.value for name, figure in target.figures.items()}
    limit = figures.get("tdp_w", assumptions.POWER_W)
    idle = min(limit, figures.get("idle_w", assumptions.IDLE_POWER_SHARE * limit))
    matrix = figures[PEAKS[target.precision]]
    vector = figures.get("fp32_tflops", matrix * assumptions.VECTOR_SHARE)
    above = limit - idle
    return EnergyCoefficients(
        idle_w=idle,
        limit_w=limit,
        matrix_j=above / (SUSTAINED_SHARE * matrix * 1e12),
        vector_j=above / (SUSTAINED_SHARE * vector * 1e12),
        byte_j=MEMORY_POWER_SHARE * above / (figures["memory_bandwidth_gbs"] * 1e9),
    )


def dynamic_energy_mj(operator: Operator, bytes_moved: int, coefficients: EnergyCoefficients) -> float:
    """Millijoules above idle for the work of an operator that moves so many bytes; they add up."""
    is_matrix = operator.kind in MATRIX_KINDS
    per_flop = coefficients.matrix_j if is_matrix else coefficients.vector_j
    return 1e3 * (per_flop * operator.flops + coefficients.byte_j * bytes_moved)


def energy_mj(latency_ms: float, dynamic_mj: float, coefficients: EnergyCoefficients) -> float:
    """Millijoules in so many milliseconds, with idle power and never above the design power."""
    return min(coefficients.limit_w * latency_ms, coefficients.idle_w * latency_ms + dynamic_mj)
