"""3×3 convolutions on vector units, which libraries compute with fewer multiplications (arXiv:1509.09308).

A tile of m × m outputs takes (m + 2)² multiplications for each pair of channels where the plain way takes
9 m². One kernel does so with tiles of 2 × 2, all in registers; with tiles of 4 × 4 three do, and the
transformed images pass through memory in between. Which way is quickest depends on the sizes: a library tries
or guesses, the model takes the least. Neither is used on matrix units, whose products are cheaper than that
traffic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas_hardware.gpu_products import VECTOR_CONVOLUTIONS, Products, products_ms
from nas_hardware.vector_products import AMPERE, VectorConstants, batched_tilings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas_hardware.gpu_speed import GpuSpeed

    Column = NDArray[np.float64]

TAPS = 9
SMALL, LARGE = 16, 36
"""Multiplications of a tile of 2 × 2 and of 4 × 4 outputs."""


def convolutions_ms(
    direct: Products, tiles: tuple[Column, Column], speed: GpuSpeed, constants: VectorConstants
) -> Column:
    """The milliseconds of convolutions, of shape (n,), without launch: the quickest of the three ways.

    `direct` are the products of the plain way, `tiles` how many of 2 × 2 and of 4 × 4 outputs there are, 0
    where a convolution cannot be computed so.
    """
    quickest = products_ms(direct, speed, constants, VECTOR_CONVOLUTIONS)
    for find, count in ((_in_registers_ms, tiles[0]), (_in_memory_ms, tiles[1])):
        some = count > 0
        if some.any():
            parts = Products(
                direct.batch[some], count[some], direct.columns[some], direct.inner[some], direct.moved[some]
            )
            quickest[some] = np.minimum(quickest[some], find(parts, speed, constants))
    return quickest


def _in_registers_ms(tiles: Products, speed: GpuSpeed, constants: VectorConstants) -> Column:
    inner = SMALL * tiles.inner / TAPS
    products = Products(tiles.batch, tiles.rows, tiles.columns, inner, tiles.moved)
    return products_ms(products, speed, constants, VECTOR_CONVOLUTIONS) * constants.in_registers


def _in_memory_ms(tiles: Products, speed: GpuSpeed, constants: VectorConstants) -> Column:
    channels = tiles.inner / TAPS
    read, written = tiles.rows * channels, tiles.rows * tiles.columns
    transformed = speed.width * LARGE * (read + channels * tiles.columns + written)
    products = Products(np.full_like(channels, LARGE), tiles.rows, tiles.columns, channels, transformed)
    transforms = (tiles.moved + transformed) / (speed.bandwidth * constants.transform_share)
    tilings = batched_tilings(speed) if speed.capability >= AMPERE else VECTOR_CONVOLUTIONS
    multiplied = products_ms(products, speed, constants, tilings) * constants.in_memory
    return multiplied + transforms + 2 * speed.launch
