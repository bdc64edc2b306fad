"""Fits the constants of the classes of GPU kernels to networks, drawn to what is known of such kernels.

The maximum a posteriori estimate: each constant has a value that kernels of its kind are known or expected to
have, and a spread. What a family of networks says of a constant that no other family tells is then little,
and one that is left out is predicted nearly as well as one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from cost_fits import Networks

from nas_hardware.gpu_kernels import (
    OTHERWISE,
    GpuConstants,
    adapted_ms,
    by_class,
    streams_ms,
    tilings_ms,
)
from nas_hardware.work import CLASSES, PRODUCT_CLASSES, Work

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

Prior = tuple[float, float]
"""The value of a constant and the spread of its logarithm."""
PRIORS: Mapping[str, Mapping[str, Prior]] = {
    "memory_share": {
        "pointwise": (0.9, 0.05),
        "batch_norm": (0.9, 0.04),
        "norm": (0.8, 0.1),
        "group_norm": (0.7, 0.3),
        "softmax": (0.8, 0.15),
        "spread": (0.85, 0.1),
        "transposed": (0.55, 0.2),
        "cat": (0.7, 0.2),
        "copy": (0.75, 0.15),
        "copy_transposed": (0.55, 0.2),
        "reduce": (0.75, 0.2),
        "pool": (0.8, 0.2),
        "resample": (0.6, 0.2),
        "pad": (0.75, 0.2),
        "depthwise_library": (0.7, 0.15),
        "depthwise_plain": (0.7, 0.15),
        "depthwise_innermost": (0.7, 0.15),
    },
    "element_cycles": {
        "spread": (80.0, 0.4),
        "transposed": (100.0, 0.4),
        "cat": (80.0, 0.4),
        "copy": (60.0, 0.4),
        "copy_transposed": (120.0, 0.4),
    },
    "tap_cycles": {
        "depthwise_library": (6.0, 0.4),
        "depthwise_plain": (33.0, 0.3),
        "depthwise_innermost": (3.5, 0.4),
        "depthwise_fallback": (90.0, 0.5),
        "pool": (8.0, 0.5),
    },
    "line_cycles": {"norm": (400.0, 0.4)},
    "factor": {
        "conv": (0.95, 0.12),
        "conv_innermost": (0.95, 0.12),
        "conv_1x1": (1.0, 0.12),
        "conv_1x1_innermost": (1.1, 0.15),
        "conv_grouped": (1.0, 0.12),
        "gemm": (1.0, 0.08),
        "gemm_batch": (1.4, 0.3),
        "bmm": (1.0, 0.08),
        "sdpa": (1.0, 0.12),
    },
    "reorder": {"conv": (1.5, 0.4), "conv_1x1": (0.2, 0.5), "conv_grouped": (0.2, 0.5)},
    "misaligned": {
        "1": (1.8, 0.3),
        "2": (1.3, 0.3),
        "4": (1.1, 0.2),
        "innermost": (1.3, 0.3),
        "plane": (1.25, 0.15),
    },
}
"""Shares of well-tuned kernels, two passes over images for two changes of their order (``reorder``), cycles
counted in the kernels of torch where an element or a tap takes an address of its own. The values were rounded
by hand with the networks of the benchmark in sight."""
SHARPNESS = 0.03
"""Errors of the logarithm below this count by their square, larger ones by their size."""
PULL = 0.1
"""The weight of the priors, each against one network's error."""
ITERATIONS = 12
STEP = 1e-3
"""The change of a logarithm by which derivatives are found."""


@dataclass(frozen=True)
class Part:
    """The operators of one class in all networks, with the time of their best tilings where they have one."""

    work: Work
    owner: NDArray[np.int64]
    count: Column
    tilings: Column | None


