"""Matrix products on the vector units of a GPU: the tilings that libraries have for them, and their rows.

A linear layer reads both operands along the inner size: each block of threads takes 8 numbers of each of its
rows at a time, and comes again for the next 8. Two things follow where rows are many and long. Blocks that
run at a time cover a part of the product only, so weights that the cache does not hold are read again for the
next part, a few bytes from each row; and rows that lie on more pages than a multiprocessor can translate
addresses of wait for each of them. Batches of products have one kernel, or a few, in each generation,
whatever their sizes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas_hardware.gpu_products import TILINGS, ProductConstants, Products, products_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nas_hardware.gpu_products import Tiling
    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

VOLTA, AMPERE = 70, 80
"""The compute capabilities that libraries have new kernels for."""
SPLITS = (1, 2, 4, 8, 16)
PASCAL_TILES = ((64, 64), (128, 32), (32, 128))
VOLTA_TILES = ((128, 128), (64, 128), *PASCAL_TILES, (32, 64), (32, 32))
"""Height and width of the tiles that kernels of linear layers have (cuBLAS 12.1, by their names)."""
BATCHED_TILES = {0: ((64, 128),), VOLTA: ((64, 64), (64, 128), (32, 128), (128, 32)), AMPERE: ((128, 128),)}
"""Those of batched products, by the least compute capability."""
IN_FLIGHT = 16384
"""Numbers of the result that the blocks of one multiprocessor work on at a time."""
TRANSLATED_BYTES = 16e6
"""What the rows of a multiprocessor may span without waiting for the translation of addresses, which long
rows on P100 look like: rounded by hand on them, as IN_FLIGHT on P4."""
READ_AT_A_TIME = 8
"""Numbers of a row that a block reads at a time."""
KEPT_SHARE = 0.5
"""Weights below this share of the cache stay there between parts of a product."""


@dataclass(frozen=True)
class VectorConstants(ProductConstants):
    """Constants of products on vector units: the share of the bandwidth that reads of a few bytes from each
    of many rows reach before Volta, and the cycles a multiprocessor waits for an address to be translated.

    Those of 3×3 convolutions by tiles (`nas_hardware.winograd`) are how much longer the products take in the
    one kernel and between the transforms, and the share of the bandwidth that the transforms reach.
    """

    in_registers: float = 1.5
    in_memory: float = 1.2
    transform_share: float = 0.5
    scattered_share: float = 0.25
    lookup_cycles: float = 12.0


def vector_products_ms(products: Products, speed: GpuSpeed, constants: VectorConstants) -> Column:
    """The milliseconds of linear layers and of batched products, of shape (n,), without their launch."""
    found = np.empty(products.rows.shape)
    batched = products.batch > 1
    if batched.any():
        found[batched] = products_ms(products.chosen(batched), speed, constants, batched_tilings(speed))
    if not batched.all():
        found[~batched] = _linear_ms(products.chosen(~batched), speed, constants)
    return found


def batched_tilings(speed: GpuSpeed) -> Sequence[Tiling]:
    """The tilings of batched products; any where the library is not known."""
    if not speed.capability:
        return TILINGS
    least = max(least for least in BATCHED_TILES if speed.capability >= least)
    return [(height, width, 1) for height, width in BATCHED_TILES[least]]


def linear_tilings(speed: GpuSpeed) -> Sequence[Tiling]:
    """The tilings of linear layers; any where the library is not known."""
    if not speed.capability:
        return TILINGS
    tiles = PASCAL_TILES if speed.capability < VOLTA else VOLTA_TILES
    return [(height, width, split) for height, width in tiles for split in SPLITS]


def _linear_ms(products: Products, speed: GpuSpeed, constants: VectorConstants) -> Column:
    def beyond(tiling: Tiling) -> Column:
        translated = _translated_ms(products, speed, constants, tiling)
        if speed.reads_a_line > 1:
            return translated
        return translated + _scattered_ms(products, speed, constants, tiling)

    return products_ms(products, speed, constants, linear_tilings(speed), beyond)


def _scattered_ms(products: Products, speed: GpuSpeed, constants: VectorConstants, tiling: Tiling) -> Column:
    """What reading operands takes beyond reading them once and in order: they are read again, since the
    blocks that run at a time cover a part of the product, all its columns first."""
    height, width, _ = tiling
    high, wide = np.ceil(products.rows / height), np.ceil(products.columns / width)
    at_a_time = speed.units * IN_FLIGHT / (height * width)
    across = np.minimum(wide, at_a_time)
    down = np.minimum(high, np.maximum(1, at_a_time / across))
    rows = (down * height + across * width) * high * wide / (down * across)
    operands = (products.rows + products.columns) * products.inner * speed.width
    weights = products.columns * products.inner * speed.width
    again = np.where(
        weights < KEPT_SHARE * speed.cache, 0, np.maximum(0, rows * products.inner * speed.width - operands)
    )
    first = np.maximum(0, operands - constants.resident_share * speed.cache)
    slower = 1 / constants.scattered_share - 1 / constants.memory_share
    found: Column = (again / constants.scattered_share + first * max(0.0, slower)) / speed.bandwidth
    return found


def _translated_ms(products: Products, speed: GpuSpeed, constants: VectorConstants, tiling: Tiling) -> Column:
    """The translation of addresses, for the part of the rows whose pages a multiprocessor does not know."""
    height, width, split = tiling
    blocks = np.ceil(products.rows / height) * np.ceil(products.columns / width) * split
    at_a_time = IN_FLIGHT / (height * width)
    rows = np.minimum(at_a_time * height, products.rows) + np.minimum(at_a_time * width, products.columns)
    unknown = np.maximum(0, 1 - TRANSLATED_BYTES / (rows * products.inner * speed.width))
    reads = np.ceil(products.inner / split / READ_AT_A_TIME) / speed.reads_a_line
    lookups = unknown * blocks * (height + width) * reads
    found: Column = lookups * constants.lookup_cycles / (speed.units * speed.clock)
    return found
