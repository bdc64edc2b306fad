"""What the kernels of a GPU take: a model of the time of each class of kernels, with the constants of each.

Dense products (`nas_hardware.gpu_products`, `nas_hardware.winograd`) take more where sizes are not aligned,
and where planar images are brought into another order first and back. Everything else streams: its time is
that of the slowest of its traffic at a share of the bandwidth, of its arithmetic on the vector units, of
cycles for every element and every tap (kernels that work out an address for each), and of the lines whose
moments a norm finds one by one. What a kernel first copies into another order comes on top. Blended
resampling of maps that lie apart has a thread for each position of one map alone, which walks through batch
and channels one by one: it takes as long as that walk.

Constants are in units that carry over between GPUs (shares, cycles); they and their origin are in
``fitted/gpu.json``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_hardware.gpu_products import TENSOR_CONVOLUTIONS, Products, TensorConstants, products_ms
from nas_hardware.vector_products import VectorConstants, vector_products_ms
from nas_hardware.winograd import convolutions_ms
from nas_hardware.work import CLASSES, CONVOLUTION_CLASSES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed
    from nas_hardware.work import Work

    Column = NDArray[np.float64]

FITTED = Path(__file__).parent / "fitted" / "gpu.json"
WALKERS = 512
"""Threads of a multiprocessor that walk through maps at a time."""
SHARPNESS = 4
"""How sharply the slowest resource decides: the power of the mean over resources."""
SINGLE = 4
"""Bytes of a number in single precision."""
LEAST_ALIGNED = 16
"""Sizes of a product that are smaller are not a matter of alignment."""
SIBLINGS: Mapping[str, str] = {"sm100": "sm90", "sm120": "sm89"}
"""The generation before, of cards that are made for the same: Hopper's server modules before Blackwell's,
Ada's cards before Blackwell's."""
MATRIX_VECTOR_SHARE = 0.77
"""The share of the bandwidth at which a matrix in single precision is read for a product with one vector, by
kernels that are no tilings: recurrent layers of DeepBench at batch 1 (``fitted/recurrent.json``). Networks at
batch 1 on a V100 in TensorRT (PaddlePaddle/PaddleClas, Apache-2.0) were looked at beside it: VGG. In half
precision a Jetson Nano does not show it."""
OTHERWISE: Mapping[str, float] = {
    "memory_share": 0.8,
    "vector_share": 0.5,
    "element_cycles": 0.0,
    "tap_cycles": 0.0,
    "line_cycles": 0.0,
    "factor": 1.0,
    "reorder": 0.0,
}
"""The constants of classes of which the file says nothing."""
PLAIN = ("memory_share", "element_cycles", "tap_cycles", "line_cycles")
"""The constants that differ in precisions without matrix units, where the file says so."""


@dataclass(frozen=True)
class GpuConstants:
    """The constants of matrix products on tensor and on vector units, and those by class, each of shape
    (CLASSES,).

    Of streams: `memory_share` of the bandwidth, `vector_share` of the vector units, `element_cycles` and
    `tap_cycles` of a lane for each element and each of its taps, `line_cycles` of a multiprocessor for each
    line of a norm. Of products on tensor cores: `factor` beside the model, and `reorder`, so many times the
    traffic of planar convolutions is spent on their order. `misaligned` is the factor of products by what
    their sizes are multiples of: ``1``, ``2`` or ``4`` numbers; ``innermost`` of convolutions that lie so;
    ``plane`` of planar ones by the size of a map. Those that begin with `plain_` are of precisions without
    matrix units. `generations` are constants of products on tensor cores that differ by compute capability,
    those of a measured sibling where it was not measured itself. `walk_step_us` is one step of a walk.
    """

    tensor: TensorConstants
    vector: VectorConstants
    memory_share: Column
    vector_share: Column
    element_cycles: Column
    tap_cycles: Column
    line_cycles: Column
    factor: Column
    reorder: Column
    plain_memory_share: Column
    plain_element_cycles: Column
    plain_tap_cycles: Column
    plain_line_cycles: Column
    misaligned: Mapping[str, float]
    walk_step_us: float
    generations: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def of_streams(self, tensor: bool) -> tuple[Column, Column, Column, Column]:
        """The constants that PLAIN names: of precisions with matrix units, or of those without."""
        if tensor:
            return self.memory_share, self.element_cycles, self.tap_cycles, self.line_cycles
        return (
            self.plain_memory_share,
            self.plain_element_cycles,
            self.plain_tap_cycles,
            self.plain_line_cycles,
        )

    def tensor_of(self, generation: str) -> TensorConstants:
        """The constants of products on the tensor cores of a generation."""
        own = self.generations.get(SIBLINGS.get(generation, generation), {})
        return replace(self.tensor, **own)


def kernels_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The milliseconds of each kernel, of shape (n,), without its launch."""
    dense = work.matrix
    products = work.chosen(dense)
    found = np.empty(len(work))
    found[~dense] = streams_ms(work.chosen(~dense), speed, constants)
    found[dense] = adapted_ms(products, tilings_ms(products, speed, constants), speed, constants)
    return found