class ClassTimes:
    """The milliseconds that networks spend on each class, for any constants of the classes."""

    def __init__(self, networks: Networks, speed: GpuSpeed, constants: GpuConstants) -> None:
        self._networks = networks
        self._speed = speed
        self._constants = constants

    def table(self, constants: GpuConstants, columns: Iterable[int] | None = None) -> Column:
        """Milliseconds of shape (networks, CLASSES); zeros in those not among `columns`."""
        found = np.zeros((len(self._networks.milliseconds), len(CLASSES)))
        for index in range(len(CLASSES)) if columns is None else columns:
            if index in self.parts:
                found[:, index] = self._column(self.parts[index], constants)
        return found

    def affected(self, group: str, name: str) -> Iterator[int]:
        """The classes whose times a constant changes."""
        for index, part in self.parts.items():
            has_copies = name == "copy_transposed" and part.work["scratch"].any()
            in_group = group == "misaligned" and part.tilings is not None
            if CLASSES[index] == name or has_copies or in_group:
                yield index

    @cached_property
    def parts(self) -> dict[int, Part]:
        """The operators by class."""
        networks = self._networks
        found = {}
        for index in np.unique(networks.work.classes).tolist():
            chosen = networks.work.classes == index
            work = networks.work.chosen(chosen)
            dense = CLASSES[index] in PRODUCT_CLASSES
            tilings = tilings_ms(work, self._speed, self._constants) if dense else None
            found[index] = Part(work, networks.network[chosen], networks.count[chosen], tilings)
        return found

    def _column(self, part: Part, constants: GpuConstants) -> Column:
        if part.tilings is None:
            times = streams_ms(part.work, self._speed, constants)
        else:
            times = adapted_ms(part.work, part.tilings, self._speed, constants)
        weights = (times + self._speed.step) * part.count
        return np.bincount(part.owner, weights, len(self._networks.milliseconds))


def prior_constants(constants: GpuConstants) -> GpuConstants:
    """The constants with the classes as the priors have them: no network told anything."""
    return _with(constants, _names(), np.log([value for value, _ in _priors()]))


def uninformed_constants(constants: GpuConstants) -> GpuConstants:
    """The constants as if nothing were known of any class: streams at one share of the bandwidth."""
    return replace(
        constants,
        misaligned=dict.fromkeys(constants.misaligned, 1.0),
        **{group: by_class({}, otherwise) for group, otherwise in OTHERWISE.items()},
    )


def fit_classes(
    networks: Networks, speed: GpuSpeed, constants: GpuConstants, chosen: NDArray[np.bool_]
) -> GpuConstants:
    """The constants of the classes by some of the networks: iteratively reweighted least squares of the
    errors of the logarithm, with the priors as further rows."""
    return fitter(networks, speed, constants)(chosen)


def fitter(
    networks: Networks, speed: GpuSpeed, constants: GpuConstants
) -> Callable[[NDArray[np.bool_]], GpuConstants]:
    """A function that fits to some of the networks; what does not change is worked out once."""
    times = ClassTimes(networks, speed, constants)
    names = _names()
    aims = np.log([value for value, _ in _priors()])
    pull = 2 * PULL / np.array([spread for _, spread in _priors()]) ** 2

    def fit(chosen: NDArray[np.bool_]) -> GpuConstants:
        point = aims.copy()
        measured = networks.milliseconds[chosen]
        for _ in range(ITERATIONS):
            table = times.table(_with(constants, names, point))[chosen]
            total = table.sum(axis=1)
            errors = np.log(total / measured)
            slopes = _slopes(times, constants, names, point, table, chosen) / total[:, None]
            weights = 1 / np.sqrt(errors**2 + SHARPNESS**2)
            left = slopes.T @ (slopes * weights[:, None]) + np.diag(pull)
            right = slopes.T @ (errors * weights) + pull * (point - aims)
            point = point - np.clip(np.linalg.solve(left, right), -1, 1)
        return _with(constants, names, point)

    return fit


def _slopes(
    times: ClassTimes,
    constants: GpuConstants,
    names: list[tuple[str, str]],
    point: Column,
    table: Column,
    chosen: NDArray[np.bool_],
) -> Column:
    """The change of each network's milliseconds with the logarithm of each constant."""
    found = np.zeros((len(table), len(names)))
    for index, (group, name) in enumerate(names):
        moved = point.copy()
        moved[index] += STEP
        columns = list(times.affected(group, name))
        changed = times.table(_with(constants, names, moved), iter(columns))[chosen]
        found[:, index] = (changed[:, columns] - table[:, columns]).sum(axis=1) / STEP
    return found


def _names() -> list[tuple[str, str]]:
    return [(group, name) for group, priors in PRIORS.items() for name in priors]


def _priors() -> list[Prior]:
    return [prior for priors in PRIORS.values() for prior in priors.values()]


def _with(constants: GpuConstants, names: list[tuple[str, str]], logarithms: Column) -> GpuConstants:
    """The constants with some of them replaced, given by their logarithms."""
    misaligned = dict(constants.misaligned)
    columns = {group: getattr(constants, group).copy() for group in PRIORS if group != "misaligned"}
    for (group, name), value in zip(names, np.exp(logarithms).tolist(), strict=True):
        if group == "misaligned":
            misaligned[name] = value
        else:
            columns[group][CLASSES.index(name)] = value
    return replace(constants, misaligned=misaligned, **columns)
