"""Products on vector units: tiles of libraries, rows that are read again, addresses to be translated."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hardware_cases import constants, speed

from nas_hardware.gpu_products import TILINGS, Products, products_ms
from nas_hardware.gpu_speed import GpuSpeed
from nas_hardware.vector_products import (
    BATCHED_TILES,
    IN_FLIGHT,
    KEPT_SHARE,
    PASCAL_TILES,
    READ_AT_A_TIME,
    TRANSLATED_BYTES,
    VOLTA_TILES,
    batched_tilings,
    linear_tilings,
    vector_products_ms,
)

BY = constants().vector
GENERATIONS = ["", "sm61", "sm70", "sm75", "sm80", "sm90", "sm120"]


def on(generation: str = "sm61", **changes) -> GpuSpeed:
    """A device of round figures in single precision."""
    return speed(**{"matrix": 10e9, "tensor": False, "width": 4, "generation": generation, **changes})


def products(rows=1, columns=1, inner=1, batch=1, moved=None) -> Products:
    sizes = [np.atleast_1d(np.asarray(n, dtype=float)) for n in (batch, rows, columns, inner)]
    batch, rows, columns, inner = np.broadcast_arrays(*sizes)
    once = 4.0 * batch * (rows * inner + inner * columns + rows * columns)
    return Products(
        batch, rows, columns, inner, once if moved is None else np.broadcast_to(moved, once.shape)
    )


def taken(*sizes, device=None, by=BY, **named) -> np.ndarray:
    return vector_products_ms(products(*sizes, **named), device or on(), by)


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_library_has_a_few_tiles_for_a_batch_and_does_not_split_them(generation):
    found = batched_tilings(on(generation))
    if not generation:
        assert found == TILINGS
        return
    assert {split for _, _, split in found} == {1}
    least = max(least for least in BATCHED_TILES if int(generation[2:]) >= least)
    assert {(height, width) for height, width, _ in found} == set(BATCHED_TILES[least])


def test_tiles_of_linear_layers_came_with_volta():
    assert linear_tilings(on("")) == TILINGS
    pascal, volta = ({tiling[:2] for tiling in linear_tilings(on(name))} for name in ("sm61", "sm70"))
    assert pascal == set(PASCAL_TILES)
    assert volta == set(VOLTA_TILES) > pascal
    assert {split for _, _, split in linear_tilings(on("sm61"))} == {1, 2, 4, 8, 16}


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_batch_takes_the_best_of_its_tiles(generation):
    many = products(196, 196, 64, batch=48)
    expected = products_ms(many, on(generation), BY, batched_tilings(on(generation)))
    assert vector_products_ms(many, on(generation), BY) == pytest.approx(expected)


def test_narrow_products_of_a_batch_fill_wide_tiles_badly():
    """On Ampere a batch of products with 16 columns takes as long as one with 128."""
    only_compute = replace(BY, begin_cycles=0.0, store_cycles=0.0, step_cycles=0.0)
    narrow, wide = (
        taken(128, columns, 512, batch=1000, moved=0.0, device=on("sm80"), by=only_compute)
        for columns in (16, 128)
    )
    assert narrow == pytest.approx(wide)
    quicker = taken(128, 16, 512, batch=1000, moved=0.0, device=on("sm75"), by=only_compute)
    assert quicker < 0.7 * narrow


def test_a_layer_of_one_tile_reads_its_operands_slowly_before_volta():
    """4 × 200 MB at a quarter of the bandwidth where half is reached in order; a tenth of the cache of 10 MB
    holds a part."""
    quick = replace(BY, begin_cycles=0.0, store_cycles=0.0, step_cycles=0.0, lookup_cycles=0.0)
    device = on(matrix=1e15)
    columns, inner = 200_000, 1000
    (found,) = taken(32, columns, inner, device=device, by=quick)
    operands = 4 * (32 + columns) * inner - BY.resident_share * 10e6
    (written,) = 4 * 32 * columns / 0.5e9 * np.ones(1)
    assert found == pytest.approx(operands / 0.25e9 + written, rel=0.01)
    later = taken(32, columns, inner, device=replace(device, generation="sm70"), by=quick)
    assert later == pytest.approx([operands / 0.5e9 + written], rel=0.01)


def test_weights_that_the_cache_does_not_hold_are_read_again_for_each_part():
    """On one multiprocessor 4 tiles of 128 × 32 run at a time, side by side: once for each 128 rows."""
    nothing = dict.fromkeys(
        ("begin_cycles", "store_cycles", "step_cycles", "lookup_cycles", "tile_loss"), 0.0
    )
    quick = replace(BY, cache_bytes=1e9, **nothing)
    device = on(matrix=1e15, units=1.0, cache=1.0)
    few, many = (float(taken(rows, 4096, 4096, device=device, by=quick)[0]) for rows in (4096, 8192))
    at_a_time = IN_FLIGHT / (128 * 32)
    weights, inputs = (4096 / 128) * 4096 * 4096 * 4, 4096 / (32 * at_a_time) * 4096 * 4096 * 4
    assert many - few == pytest.approx((weights + inputs) / 0.25e9, rel=0.1)
    held = replace(device, cache=4096 * 4096 * 4 / KEPT_SHARE * 1.01)
    assert float(taken(8192, 4096, 4096, device=held, by=quick)[0]) < many / 4


def test_long_rows_wait_for_their_addresses():
    """Below what a multiprocessor translates none waits; far above each read of 8 numbers does."""
    quick = replace(BY, begin_cycles=0.0, store_cycles=0.0, step_cycles=0.0)
    free = replace(quick, lookup_cycles=0.0)
    for inner, waits in ((1024, False), (2**19, True)):
        one = {"device": on("sm70"), "moved": 0.0}
        more = taken(4096, 4096, inner, by=quick, **one) - taken(4096, 4096, inner, by=free, **one)
        assert bool(more > 0) == waits
    rows = 2 * 128 * IN_FLIGHT / 128**2
    unknown = 1 - TRANSLATED_BYTES / (rows * 2**19 * 4)
    lookups = unknown * 32 * 32 * 256 * 2**19 / READ_AT_A_TIME / 4
    slow = replace(quick, lookup_cycles=1e6)
    (found,) = taken(4096, 4096, 2**19, by=slow, **one)
    assert found == pytest.approx(lookups * 1e6 / (100 * 1e6), rel=0.01)


def test_a_cache_of_lines_serves_four_reads_with_one_address():
    quick = replace(BY, lookup_cycles=1e6, scattered_share=BY.memory_share)
    (old,), (new,) = (
        taken(64, 64, 2**20, moved=0.0, by=quick, device=on(name, cache=1e12)) for name in ("sm61", "sm70")
    )
    assert 3.5 < old / new < 8
    assert on("sm61").reads_a_line == 1
    assert on("sm70").reads_a_line == on("").reads_a_line == 4


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    rows, columns, inner = (np.round(np.exp(rng.uniform(0, np.log(20000), 2000))) for _ in range(3))
    return [np.where(rng.random(2000) < 0.5, 1.0, 48.0), rows, columns, inner]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("place", range(1, 4), ids=["rows", "columns", "inner"])
def test_more_work_is_never_cheaper(drawn, generation, place):
    """Up to what is won where more blocks stream faster, or fill what runs at a time better."""

    def time(sizes):
        batch, rows, columns, inner = sizes
        return taken(rows, columns, inner, batch, device=on(generation))

    grown = [size * 4 if index == place else size for index, size in enumerate(drawn)]
    assert (time(grown) >= time(drawn) * 0.97).all()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_nothing_is_faster_than_light(drawn, generation):
    batch, rows, columns, inner = drawn
    light = 2 * batch * rows * columns * inner / (10e9 * BY.compute_share)
    assert (taken(rows, columns, inner, batch, device=on(generation)) >= light * (1 - 1e-9)).all()


@pytest.mark.parametrize("name", ["matrix", "bandwidth", "cache", "clock", "burst"])
@pytest.mark.parametrize("generation", ["", "sm61", "sm80"])
def test_a_faster_device_is_never_slower(drawn, generation, name):
    batch, rows, columns, inner = drawn
    device = on(generation)
    before = taken(rows, columns, inner, batch, device=device)
    after = taken(rows, columns, inner, batch, device=replace(device, **{name: 2 * getattr(device, name)}))
    assert (after <= before * (1 + 1e-9)).all()
    assert after.sum() < before.sum()


def test_constants_that_cost_more_cost_more(drawn):
    batch, rows, columns, inner = drawn
    for name, values in (("lookup_cycles", (0.0, 10.0, 100.0)), ("scattered_share", (0.5, 0.25, 0.1))):
        times = [taken(rows, columns, inner, batch, by=replace(BY, **{name: value})) for value in values]
        assert all((less <= more * (1 + 1e-9)).all() for less, more in pairwise(times))
        assert times[0].sum() < times[-1].sum()


def test_vector_units_have_the_power_limit_in_their_clock_alone(drawn):
    """`burst` is that clock; what the limit leaves of matrix units does not bind them besides."""
    batch, rows, columns, inner = drawn
    before = taken(rows, columns, inner, batch, device=on("sm80"))
    assert taken(rows, columns, inner, batch, device=on("sm80", sustained=0.1)).tolist() == before.tolist()
    slower = taken(rows, columns, inner, batch, device=on("sm80", burst=0.5))
    assert (slower >= before).all()
    assert slower.sum() > 1.5 * before.sum()


def test_each_product_is_priced_by_itself(drawn):
    batch, rows, columns, inner = (size[:20] for size in drawn)
    together = taken(rows, columns, inner, batch)
    alone = [float(taken(*sizes)[0]) for sizes in zip(rows, columns, inner, batch, strict=True)]
    assert together.tolist() == pytest.approx(alone)


def test_no_products_take_no_time():
    assert taken(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)
