"""Convolutions by tiles: what they save, where they do not pay, and that they are 3×3 without a stride."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hardware_cases import constants, speed
from torch import nn

from nas.costs.trace import trace
from nas_hardware.gpu_kernels import kernels_ms
from nas_hardware.gpu_products import TENSOR_CONVOLUTIONS, VECTOR_CONVOLUTIONS, Products, products_ms
from nas_hardware.vector_products import VectorConstants, batched_tilings
from nas_hardware.winograd import convolutions_ms
from nas_hardware.work import Work, work_of

VECTOR = speed(tensor=False, matrix=10e9, width=4)


def work(channels: int = 64, extent: int = 56, images: int = 32, **options) -> Work:
    module = nn.Conv2d(channels, channels, **{"kernel_size": 3, "padding": 1, "bias": False, **options})
    return work_of(trace(module, (channels, extent, extent), images, "fp32").operators)


def products(found: Work) -> Products:
    return Products(*(found[name] for name in ("batch", "rows", "columns", "inner")), found.moved)


def plain_ms(found: Work) -> float:
    return float(products_ms(products(found), VECTOR, constants().vector, VECTOR_CONVOLUTIONS)[0])


def by_tiles_ms(found: Work, by: VectorConstants | None = None) -> float:
    tiles = found["tiles_2"], found["tiles_4"]
    return float(convolutions_ms(products(found), tiles, VECTOR, by or constants().vector)[0])


def test_outputs_fall_into_tiles():
    found = work(extent=14, images=2)
    assert (found["tiles_2"][0], found["tiles_4"][0]) == (2 * 7 * 7, 2 * 4 * 4)
    odd = work(extent=7, images=1)
    assert (odd["tiles_2"][0], odd["tiles_4"][0]) == (4 * 4, 2 * 2)


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2},
        {"dilation": 2},
        {"groups": 2},
        {"kernel_size": 1},
        {"kernel_size": 5},
        {"kernel_size": (3, 1)},
        {"kernel_size": (1, 3)},
    ],
    ids=str,
)
def test_other_convolutions_are_computed_the_plain_way(options):
    found = work(**options)
    assert (found["tiles_2"][0], found["tiles_4"][0]) == (0, 0)
    assert by_tiles_ms(found) == plain_ms(found)


@pytest.mark.parametrize("module", [nn.Conv1d(8, 8, 3), nn.Conv3d(8, 8, 3), nn.ConvTranspose2d(8, 8, 3)])
def test_so_are_those_of_other_dimensions_and_transposed_ones(module):
    axes = {nn.Conv1d: 1, nn.Conv3d: 3}.get(type(module), 2)
    found = work_of(trace(module, (8, *[9] * axes), 2, "fp32").operators)
    assert (found["tiles_2"][0], found["tiles_4"][0]) == (0, 0)


def test_many_channels_save_up_to_the_multiplications_that_tiles_save():
    """36 of 144 with tiles of 4 × 4; with few channels the transforms eat it up."""
    saved = {channels: plain_ms(work(channels)) / by_tiles_ms(work(channels)) for channels in (16, 64, 512)}
    assert 1 <= saved[16] < saved[512]
    assert 2 < saved[512] <= 4


def test_the_quickest_way_is_taken():
    by = constants().vector
    found = work(256)
    hopeless = replace(by, in_registers=1e9, in_memory=1e9)
    assert by_tiles_ms(found, hopeless) == plain_ms(found)
    one_kernel, three = replace(by, in_memory=1e9), replace(by, in_registers=1e9)
    assert by_tiles_ms(found, by) == min(by_tiles_ms(found, one_kernel), by_tiles_ms(found, three))


def test_a_map_that_a_tile_overhangs_saves_less():
    def saved(extent: int) -> float:
        found = work(512, extent)
        return plain_ms(found) / by_tiles_ms(found)

    assert saved(5) < saved(8)


def test_the_transforms_are_traffic():
    found = work(256)
    by = replace(constants().vector, in_registers=1e9)
    slow, quick = (by_tiles_ms(found, replace(by, transform_share=share)) for share in (0.3, 0.6))
    assert slow > quick


def test_more_work_is_never_cheaper():
    by_batch = [by_tiles_ms(work(images=images)) for images in (1, 2, 8, 64, 256)]
    by_width = [by_tiles_ms(work(channels)) for channels in (8, 32, 64, 128, 512)]
    for times in (by_batch, by_width):
        assert all(less <= more * (1 + 1e-9) for less, more in pairwise(times))


def test_several_at_once_are_each_as_if_alone():
    parts = [work(16), work(512, 7), work(stride=2)]
    together = Work(*(np.concatenate([getattr(p, f) for p in parts]) for f in ("classes", "values", "moved")))
    tiles = together["tiles_2"], together["tiles_4"]
    found = convolutions_ms(products(together), tiles, VECTOR, constants().vector)
    assert found.tolist() == pytest.approx([by_tiles_ms(part) for part in parts])


def test_matrix_units_compute_the_plain_way():
    found = work(512)
    half = speed()
    expected = products_ms(products(found), half, constants().tensor, TENSOR_CONVOLUTIONS)
    by = constants(reorder={})
    assert kernels_ms(found, half, by) == pytest.approx(expected)
    assert kernels_ms(found, VECTOR, by) == pytest.approx([by_tiles_ms(found)])


def test_products_between_transforms_are_batches_of_the_library_since_ampere():
    """Tiles of 128 × 128 only: a map of 7 × 7 at batch 1 fills 4 rows of each."""
    found = work(512, 7, images=1)
    by = replace(constants().vector, in_registers=1e9)
    tiles = found["tiles_2"], found["tiles_4"]
    old, new = (
        float(convolutions_ms(products(found), tiles, replace(VECTOR, generation=name), by)[0])
        for name in ("sm75", "sm80")
    )
    assert new > old
    assert {tiling[:2] for tiling in batched_tilings(replace(VECTOR, generation="sm80"))} == {(128, 128)}
