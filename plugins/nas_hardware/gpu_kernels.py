"""What the kernels of a GPU take: a model of each class of kernels, and one factor for each class.

Matrix products: `nas_hardware.gpu_products`. Everything else moves its bytes at a share of the bandwidth and
does its arithmetic on the vector units. Blended resampling of maps that lie apart has a thread for each
position of one map alone, which walks through batch and channels one by one: it takes as long as that walk.
The factors are what whole networks measured on one GPU take beside the model; constants, factors and their
origin are in ``fitted/gpu.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_hardware.gpu_products import ProductConstants, Products, products_ms
from nas_hardware.work import CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed
    from nas_hardware.work import Work

    Column = NDArray[np.float64]

FITTED = Path(__file__).parent / "fitted" / "gpu.json"
WALKERS = 512
"""Threads of a multiprocessor that walk through maps at a time."""


@dataclass(frozen=True)
class GpuConstants:
    """The fitted constants: of matrix products on tensor and on vector units, and by class, of shape
    (CLASSES,), the share of the bandwidth, the share of the vector units, and the factor; the plain shares
    are those in precisions without matrix units, where no factor is known. `walk_step_us` is one step of a
    walk.
    """

    tensor: ProductConstants
    vector: ProductConstants
    memory_share: Column
    vector_share: Column
    factor: Column
    walk_step_us: float
    plain_memory_share: Column
    plain_vector_share: Column


def kernels_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The milliseconds of each kernel, of shape (n,), without its launch."""
    found = model_ms(work, speed, constants)
    return found * constants.factor[work.classes] if speed.tensor else found


def model_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The milliseconds of each kernel by the model of its class, without launch and factor."""
    found = _streams_ms(work, speed, constants)
    dense = work.matrix
    if dense.any():
        some = work.chosen(dense)
        products = Products(some["batch"], some["rows"], some["columns"], some["inner"], some.moved)
        found[dense] = products_ms(products, speed, constants.tensor if speed.tensor else constants.vector)
    return found


def _streams_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """Kernels that stream: the longest of their traffic, their arithmetic on the vector units, and their
    walks."""
    memory_share, vector_share = constants.memory_share, constants.vector_share
    if not speed.tensor:
        memory_share, vector_share = constants.plain_memory_share, constants.plain_vector_share
    memory = work.moved / (speed.bandwidth * memory_share[work.classes])
    vector = speed.vector * speed.sustained * vector_share[work.classes]
    found: Column = np.maximum(memory, work["flops"] / vector)
    walks = work.is_of("resample") & (work["planar"] > 0) & (work["flops"] > 0)
    if walks.any():
        positions = np.maximum(work["positions"], 1)
        steps = work["written"] / (speed.width * positions) * np.ceil(positions / (WALKERS * speed.units))
        found = np.where(walks, np.maximum(found, steps * constants.walk_step_us / 1e3), found)
    return found


@cache
def fitted_constants() -> GpuConstants:
    """The constants that ship, from ``fitted/gpu.json``."""
    return read_constants(json.loads(FITTED.read_text(encoding="utf-8")))


def read_constants(content: Mapping[str, Any]) -> GpuConstants:
    """The constants of a JSON object."""
    return GpuConstants(
        tensor=ProductConstants(**content["tensor_products"]),
        vector=ProductConstants(**content["vector_products"]),
        memory_share=_by_class(content["memory_share"]),
        vector_share=_by_class(content["vector_share"]),
        factor=_by_class(content["factor"]),
        walk_step_us=content["walk_step_us"],
        plain_memory_share=_by_class(content["plain_memory_share"]),
        plain_vector_share=_by_class(content["plain_vector_share"]),
    )


def _by_class(content: Mapping[str, float]) -> Column:
    """One number for each of CLASSES; ``other`` is that of those not named."""
    return np.array([content.get(name, content["other"]) for name in CLASSES])
