"""Fits the constants of kernels that stream in precisions without matrix units to measured fp32 kernels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from cost_fits import launched_ms
from cost_networks import NEUSIGHT_TARGETS, STREAM_KERNELS, fp32_streams
from scipy.optimize import minimize

from nas_hardware.gpu_kernels import GpuConstants, kernels_ms
from nas_hardware.work import CLASSES, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

OVERHEAD_QUANTILE = 0.02
"""The share of the kernels of a kind that take about what a measurement adds to each."""
PREPARED = frozenset({"ln"})
"""Kernels that the host prepares before the device begins, it seems: what it takes adds up."""
WITH_LINES = frozenset({"norm"})
"""Classes that take cycles for each line."""
START = (0.8, 900.0)
"""The share of the bandwidth and the cycles for each line where fits begin."""


@dataclass(frozen=True)
class Streams:
    """Measured kernels of one kind on one device: their work, what they took in milliseconds, the figures of
    the device, and what the host takes to dispatch each."""

    kind: str
    work: Work
    milliseconds: Column
    speed: GpuSpeed
    overhead: float


def streams(folder: Path, device: str) -> list[Streams]:
    """The fp32 kernels of a GPU that stream."""
    found = []
    for kind in STREAM_KERNELS:
        work, milliseconds, speed = fp32_streams(folder, device, kind)
        overhead = float(np.quantile(milliseconds, OVERHEAD_QUANTILE))
        found.append(Streams(kind, work, milliseconds, speed, overhead))
    return found


def stream_errors(found: Streams, constants: GpuConstants) -> Column:
    """The logarithm of predicted over measured for each kernel."""
    predicted = kernels_ms(found.work, found.speed, constants)
    launched = launched_ms(predicted, found.speed.launch, found.overhead, found.kind not in PREPARED)
    errors: Column = np.log(launched / found.milliseconds)
    return errors


def fit_streams(folder: Path, constants: GpuConstants, without: str = "") -> GpuConstants:
    """The constants with the classes of these kernels fitted to all GPUs but one."""
    measured = [one for device in NEUSIGHT_TARGETS if device != without for one in streams(folder, device)]
    for name in dict.fromkeys(STREAM_KERNELS.values()):
        chosen = [one for one in measured if STREAM_KERNELS[one.kind] == name]
        constants = _fit_class(name, chosen, constants)
    return constants


def _fit_class(name: str, measured: Iterable[Streams], constants: GpuConstants) -> GpuConstants:
    """The share of the bandwidth and the cycles by line of a class, by the least mean error over kernels."""
    own = CLASSES.index(name)
    free = 2 if name in WITH_LINES else 1

    def changed(point: Column) -> GpuConstants:
        share, lines = constants.plain_memory_share.copy(), constants.plain_line_cycles.copy()
        share[own] = np.exp(point[0])
        if free > 1:
            lines[own] = np.exp(point[1])
        return replace(constants, plain_memory_share=share, plain_line_cycles=lines)

    def loss(point: Column) -> float:
        return float(np.mean([np.abs(stream_errors(one, changed(point))).mean() for one in measured]))

    return changed(minimize(loss, np.log(START[:free]), method="Nelder-Mead", options={"xatol": 0.01}).x)
