"""How far a predicted latency may be off: factors of the 90 % interval.

That of the measured profile covers 90 % of networks whose families were held out; all others are assumptions
about how much worse it is elsewhere, wide on purpose and checked against nothing. Errors of operators are
taken to go together, so the bounds of a network are sums over its operators, each with the factors of what
its time rests on: kernels of classes and devices that measurements were at hand for, kernels of others, time
that the host spends on dispatch, what lies between kernels, operators that no rule describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas_hardware import assumptions
from nas_hardware.dispatch import on_cpu

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.calibration import Calibration
    from nas.costs.operators import Operator
    from nas.costs.target import Target

START = (0.5, 2.0)
"""The factors of the launch of a whole graph: assumed."""
MEASURED_KINDS = frozenset(
    {
        "conv",
        "conv_depthwise",
        "conv_grouped",
        "gemm",
        "bmm",
        "sdpa",
        "norm",
        "softmax",
        "pointwise",
        "reduce",
        "copy",
        "pool",
    }
)
"""The kinds that the networks and kernels behind the constants are made of."""
MEASURED_PROFILES = {("rtx3090", "eager", "amp-fp16"): (0.89, 1.13)}
"""Device, runtime and precision of the networks behind the constants: 90 % of them, each predicted without
its family in the fit, took between these times what was predicted (``benchmarks/costs.py``)."""
NVIDIA = (0.75, 1.35)
"""Kernels of measured kinds on other NVIDIA GPUs. With no network in the fit the factors of the networks
above are 0.90 and 1.26; other GPUs may be worse, so these are wider."""
CPU = (0.55, 1.8)
"""Kernels of measured kinds on CPUs: assumed."""
OTHER_DEVICE = (0.45, 2.2)
"""Kernels on devices of which nothing was measured: assumed."""
OTHER_KIND = (0.5, 2.0)
"""Kernels of kinds that were not measured, on any device: assumed."""
DISPATCH = (0.6, 1.7)
"""Time that the host spends on operators, which depends on a host that no target names: assumed."""
GROUPED = (0.5, 4.0)
"""Grouped convolutions in TensorRT: networks of them on a V100 in single precision took 1.4 (batch 8) to 2.9
times (batch 1) what is predicted, the more the more groups they have, as if a release ran one kernel for each
(PaddlePaddle/PaddleClas; ``benchmarks/results/costs_published.md``)."""
LAUNCH = (0.5, 2.0)
"""Launches of kernels and what lies between them on accelerators, which a driver and a runtime decide:
rounded by hand, so that nine of ten convolutional networks on a V100 at batch 1 are held."""


def bounds(
    operators: Sequence[Operator],
    times: NDArray[np.float64],
    kernels: NDArray[np.float64],
    launches: NDArray[np.float64],
    target: Target,
    calibration: Calibration | None,
) -> tuple[float, float]:
    """The bounds of the sum of `times`, milliseconds of each operator; `kernels` are those of its kernel,
    `launches` the part of them that is its launch."""
    if not operators:
        return 0.0, 0.0
    dispatched = (times > kernels) & (not on_cpu(target))
    lows, highs = _factors(operators, dispatched, target, calibration)
    unknown = np.array([not operator.known for operator in operators])
    lows[unknown] = assumptions.UNKNOWN_LOW_FACTOR
    highs[unknown] = assumptions.UNKNOWN_HIGH_FACTOR
    if calibration is not None or on_cpu(target):
        launches = np.zeros(len(operators))
    launches = np.where(dispatched | unknown, 0.0, launches)
    work, launched = times - launches, launches.sum()
    return float(lows @ work + LAUNCH[0] * launched), float(highs @ work + LAUNCH[1] * launched)


def _factors(
    operators: Sequence[Operator],
    dispatched: NDArray[np.bool_],
    target: Target,
    calibration: Calibration | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The factors of each operator that a rule describes."""
    count = len(operators)
    if calibration is not None:
        return calibration.bounds_of([operator.kind for operator in operators])
    low, high = _device_factors(target)
    lows, highs = np.full(count, low), np.full(count, high)
    other = np.array([operator.kind not in MEASURED_KINDS for operator in operators])
    in_tensorrt = target.runtime == "tensorrt"
    grouped = np.array([operator.kind == "conv_grouped" and in_tensorrt for operator in operators])
    for mask, factors in ((other, OTHER_KIND), (grouped, GROUPED), (dispatched, DISPATCH)):
        lows[mask] = np.minimum(lows[mask], factors[0])
        highs[mask] = np.maximum(highs[mask], factors[1])
    return lows, highs


def _device_factors(target: Target) -> tuple[float, float]:
    if on_cpu(target):
        return CPU
    profile = (target.device.name, target.runtime, target.precision)
    if profile in MEASURED_PROFILES:
        return MEASURED_PROFILES[profile]
    return NVIDIA if target.device.vendor == "NVIDIA" else OTHER_DEVICE