def tilings_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The milliseconds of products by their best tiling, or of a matrix with one vector as it is read; those
    of numbers in single precision run on vector units where the network is in half precision."""
    on_vector = np.full(len(work), not speed.tensor)
    if speed.tensor and speed.width < SINGLE:
        on_vector |= (work["width"] == SINGLE) & work.is_of("gemm", "gemm_batch", "bmm", "sdpa")
    vector_speed = replace(speed, matrix=speed.vector, width=SINGLE) if speed.tensor else speed
    tensor = constants.tensor_of(speed.generation)
    images = work.is_of(*CONVOLUTION_CLASSES)
    found = np.zeros(len(work))
    if (some := on_vector & images).any():
        chosen = work.chosen(some)
        tiles = chosen["tiles_2"], chosen["tiles_4"]
        found[some] = convolutions_ms(_products(chosen), tiles, vector_speed, constants.vector)
    attention = work.is_of("sdpa")
    if (some := on_vector & attention).any():
        found[some] = products_ms(_products(work.chosen(some)), vector_speed, constants.vector)
    if (some := on_vector & ~images & ~attention).any():
        found[some] = vector_products_ms(_products(work.chosen(some)), vector_speed, constants.vector)
    if (some := ~on_vector & images).any():
        found[some] = products_ms(_products(work.chosen(some)), speed, tensor, TENSOR_CONVOLUTIONS)
    if (some := ~on_vector & ~images).any():
        found[some] = products_ms(_products(work.chosen(some)), speed, tensor)
    is_vector = (work["rows"] == 1) & (work["width"] == SINGLE) & work.is_of("gemm")
    return np.where(is_vector, np.minimum(found, work.moved / (speed.bandwidth * MATRIX_VECTOR_SHARE)), found)


def _products(work: Work) -> Products:
    return Products(work["batch"], work["rows"], work["columns"], work["inner"], work.moved)


def adapted_ms(work: Work, tilings: Column, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """What products take by their class, alignment and order, from the time of their best tiling."""
    copies = _copies_ms(work, speed, constants)
    if not speed.tensor:
        return tilings + copies
    images = work.is_of(*CONVOLUTION_CLASSES)
    innermost = work.is_of("conv_1x1_innermost", "conv_innermost")
    least = np.minimum(_alignment(work["columns"]), _alignment(work["inner"]))
    is_large = np.minimum(work["columns"], work["inner"]) >= LEAST_ALIGNED
    factor = constants.factor[work.classes]
    planar = images & ~innermost & (work["planar"] > 0) & (work["positions"] > 1)
    factor = factor * np.where(planar & (work["positions"] % 4 > 0), constants.misaligned["plane"], 1)
    factor = factor * np.where(innermost & (least < 8), constants.misaligned["innermost"], 1)
    for size in (1, 2, 4):
        chosen = ~images & is_large & (least == size)
        factor = np.where(chosen, factor * constants.misaligned[str(size)], factor)
    reorder = np.where(planar, constants.reorder[work.classes] * work.moved / speed.bandwidth, 0)
    found: Column = tilings * factor + reorder + copies
    return found


def _alignment(sizes: Column) -> Column:
    """The largest of 8, 4, 2 and 1 that divides each size."""
    return np.select([sizes % 8 == 0, sizes % 4 == 0, sizes % 2 == 0], [8.0, 4.0, 2.0], 1.0)


def streams_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The milliseconds of kernels that stream."""
    classes = work.classes
    share, by_element, by_tap, by_line = (each[classes] for each in constants.of_streams(speed.tensor))
    lanes = speed.vector * speed.streaming / 2
    cycles = by_element + by_tap * work["taps"]
    lines = by_line * work["lines"] / (speed.units * speed.clock * speed.streaming)
    found = _slowest(
        work.moved / (speed.bandwidth * share),
        work["flops"] / (speed.vector * speed.streaming * constants.vector_share[classes]),
        cycles * work["elements"] / lanes,
        lines,
    )
    found = found + _copies_ms(work, speed, constants)
    walks = work.is_of("resample") & (work["planar"] > 0) & (work["flops"] > 0)
    if walks.any():
        positions = np.maximum(work["positions"], 1)
        steps = work["written"] / (speed.width * positions) * np.ceil(positions / (WALKERS * speed.units))
        found = np.where(walks, np.maximum(found, steps * constants.walk_step_us / 1e3), found)
    return found


def _copies_ms(work: Work, speed: GpuSpeed, constants: GpuConstants) -> Column:
    """The copies that kernels first make, each read and written, with the axes in another order."""
    own = CLASSES.index("copy_transposed")
    numbers = work["scratch"] / np.maximum(work["width"], 1)
    return _slowest(
        2 * work["scratch"] / (speed.bandwidth * constants.memory_share[own]),
        numbers * constants.element_cycles[own] / (speed.vector * speed.streaming / 2),
    )


def _slowest(*times: Column) -> Column:
    total = sum(time**SHARPNESS for time in times)
    found: Column = np.asarray(total, dtype=np.float64) ** (1 / SHARPNESS)
    return found


@cache
def fitted_constants() -> GpuConstants:
    """The constants that ship, from ``fitted/gpu.json``."""
    return read_constants(json.loads(FITTED.read_text(encoding="utf-8")))


def read_constants(content: Mapping[str, Any]) -> GpuConstants:
    """The constants of a JSON object."""
    plain = {name: {**content[name], **content.get(f"plain_{name}", {})} for name in PLAIN}
    return GpuConstants(
        tensor=TensorConstants(**content["tensor_products"]),
        vector=VectorConstants(**content["vector_products"]),
        **{f"plain_{name}": by_class(found, OTHERWISE[name]) for name, found in plain.items()},
        misaligned=dict(content["misaligned"]),
        generations=content.get("generations", {}),
        walk_step_us=content["walk_step_us"],
        **{name: by_class(content[name], otherwise) for name, otherwise in OTHERWISE.items()},
    )


def by_class(content: Mapping[str, float], otherwise: float) -> Column:
    """One number for each of CLASSES."""
    return np.array([content.get(name, otherwise) for name in CLASSES])
