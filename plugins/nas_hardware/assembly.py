"""A cost, put together from what its operators take: what the cost models of this package share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.cost import Cost, OperatorCost
from nas.costs.traffic import traffic_shares
from nas_hardware.energy import dynamic_energy_mj, energy_coefficients, energy_mj
from nas_hardware.memory import peak_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.calibration import Calibration
    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas_hardware.fusion import Step

TINY = 1e-12
"""What the latency of a network without operators is divided by."""


@dataclass(frozen=True)
class Time:
    """What one operator takes, in milliseconds, and what bounds it: compute, memory or launch."""

    latency: float
    bound: str


@dataclass(frozen=True)
class Start:
    """What a network takes before its first operator, in milliseconds, and the bounds of that."""

    latency: float
    low: float
    high: float


def kernel_time(latency: float, busy: float, computes: bool) -> Time:
    """The time of a kernel that works for `busy` of it; launch bounds what takes more than twice that."""
    return Time(latency, "launch" if latency > 2 * busy else "compute" if computes else "memory")


def calibration_for(target: Target, model: str) -> Calibration | None:
    """The calibration of a target where it was fitted to this model."""
    calibration = target.calibration
    return calibration if calibration is not None and calibration.model == model else None


def assembled(
    trace: Trace,
    target: Target,
    version: str,
    steps: Sequence[Step],
    times: Sequence[Time],
    *,
    start: Start,
    bounds: tuple[float, float],
    calibration: Calibration | None,
    at_traffics: NDArray[np.float64] | None = None,
) -> Cost:
    """The cost of a trace whose operators take these times after a start, with the `bounds` of their sum;
    `at_traffics` are their latencies at TRAFFICS, of shape (TRAFFICS, n), where those differ.

    Its amounts are latency, bounds and energy as the operators add up, then, where they depend on it, the
    traffic and the latency at each of TRAFFICS, from which `finished` makes the figures of a network.
    """
    sums = (sum(time.latency for time in times), *bounds, _energy_mj(steps, times, target))
    moved = () if at_traffics is None else (trace.bytes_moved, *at_traffics.sum(axis=1).tolist())
    amounts = (*sums, *moved)
    figures = finished(np.array([amounts]), start, target, calibration)
    latency, low, high, energy = figures[0].tolist()
    own = np.array([time.latency for time in times])
    if at_traffics is not None:
        own = traffic_shares([trace.bytes_moved])[0] @ at_traffics
    own = own * _warm(np.array([start.latency + own.sum()]), calibration)
    return Cost(
        target=target.label,
        kind="predicted",
        tier=calibration.tier if calibration else "T0",
        model=version,
        latency_ms=latency,
        low_ms=low,
        high_ms=high,
        peak_memory_bytes=peak_memory(trace, target),
        energy_mj=energy,
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        operators=tuple(_operator_cost(*row) for row in zip(steps, times, own.tolist(), strict=True)),
        unknown_operators=trace.unknown_operators,
        amounts=amounts,
    )


def finished(
    amounts: NDArray[np.float64], start: Start, target: Target, calibration: Calibration | None
) -> NDArray[np.float64]:
    """Latency, bounds and energy of n networks, of shape (n, 4), from the sums over their operators."""
    energy = energy_mj(start.latency, 0.0, energy_coefficients(target))
    found: NDArray[np.float64] = amounts[:, :4] + np.array([start.latency, start.low, start.high, energy])
    if amounts.shape[1] > found.shape[1]:
        traffic, latencies = amounts[:, 4], amounts[:, 5:]
        own = start.latency + (traffic_shares(traffic) * latencies).sum(axis=1)
        found[:, :3] *= (own / np.maximum(found[:, 0], TINY))[:, None]
    found[:, :3] *= _warm(found[:, 0], calibration)[:, None]
    return found


def _warm(latencies_ms: NDArray[np.float64], calibration: Calibration | None) -> NDArray[np.float64]:
    """What the latencies of networks are multiplied by: short ones were measured to be quicker than that."""
    if calibration is None or calibration.warmth is None:
        return np.ones_like(latencies_ms)
    return calibration.warmth.factors(latencies_ms)


def _energy_mj(steps: Sequence[Step], times: Sequence[Time], target: Target) -> float:
    """The energy of all operators, each held to the design power."""
    coefficients = energy_coefficients(target)
    dynamic = (dynamic_energy_mj(step.operator, step.bytes_moved, coefficients) for step in steps)
    parts = (energy_mj(time.latency, more, coefficients) for time, more in zip(times, dynamic, strict=True))
    return sum(parts)


def _operator_cost(step: Step, time: Time, latency_ms: float) -> OperatorCost:
    operator = step.operator
    return OperatorCost(
        name=operator.name,
        kind=operator.kind,
        module=operator.module,
        macs=operator.macs,
        flops=operator.flops,
        bytes_moved=step.bytes_moved,
        latency_ms=latency_ms,
        bound=time.bound,
        known=operator.known,
    )
