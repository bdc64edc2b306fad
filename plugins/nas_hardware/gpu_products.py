"""What matrix products take on a GPU: the best of many tilings, each bound by what it needs most.

A product of rows × inner times inner × columns is cut into tiles, one for each block of threads; so many
blocks run at a time as there are multiprocessors, so tiles come in waves. The time of a tiling is that of its
slowest resource (arithmetic at a share of the peak that falls with smaller tiles, traffic to memory, traffic
to the cache, the latency of the steps along the inner size); long inner sizes may be split over blocks. A
library picks the best tiling, and so does the model: with one set of constants for units of tensor cores and
one for vector units, everything follows from the datasheet, on a GPU never measured too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

TILES = (
    (256, 128),
    (128, 256),
    (128, 128),
    (128, 64),
    (64, 128),
    (64, 64),
    (128, 32),
    (32, 128),
    (64, 32),
    (32, 64),
    (32, 32),
    (16, 64),
)
SPLITS = (1, 4, 16)
"""Into how many parts the inner size is cut."""
Tiling = tuple[int, int, int]
"""Height and width of a tile, and into how many parts the inner size is cut."""
TILINGS: tuple[Tiling, ...] = tuple((*tile, split) for tile in TILES for split in SPLITS)
TENSOR_CONVOLUTIONS, VECTOR_CONVOLUTIONS = (
    tuple((height, width, 1) for height, width in TILES if height * width >= least)
    for least in (64 * 64, 64 * 32)
)
"""The tilings that convolutions have on tensor cores and on vector units: their kernels are written for large
tiles and go through the whole inner size. At batch 1, where a map is a few tiles, most of a large GPU waits
for them. The smallest tiles were rounded by hand as `nas_hardware.assumptions.STEP_US` was."""
SHOWN_STORES = 0.5
"""The share of a wave's stores that the next wave does not hide; the last one hides none. Rounded by hand
between products alone, which hide less, and networks, which hide more."""
SHARPNESS = 4
"""How sharply the slowest resource decides: the power of the mean over resources."""


@dataclass(frozen=True)
class ProductConstants:
    """Constants of the model of matrix products, fitted once for all GPUs.

    Shares of the peak and of the bandwidth; bytes per cycle and
    multiprocessor that the cache delivers again and again, and for the first time; cycles to begin a kernel,
    of one step of 32 along the inner size, to add up a split, and of 64 numbers that a block writes at its
    end; how fast smaller tiles lose arithmetic; the share of the cache that holds operands where nobody says
    what lies there; the share of the bandwidth that a few blocks reach; operations at the peak for each byte
    that the cache delivers at least: a chip's cache grows with its matrix units, or neighbouring blocks share
    what they read.

    `compute_share` is that of tiles, and may exceed 1: waves overlap, where the model counts whole ones.
    """

    compute_share: float
    memory_share: float
    cache_bytes: float
    resident_bytes: float
    begin_cycles: float
    step_cycles: float
    store_cycles: float
    tile_loss: float
    resident_share: float
    few_blocks_share: float
    split_cycles: float
    cache_flops: float


@dataclass(frozen=True)
class TensorConstants(ProductConstants):
    """Constants of products on tensor cores, with the share of what the power limit leaves of the peak: it
    bounds every product, whatever its tiles reach."""

    power_share: float = 1.0


@dataclass(frozen=True)
class Products:
    """Matrix products as arrays of shape (n,), with the bytes each reads and writes in all, and how many of
    them lie in the cache, None where nobody knows."""

    batch: Column
    rows: Column
    columns: Column
    inner: Column
    moved: Column
    resident: Column | None = None

    def chosen(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> Products:
        """Some of the products, by a mask or by their places."""
        resident = None if self.resident is None else self.resident[which]
        return Products(
            self.batch[which],
            self.rows[which],
            self.columns[which],
            self.inner[which],
            self.moved[which],
            resident,
        )


def products_ms(
    products: Products,
    speed: GpuSpeed,
    constants: ProductConstants,
    tilings: Sequence[Tiling] = TILINGS,
    beyond: Callable[[Tiling], Column] | None = None,
) -> Column:
    """The milliseconds of each product, of shape (n,), without its launch, by the best of some tilings;
    `beyond` is what the traffic of a tiling takes besides that of the operands and the result."""
    once = _memory_ms(products, speed, constants)
    powered = _powered_ms(products, speed, constants)
    best = np.full(products.rows.shape, np.inf)
    for tiling in tilings:
        memory = once if beyond is None else once + beyond(tiling)
        best = np.minimum(best, _tiling_ms(products, speed, constants, memory, powered, tiling))
    return best


def _tiling_ms(
    products: Products,
    speed: GpuSpeed,
    constants: ProductConstants,
    memory: Column,
    powered: Column,
    tiling: Tiling,
) -> Column:
    height, width, split = tiling
    blocks = np.ceil(products.rows / height) * np.ceil(products.columns / width) * products.batch * split
    inner = np.ceil(products.inner / split)
    steps = np.ceil(inner / 32)
    waves = _waves(blocks / speed.units)
    share = constants.compute_share * min(1.0, height * width / (height + width) / 64) ** constants.tile_loss
    compute = waves * 2 * height * width * steps * 32 / (speed.matrix * speed.burst / speed.units * share)
    latency = np.ceil(np.maximum(1, waves / 2)) * steps * constants.step_cycles / speed.clock
    by_clock = speed.units * speed.clock * constants.cache_bytes
    cache_speed = max(by_clock, speed.matrix / constants.cache_flops)
    cached = speed.width * blocks * (height + width) * inner / cache_speed
    few = constants.few_blocks_share
    traffic = memory / np.minimum(1, few + (1 - few) * np.minimum(1, blocks / speed.units))
    cycles = np.full_like(waves, constants.begin_cycles)
    if not speed.stores_meanwhile:
        shown = np.minimum(waves, 1 + SHOWN_STORES * (waves - 1))
        cycles = cycles + shown * height * width / 64 * constants.store_cycles
    if split > 1:
        traffic = traffic + 8 * products.rows * products.columns * products.batch * split / cache_speed
        cycles = cycles + constants.split_cycles
    resources = (compute, powered, cached, traffic, latency)
    slowest: Column = sum(time**SHARPNESS for time in resources) ** (1 / SHARPNESS)
    return slowest + cycles / speed.clock


def _powered_ms(products: Products, speed: GpuSpeed, constants: ProductConstants) -> Column:
    """The arithmetic of whole products at what the power limit leaves of tensor cores; vector units have it
    in their clock."""
    if not isinstance(constants, TensorConstants):
        return np.zeros(products.rows.shape)
    flops = 2 * products.batch * products.rows * products.columns * products.inner
    return flops / (speed.matrix * speed.sustained * constants.power_share)


def _waves(filled: Column) -> Column:
    """Waves of blocks: whole ones where there are few, an average tail where there are many."""
    return np.where(filled < 1, 1, np.where(filled > 6, filled + 0.35, np.ceil(filled)))


def _memory_ms(products: Products, speed: GpuSpeed, constants: ProductConstants) -> Column:
    """The traffic to memory; the part that still lies in the cache comes at the cache's speed."""
    reached = speed.bandwidth * constants.memory_share
    resident = products.resident
    if resident is None:
        resident = np.minimum(constants.resident_share * speed.cache, products.moved)
    cached = max(speed.units * speed.clock * constants.resident_bytes, reached)
    found: Column = (products.moved - resident) / reached + resident / cached
    return found
