"""Matrix products on GPUs: closed forms at both ends, waves of tiles, split inner sizes, growth."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hardware_cases import constants, speed

from nas_hardware.gpu_products import (
    SHARPNESS,
    SHOWN_STORES,
    TENSOR_CONVOLUTIONS,
    TILES,
    TILINGS,
    VECTOR_CONVOLUTIONS,
    Products,
    products_ms,
)

TENSOR = constants().tensor
PLAIN = replace(TENSOR, power_share=1e9, store_cycles=0.0)
"""Without a limit of power, and with stores that take nothing."""


def taken(rows=1, columns=1, inner=1, batch=1, moved=0.0, on=None, by=TENSOR, tilings=None, resident=None):
    """The milliseconds of products; without traffic to memory where `moved` is not given."""
    sizes = np.broadcast_arrays(
        *(np.asarray(n, dtype=np.float64) for n in (batch, rows, columns, inner, moved))
    )
    known = None if resident is None else np.broadcast_to(float(resident), np.atleast_1d(sizes[0]).shape)
    products = Products(*(np.atleast_1d(size) for size in sizes), resident=known)
    return products_ms(products, on or speed(), by, TILINGS if tilings is None else tilings)


def traffic(batch, rows, columns, inner):
    return 2.0 * batch * (rows * inner + inner * columns + rows * columns)


def test_a_large_product_runs_at_its_share_of_the_peak():
    (found,) = taken(40960, 40960, 4096, by=PLAIN)
    flops = 2 * 40960**2 * 4096
    assert found == pytest.approx(flops / (100e9 * TENSOR.compute_share), rel=0.03)


def test_the_power_limit_bounds_large_products_whatever_their_tiles_reach():
    quick = replace(PLAIN, compute_share=3.0, power_share=0.9)
    (found,) = taken(40960, 40960, 4096, by=quick)
    assert found == pytest.approx(2 * 40960**2 * 4096 / (100e9 * 0.9), rel=0.03)


def test_a_peak_that_is_not_sustained_is_not_reached():
    large, throttled = (
        taken(40960, 40960, 4096, by=quick, on=speed(sustained=sustained, burst=burst))
        for quick in [replace(PLAIN, power_share=0.5)]
        for sustained, burst in ((1.0, 1.0), (0.5, 1.0))
    )
    assert throttled == pytest.approx(2 * large, rel=0.1)


def test_a_burst_is_over_before_the_limit_is_felt():
    """One tile on one of many multiprocessors: no power to speak of, and the clock of the burst."""
    one = {"rows": 128, "columns": 128, "inner": 32, "tilings": [(128, 128, 1)]}
    free = replace(TENSOR, begin_cycles=0.0, step_cycles=0.0, store_cycles=0.0)
    (slow,) = taken(**one, by=free, on=speed(sustained=0.5, burst=0.5))
    (quick,) = taken(**one, by=free, on=speed(sustained=0.5, burst=1.0))
    assert slow == pytest.approx(2 * quick, rel=0.01)


def test_stores_of_the_last_wave_show_and_a_part_of_the_others():
    """Tiles of 64 × 64 on 100 multiprocessors: 64 times 64 numbers each."""
    arithmetic = {"columns": 64, "inner": 32, "tilings": [(64, 64, 1)]}
    free = replace(PLAIN, begin_cycles=0.0)
    storing = replace(free, store_cycles=10.0)
    for waves, shown in ((1, 1.0), (4, 1 + SHOWN_STORES * 3)):
        rows = 64 * 100 * waves
        more = taken(rows, **arithmetic, by=storing) - taken(rows, **arithmetic, by=free)
        assert more == pytest.approx([shown * 64 * 10 / 1e6])


def test_chips_that_copy_tiles_by_themselves_hide_their_stores():
    free = replace(TENSOR, store_cycles=0.0)
    assert taken(6400, 64, 32, on=speed(generation="sm90")) == taken(6400, 64, 32, by=free)
    assert taken(6400, 64, 32) > taken(6400, 64, 32, by=free)


def test_a_product_that_streams_takes_its_share_of_the_bandwidth():
    moved = 2.0 * 8_000_000_000
    (found,) = taken(16, 1_000_000, 8, moved=moved)
    begin = TENSOR.begin_cycles / 1e6
    rest = 1 - TENSOR.resident_share * 10e6 / moved
    assert found - begin == pytest.approx(moved * rest / (1e9 * TENSOR.memory_share), rel=0.01)


def test_what_is_known_to_lie_in_the_cache_comes_at_its_speed():
    """64 bytes a cycle on each of 100 multiprocessors, against half of 1 TB/s."""
    moved = 2.0 * 8_000_000_000
    times = [
        taken(16, 1_000_000, 8, moved=moved, by=PLAIN, resident=resident)[0] - TENSOR.begin_cycles / 1e6
        for resident in (0.0, moved)
    ]
    assert times == pytest.approx([moved / 0.5e9, moved / (64 * 100 * 1e6)], rel=0.02)
    guessed = taken(16, 1_000_000, 8, moved=moved)
    assert guessed == taken(16, 1_000_000, 8, moved=moved, resident=TENSOR.resident_share * 10e6)


def test_what_fits_into_the_cache_comes_faster():
    small = replace(TENSOR, begin_cycles=0.0)
    times = [
        float(taken(2048, 2048, 1, moved=5e5, by=small, on=speed(cache=cache))[0]) for cache in (1e5, 1e8)
    ]
    assert times[1] < times[0]


def test_chips_with_quicker_matrix_units_have_quicker_caches():
    """64 bytes a cycle and multiprocessor are few for them; a byte for each 20 operations is not."""
    fed, starved = replace(TENSOR, cache_flops=20.0), replace(TENSOR, cache_flops=1e9)
    for matrix, is_quicker in ((100e9, False), (1000e9, True)):
        times = [taken(40960, 40960, 4096, by=by, on=speed(matrix=matrix)) for by in (fed, starved)]
        assert bool(times[0] < 0.99 * times[1]) == is_quicker


def test_the_smallest_product_begins_and_takes_one_step():
    """One block of 32 × 32, at a quarter of the share of large tiles, and the latency of its only step."""
    arithmetic = 2 * 32 * 32 * 32 / (1e9 * TENSOR.compute_share / 4)
    latency = TENSOR.step_cycles / 1e6
    expected = TENSOR.begin_cycles / 1e6 + (arithmetic**SHARPNESS + latency**SHARPNESS) ** (1 / SHARPNESS)
    assert taken(by=PLAIN) == pytest.approx([expected], rel=1e-3)


def test_one_more_tile_than_multiprocessors_costs_another_wave():
    """On 100 multiprocessors, tiles of 128 × 128; inner sizes of one step cannot be split."""
    only_compute = replace(PLAIN, begin_cycles=0.0, step_cycles=0.0, cache_bytes=1e9, tile_loss=8.0)
    tiles = 128 * np.array([99, 100, 101, 200, 201, 300])
    wave = 2 * 128 * 128 * 32 / (1e9 * TENSOR.compute_share)
    assert taken(tiles, 128, 32, by=only_compute) == pytest.approx(np.array([1, 1, 2, 2, 3, 3]) * wave)


def test_many_waves_have_an_average_tail():
    only_compute = replace(TENSOR, begin_cycles=0.0, step_cycles=0.0, cache_bytes=1e9, tile_loss=4.0)
    rows = 256 * np.array([2000, 2001, 2100])
    times = taken(rows, 128, 4096, by=only_compute)
    assert times[1] / times[0] == pytest.approx(2001 / 2000, rel=1e-3)
    assert times[2] / times[0] == pytest.approx(21 / 20, rel=1e-3)


def test_splits_help_long_inner_sizes_alone():
    """A small output with a long inner size: one block would walk 2048 steps."""
    on = speed(matrix=1e15)
    (long,) = taken(64, 64, 65536, on=on)
    walked = 2048 * TENSOR.step_cycles / 1e6
    assert long < walked / 8
    assert taken(64, 64, 32)[0] > TENSOR.step_cycles / 1e6 + TENSOR.begin_cycles / 1e6
    unsplit = replace(TENSOR, split_cycles=1e9)
    assert taken(64, 64, 65536, on=on, by=unsplit)[0] >= walked
    assert taken(64, 64, 32, by=unsplit) == pytest.approx(taken(64, 64, 32), rel=1e-9)


def test_few_blocks_do_not_reach_the_bandwidth():
    moved = 1e7
    few, many = taken(16, 64, 1, moved=moved)[0], taken(16, 64 * 200, 1, moved=moved)[0]
    assert few > 1.5 * many
    all_of_it = replace(TENSOR, few_blocks_share=1.0)
    assert taken(16, 64, 1, moved=moved, by=all_of_it)[0] < few


def test_smaller_tiles_lose_arithmetic():
    """On units that need large tiles, a narrow product takes longer for each FLOP than a square one."""
    narrow, square = taken(2**20, 32, 4096)[0] / 32, taken(2**16, 512, 4096)[0] / 32
    assert narrow > square
    indifferent = replace(TENSOR, tile_loss=0.0, cache_bytes=1e9, step_cycles=0.0)
    narrow, square = (taken(r, c, 4096, by=indifferent)[0] for r, c in ((2**20, 32), (2**16, 512)))
    assert narrow == pytest.approx(square, rel=0.02)


def test_a_batch_is_so_many_tiles():
    """Products of whole tiles: it does not matter whether rows or the batch hold them."""
    one = taken(256 * 500, 128, 1024)
    assert taken(256, 128, 1024, batch=500) == pytest.approx(one)
    assert (taken(257, 128, 1024, batch=500) > 1.1 * one).all()


def test_the_slowest_resource_decides_sharply():
    """Never less than any resource alone, at most the fourth root of four above the slowest."""
    sizes = (4096, 4096, 4096)
    moved = 1e9
    whole = float(taken(*sizes, moved=moved)[0])
    alone = max(float(taken(*sizes)[0]), float(taken(*sizes, moved=moved, on=speed(matrix=1e15))[0]))
    assert alone <= whole <= alone * 2 ** (1 / SHARPNESS) * 1.01


@pytest.fixture(scope="module")
def drawn() -> list[np.ndarray]:
    rng = np.random.default_rng(7)
    return [np.round(np.exp(rng.uniform(0, np.log(most), 2000))) for most in (64, 20000, 4096, 4096)]


DEVICES = {"half": speed(), "single": speed(matrix=10e9, tensor=False, width=4), "small": speed(units=8.0)}


@pytest.mark.parametrize("on", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("place", range(4), ids=["batch", "rows", "columns", "inner"])
def test_more_work_is_never_cheaper(drawn, on, place):
    """Up to what is won where more blocks stream faster: one row more may begin a second row of blocks."""

    def time(sizes):
        batch, rows, columns, inner = sizes
        return taken(rows, columns, inner, batch, traffic(*sizes), on=on)

    before = time(drawn)
    for grown, least in ((drawn[place] * 4, 1.0), (drawn[place] * 2, 0.97), (drawn[place] + 1, 0.9)):
        sizes = [grown if index == place else size for index, size in enumerate(drawn)]
        assert (time(sizes) >= before * least * (1 - 1e-9)).all()


@pytest.mark.parametrize("place", range(4), ids=["batch", "rows", "columns", "inner"])
def test_more_arithmetic_at_the_same_traffic_is_never_cheaper(drawn, place):
    """Without traffic to memory there is nothing that more blocks could make faster."""
    before = taken(drawn[1], drawn[2], drawn[3], drawn[0])
    sizes = [size + (index == place) for index, size in enumerate(drawn)]
    assert (taken(sizes[1], sizes[2], sizes[3], sizes[0]) >= before * (1 - 1e-9)).all()


def test_more_traffic_is_never_cheaper(drawn):
    batch, rows, columns, inner = drawn
    times = [taken(rows, columns, inner, batch, moved) for moved in (0.0, 1e3, 1e6, 2e6, 1e8)]
    assert all((less <= more).all() for less, more in pairwise(times))


@pytest.mark.parametrize("name", ["matrix", "bandwidth", "cache", "clock", "sustained", "burst"])
def test_a_faster_device_is_never_slower(drawn, name):
    batch, rows, columns, inner = drawn
    moved = traffic(*drawn)
    before = taken(rows, columns, inner, batch, moved)
    faster = speed(**{name: 2 * getattr(speed(), name)})
    after = taken(rows, columns, inner, batch, moved, on=faster)
    assert (after <= before * (1 + 1e-9)).all()
    assert after.sum() < before.sum()


def test_twice_the_device_is_never_slower(drawn):
    batch, rows, columns, inner = drawn
    moved = traffic(*drawn)
    after = taken(rows, columns, inner, batch, moved, on=speed(units=200.0, matrix=200e9, bandwidth=2e9))
    assert (after <= taken(rows, columns, inner, batch, moved) * (1 + 1e-9)).all()


def test_nothing_is_faster_than_light(drawn):
    batch, rows, columns, inner = drawn
    light = 2 * batch * rows * columns * inner / (100e9 * TENSOR.compute_share)
    assert (taken(rows, columns, inner, batch, traffic(*drawn)) >= light * (1 - 1e-9)).all()
    unbound = replace(TENSOR, compute_share=10.0)
    light = 2 * batch * rows * columns * inner / (100e9 * TENSOR.power_share)
    assert (taken(rows, columns, inner, batch, traffic(*drawn), by=unbound) >= light * (1 - 1e-9)).all()


def test_each_product_is_priced_by_itself(drawn):
    together = taken(*(size[:20] for size in (drawn[1], drawn[2], drawn[3], drawn[0])))
    for index in range(20):
        alone = taken(*(size[index] for size in (drawn[1], drawn[2], drawn[3], drawn[0])))
        assert alone == pytest.approx(together[index])


def test_no_products_take_no_time():
    assert taken(np.zeros(0), np.zeros(0), np.zeros(0)).shape == (0,)


def test_tiles_are_multiples_of_what_units_multiply():
    assert all(height % 16 == width % 16 == 0 for height, width in TILES)
    assert len(set(TILES)) == len(TILES)


@pytest.mark.parametrize(("found", "least"), [(TENSOR_CONVOLUTIONS, 4096), (VECTOR_CONVOLUTIONS, 2048)])
def test_convolutions_have_the_larger_tiles_and_go_through_the_whole_inner_size(found, least):
    assert set(found) < set(TILINGS)
    assert {split for _, _, split in found} == {1}
    assert min(height * width for height, width, _ in found) == least
    assert {(height, width) for height, width, _ in found} < set(TILES)


def test_fewer_tilings_are_never_quicker(drawn):
    batch, rows, columns, inner = drawn
    few, all_of_them = (
        taken(rows, columns, inner, batch, traffic(*drawn), tilings=tilings)
        for tilings in (TENSOR_CONVOLUTIONS, TILINGS)
    )
    assert (few >= all_of_them).all()
    assert (few > all_of_them).any()


def test_traffic_beyond_that_of_the_operands_is_traffic_of_its_tiling():
    """A tiling with much of it is not taken; alone it takes that long."""
    products = Products(*(np.array([n]) for n in (1.0, 256.0, 256.0, 256.0, 0.0)))
    tilings = [(128, 128, 1), (64, 64, 1)]

    def taken_by(*chosen):
        beyond = {tilings[0]: np.array([1e3]), tilings[1]: np.zeros(1)}.__getitem__
        return float(products_ms(products, speed(), TENSOR, chosen, beyond)[0])

    assert taken_by(*tilings) == taken_by(tilings[1]) == products_ms(products, speed(), TENSOR, tilings[1:])
    few = TENSOR.few_blocks_share + (1 - TENSOR.few_blocks_share) * 4 / 100
    assert taken_by(tilings[0]) == pytest.approx(1e3 / few, rel=0.01)


def test_one_tiling_is_itself():
    """4 × 2 tiles of 64 × 64 on 100 multiprocessors: one wave, bound by the arithmetic of one of them."""
    (found,) = taken(256, 128, 3200, tilings=[(64, 64, 1)])
    share = TENSOR.compute_share * 0.5**TENSOR.tile_loss
    alone = 2 * 64 * 64 * 3200 / (1e9 * share)
    assert found - TENSOR.begin_cycles / 1e6 == pytest.approx(alone, rel=0.1)
