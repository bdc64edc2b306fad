"""Kernels of GPUs by class: streams by hand, walks of resampling, what products take beside their tiling."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hardware_cases import CONTENT, Function, constants, operator, product, speed
from torch import nn
from torch.nn import functional as F

from nas.costs import resolve_target
from nas.costs.operators import Operator
from nas.costs.trace import trace
from nas_hardware.gpu_kernels import (
    FITTED,
    MATRIX_VECTOR_SHARE,
    OTHERWISE,
    PLAIN,
    SIBLINGS,
    WALKERS,
    fitted_constants,
    kernels_ms,
)
from nas_hardware.gpu_products import TENSOR_CONVOLUTIONS, Products, products_ms
from nas_hardware.gpu_speed import gpu_speed
from nas_hardware.vector_products import vector_products_ms
from nas_hardware.work import CLASSES, work_of


def of(*operators: Operator, by=None, on=None) -> np.ndarray:
    return kernels_ms(work_of(operators), on or speed(), by or constants())


def test_streams_take_their_share_of_the_bandwidth():
    found = of(operator("pointwise", read=4_000_000, written=4_000_000), operator("norm", read=1_000_000))
    assert found == pytest.approx([8e6 / (1e9 * 0.8), 1e6 / (1e9 * 0.5)])


def test_streams_with_much_arithmetic_take_their_share_of_the_vector_units():
    pool = operator("pool", flops=10**9, read=10, window=9)
    gelu = operator("pointwise", flops=10**9, read=10)
    assert of(pool, gelu) == pytest.approx([1e9 / (10e9 * 0.25), 1e9 / (10e9 * 0.5)])
    assert of(pool, gelu, on=speed(streaming=0.5)) == pytest.approx(2 * of(pool, gelu))


def depthwise(side: int = 3, images: int = 8, channels: int = 16, extent: int = 14, **options) -> Operator:
    module = nn.Conv2d(channels, channels, side, padding=side // 2, groups=channels, bias=False)
    return trace(module, (channels, extent, extent), images, "fp16", **options).operators[0]


@pytest.mark.parametrize("side", [3, 5, 7, 9])
def test_depthwise_kernels_take_cycles_for_every_tap(side):
    """16 channels are too few for the library. A lane does two operations a cycle: 5 · 10⁹ lane cycles."""
    elements = 8 * 16 * 14 * 14
    expected = elements * (10 + 20 * side**2) / 5e9
    assert of(depthwise(side), on=speed(bandwidth=1e15, vector=10e9)) == pytest.approx([expected], rel=1e-3)


def test_taps_take_other_cycles_without_matrix_units():
    """Numbers in half precision are converted tap by tap."""
    plain = replace(depthwise(7), width=4)
    on = speed(bandwidth=1e15, vector=10e9, tensor=False)
    assert of(plain, on=on) == pytest.approx([8 * 16 * 14 * 14 * (30 + 15 * 49) / 5e9], rel=1e-3)


def test_the_library_has_quicker_depthwise_kernels():
    assert of(depthwise(channels=64)) < of(depthwise(7, channels=64)) / 2
    plain = replace(depthwise(channels=64), width=4)
    assert of(plain) > 2 * of(depthwise(channels=64))


def test_a_norm_finds_the_moments_of_its_lines_one_by_one():
    """100 multiprocessors at 10⁶ cycles a millisecond."""
    short = operator("norm", read=10, elements=10**6, normalized=10)
    assert of(short) == pytest.approx([10**5 * 400 / (100 * 1e6)])
    assert of(replace(short, dims=())) < 1e-6


def test_what_lies_differently_takes_an_address_for_every_element():
    alike, spread = (operator("pointwise", read=10, elements=10**6, order=o) for o in ("alike", "spread"))
    assert of(spread) == pytest.approx([10**6 * 50 / 5e9])
    assert of(alike) < 1e-6


def test_what_a_kernel_copies_first_comes_on_top():
    """Read and written at 80 % of the bandwidth, with 100 cycles for every number: the slower of the two."""
    norm = operator("norm", read=10**6)
    copying = replace(norm, scratch_bytes=10**6)
    assert of(copying, on=speed(vector=1e15)) - of(norm) == pytest.approx([2e6 / 0.8e9])
    assert of(copying, on=speed(bandwidth=1e15)) == pytest.approx([5e5 * 100 / 5e9])


def test_compilers_choose_how_tensors_lie():
    parts = [
        operator("pointwise", read=1000, elements=500, order="transposed"),
        operator("norm", read=1000, elements=500, normalized=5, scratch=1000),
        operator("copy", read=1000, elements=500, order="transposed"),
        depthwise(7),
    ]
    eager, compiled = work_of(parts), work_of(parts, eager=False)
    times = [kernels_ms(work, speed(), constants()) for work in (eager, compiled)]
    assert (times[1] <= times[0]).all()
    assert (times[1][1:] < times[0][1:]).all()


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    "module", [nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 1), nn.Conv2d(16, 16, 3, groups=16)]
)
def test_compiled_networks_take_the_same_in_either_layout(layout, module):
    found = trace(module, (16, 14, 14), 8, "fp16", layout).operators
    planar = trace(module, (16, 14, 14), 8, "fp16").operators
    times = [kernels_ms(work_of(some, eager=False), speed(), constants()) for some in (found, planar)]
    assert times[0] == pytest.approx(times[1], rel=0.2)


def test_bandwidth_does_not_depend_on_the_clock_under_load():
    stream = operator("pointwise", read=10**6)
    assert of(stream, on=speed(streaming=0.5, sustained=0.5)) == of(stream)


def test_what_a_runtime_still_moves_counts():
    stream = operator("pointwise", read=10**6)
    assert kernels_ms(work_of([stream], [0]), speed(), constants()) == [0]


@pytest.mark.parametrize("generation", ["", "sm61", "sm80"])
@pytest.mark.parametrize("tensor", [True, False])
@pytest.mark.parametrize("kind", ["gemm", "bmm", "sdpa"])
def test_products_take_the_constants_and_tilings_of_their_units(kind, tensor, generation):
    """Fused attention is written for its tiles, whatever libraries have for batches of products."""
    one = product(1000, 512, 304, batch=1 if kind == "gemm" else 3, kind=kind)
    on, by = speed(tensor=tensor, generation=generation), constants()
    names = ("batch", "rows", "columns", "inner")
    found = Products(
        *(np.array([float(n)]) for n in (*(one.dim(name) or 1 for name in names), one.bytes_moved))
    )
    if tensor:
        expected = products_ms(found, on, by.tensor)
    elif kind == "sdpa":
        expected = products_ms(found, on, by.vector)
    else:
        expected = vector_products_ms(found, on, by.vector)
    assert of(one, on=on) == pytest.approx(expected)
    assert of(one, on=on) != of(one, on=speed(tensor=not tensor, generation=generation))


def convolved(one, on=None):
    """The milliseconds of a product by the tilings that convolutions have."""
    on = on or speed()
    names = ("batch", "rows", "columns", "inner")
    columns = [np.array([float(n)]) for n in (*(one.dim(name) for name in names), one.bytes_moved)]
    return products_ms(Products(*columns), on, constants().tensor, TENSOR_CONVOLUTIONS)


def convolution(module: nn.Module, *shape: int, layout: str = "nchw") -> Operator:
    return trace(module, shape, 8, "fp16", layout).operators[0]


def test_a_convolution_takes_what_its_product_takes_and_the_reordering_of_its_images():
    planar = convolution(nn.Conv2d(64, 128, 3, padding=1, bias=False), 64, 14, 14)
    innermost = convolution(nn.Conv2d(64, 128, 3, padding=1, bias=False), 64, 14, 14, layout="nhwc")
    same = replace(product(8 * 196, 128, 64 * 9), bytes_read=planar.bytes_read)
    assert same.bytes_moved == planar.bytes_moved
    assert of(innermost) == pytest.approx(convolved(same))
    assert of(planar) == pytest.approx(convolved(same) + 2.0 * planar.bytes_moved / 1e9)


def test_positions_of_planar_images_are_multiplied_image_by_image():
    planar = convolution(nn.Conv2d(64, 128, 1, bias=False), 64, 14, 14)
    batched = replace(product(196, 128, 64, batch=8, kind="bmm"), bytes_read=planar.bytes_read)
    innermost = convolution(nn.Conv2d(64, 128, 1, bias=False), 64, 14, 14, layout="nhwc")
    together = replace(product(8 * 196, 128, 64), bytes_read=innermost.bytes_read)
    assert of(planar) == pytest.approx(convolved(batched))
    assert of(innermost) == pytest.approx(convolved(together))


@pytest.mark.parametrize("tensor", [True, False])
def test_a_convolution_of_few_tiles_waits_for_them_where_a_product_is_cut(tensor):
    """7 × 7 positions of one image: a product of these sizes is spread over the device."""
    on = speed(tensor=tensor, width=2 if tensor else 4)
    alone, many = (
        trace(nn.Conv2d(512, 512, 1, bias=False), (512, 7, 7), batch, "fp16", "nhwc").operators[0]
        for batch in (1, 512)
    )
    for one, is_slower in ((alone, True), (many, False)):
        same = replace(product(one.dim("batch") * 49, 512, 512), bytes_read=one.bytes_read)
        assert (of(one, on=on)[0] > 1.2 * of(same, on=on)[0]) == is_slower


@pytest.mark.parametrize(("extent", "factor"), [(14, 1.0), (16, 1.0), (7, 1.3), (9, 1.3)])
def test_maps_of_an_odd_size_are_read_badly(extent, factor):
    without = constants(misaligned={**CONTENT["misaligned"], "plane": 1.0})
    module = nn.Conv2d(64, 128, 1, bias=False)
    planar = convolution(module, 64, extent, extent)
    assert of(planar) == pytest.approx(factor * of(planar, by=without))
    innermost = convolution(module, 64, extent, extent, layout="nhwc")
    assert of(innermost) == of(innermost, by=without)


def linear(outputs: int, batch: int, precision: str) -> Operator:
    return trace(nn.Linear(1000, outputs, bias=False), (1000,), batch, precision).operators[0]


@pytest.mark.parametrize("on", [speed(tensor=False, width=4, matrix=10e9), speed(matrix=50e9, width=4)])
def test_a_matrix_in_single_precision_is_read_for_one_vector(on):
    """40 MB of weights at 1 TB/s, on vector and on matrix units."""
    one = linear(10_000, 1, "fp32")
    assert of(one, on=on) == pytest.approx([one.bytes_moved / (1e9 * MATRIX_VECTOR_SHARE)])
    assert of(linear(20_000, 1, "fp32"), on=on) == pytest.approx(2 * of(one, on=on), rel=1e-3)


@pytest.mark.parametrize(("batch", "precision"), [(2, "fp32"), (1, "fp16")])
def test_other_products_are_tilings(batch, precision):
    on = speed(tensor=False, width=4, matrix=10e9)
    other = linear(10_000, batch, precision)
    assert of(other, on=on) > other.bytes_moved / (1e9 * MATRIX_VECTOR_SHARE)


@pytest.mark.parametrize("outputs", [10, 100, 1000, 10_000])
@pytest.mark.parametrize("target", ["v100", "a100", "titanxp"])
def test_one_vector_never_takes_longer_than_two(outputs, target):
    on = gpu_speed(resolve_target(target, precision="fp32"))
    one, two = (of(linear(outputs, batch, "fp32"), on=on, by=fitted_constants()) for batch in (1, 2))
    assert 0 < one <= two


@pytest.mark.parametrize(("size", "factor"), [(64, 1.0), (60, 1.2), (62, 1.5), (63, 2.0)])
@pytest.mark.parametrize("kind", ["gemm", "bmm"])
def test_sizes_that_are_not_aligned_take_longer(size, factor, kind):
    without = constants(misaligned=dict.fromkeys(CONTENT["misaligned"], 1.0))
    for sizes in ((64, size, 64), (64, 64, size)):
        one = product(*sizes, kind=kind)
        assert of(one) == pytest.approx(factor * of(one, by=without))
    tiny = product(1000, 3, 3, kind=kind)
    assert of(tiny) == of(tiny, by=without)
    rows = product(63, 64, 64, kind=kind)
    assert of(rows) == of(rows, by=without)


def test_channels_that_are_innermost_must_be_aligned():
    without = constants(misaligned={**CONTENT["misaligned"], "innermost": 1.0})
    for channels, factor in ((64, 1.0), (60, 1.4)):
        found = convolution(nn.Conv2d(64, channels, 1, bias=False), 64, 14, 14, layout="nhwc")
        assert of(found) == pytest.approx(factor * of(found, by=without))


def test_single_precision_within_half_precision_has_no_matrix_units():
    half, single = product(1024, 1024, 512), product(1024, 1024, 512, width=4)
    assert of(single) > 4 * of(half)
    vector = speed(tensor=False, matrix=10e9, width=4)
    assert of(single) == pytest.approx(of(single, on=vector))
    precise = speed(width=4)
    assert of(single, on=precise) < of(single)


def test_factors_multiply_their_class():
    by = constants(factor={"gemm": 3.0})
    parts = [product(64, 64, 64), product(64, 64, 64, kind="bmm")]
    assert of(*parts, by=by) == pytest.approx(of(*parts) * np.array([3.0, 1.0]))


def test_a_linear_layer_over_a_batch_is_a_class_of_its_own():
    by = constants(factor={"gemm_batch": 3.0})
    parts = [product(64, 64, 64), product(64, 64, 64, batch=2)]
    assert of(*parts, by=by) == pytest.approx(of(*parts) * np.array([1.0, 3.0]))


def test_precisions_without_matrix_units_have_shares_of_their_own_and_no_factors():
    """The factors are what networks took beside the model in precisions that have them."""
    by = constants(factor={"gemm": 2.0})
    plain, parts = speed(tensor=False), [operator("norm", read=9), product(63, 63, 63)]
    assert of(*parts, by=by, on=plain) == pytest.approx(of(*parts, on=plain))
    assert of(parts[0], on=plain) == pytest.approx([9 / (1e9 * 0.4)])
    assert of(parts[0]) == pytest.approx([9 / (1e9 * 0.5)])


def test_precisions_without_matrix_units_take_cycles_of_their_own_for_the_lines_of_a_norm():
    """100 multiprocessors at 1 GHz: a million lines of 400 or of 800 cycles."""
    norm = operator("norm", read=9, elements=64_000_000, normalized=64)
    assert of(norm) == pytest.approx([4.0])
    assert of(norm, on=speed(tensor=False)) == pytest.approx([8.0])


@pytest.mark.parametrize(("generation", "share"), [("", 0.5), ("sm80", 0.5), ("sm90", 1.0), ("sm100", 1.0)])
def test_a_generation_has_constants_of_its_own_or_those_of_a_sibling(generation, share):
    found = constants().tensor_of(generation)
    assert found == replace(constants().tensor, memory_share=share)
    streaming = product(1, 1_000_000, 1000)
    products = {**CONTENT["tensor_products"], "store_cycles": 0.0}
    assert of(streaming, on=speed(generation=generation), by=constants(tensor_products=products)) == (
        pytest.approx(of(streaming, by=constants(tensor_products={**products, "memory_share": share})))
    )


def test_the_generations_that_ship_are_those_that_were_measured():
    found = fitted_constants()
    assert set(found.generations) == {"sm80", "sm89", "sm90"}
    assert set(SIBLINGS.values()) <= set(found.generations)
    for generation in (*found.generations, *SIBLINGS):
        assert 0.5 < found.tensor_of(generation).memory_share < 1


def test_the_order_of_operators_does_not_matter():
    parts = [product(64, 64, 64), operator("norm", read=100), product(1, 9, 8), operator("custom", read=9)]
    assert of(*parts).tolist() == pytest.approx(of(*parts[::-1]).tolist()[::-1])
    assert of(*parts).tolist() == pytest.approx([float(of(part)[0]) for part in parts])


def test_no_operators_take_no_time():
    assert of().shape == (0,)


def resampled(mode: str, size: int, channels: int = 512, batch: int = 32, last: bool = False) -> Operator:
    def enlarge(x):
        x = x.contiguous(memory_format=torch.channels_last) if last else x
        return F.interpolate(x, size=(size, size), mode=mode)

    return trace(Function(enlarge), (channels, size // 2, size // 2), batch, "fp16").operators[-1]


def test_blended_maps_that_lie_apart_are_walked_through():
    """14 × 14 positions are fewer threads than one multiprocessor holds: each walks all maps."""
    found = resampled("bilinear", 14)
    assert of(found) == pytest.approx([32 * 512 * CONTENT["walk_step_us"] / 1e3])
    assert (of(found) > 10 * found.bytes_moved / 1e9).all()


def test_other_resampling_streams():
    for found in (resampled("nearest", 14), resampled("bilinear", 14, last=True)):
        assert (of(found) < 4 * found.bytes_moved / 1e9).all()
        assert of(found) == of(found, by=constants(walk_step_us=1e6))


def test_more_positions_than_threads_walk_in_turns():
    """One multiprocessor: more positions are walked one group after the other."""
    small = speed(units=1.0, bandwidth=1e15, vector=1e15)
    positions = np.array([4, 22, 24, 32, 46]) ** 2
    turns = np.ceil(positions / WALKERS)
    found = of(*(resampled("bilinear", int(edge**0.5), 8, 2) for edge in positions), on=small)
    assert found == pytest.approx(16 * turns * CONTENT["walk_step_us"] / 1e3)


def test_a_walk_does_not_depend_on_the_width_of_numbers():
    wide = replace(resampled("bilinear", 14), bytes_written=4 * 32 * 512 * 196)
    assert of(wide, on=speed(width=4)) == pytest.approx(of(resampled("bilinear", 14)))


@pytest.mark.parametrize(
    "make",
    [
        lambda c: nn.Conv2d(c, c, 3, padding=1),
        lambda c: nn.Conv2d(c, c, 1, groups=2),
        lambda c: nn.Conv2d(c, c, 5, padding=2, groups=c),
        nn.BatchNorm2d,
        lambda c: nn.Upsample(scale_factor=2, mode="bilinear"),
    ],
    ids=["dense", "grouped", "depthwise", "norm", "resampling"],
)
def test_more_work_is_never_cheaper(make):
    def time(width, size, batch):
        return float(of(*trace(make(width), (width, size, size), batch, "fp16").operators).sum())

    by_width = [time(width, 14, 8) for width in (32, 64, 128, 512)]  # below that torch has another kernel
    by_size = [time(32, size, 8) for size in (8, 14, 32, 224)]  # maps of an odd size are slower than larger
    by_batch = [time(32, 14, batch) for batch in (1, 2, 8, 64, 256)]
    for times in (by_width, by_size, by_batch):
        assert all(less <= more * (1 + 1e-9) for less, more in pairwise(times))
        assert times[-1] > times[0]


@pytest.mark.parametrize("name", ["matrix", "vector", "bandwidth", "cache", "clock", "streaming", "units"])
def test_a_faster_device_is_never_slower_at_what_streams(name):
    parts = [
        operator("norm", flops=10**5, read=10**6),
        operator("conv_depthwise", flops=10**9, read=10**6, kernel_0=3),
        resampled("bilinear", 56, 8, 2),
    ]
    after = of(*parts, on=speed(**{name: 2 * getattr(speed(), name)}))
    assert (after <= of(*parts) * (1 + 1e-9)).all()


def test_a_class_that_is_not_named_has_the_constant_of_others():
    by = constants()
    assert by.memory_share.shape == by.tap_cycles.shape == by.factor.shape == (len(CLASSES),)
    assert by.memory_share[CLASSES.index("norm")] == 0.5
    assert by.memory_share[CLASSES.index("cat")] == 0.8
    assert by.plain_memory_share[CLASSES.index("norm")] == 0.4
    assert by.plain_memory_share[CLASSES.index("cat")] == 0.8
    assert by.plain_tap_cycles[CLASSES.index("pool")] == by.tap_cycles[CLASSES.index("pool")]


def test_the_shipped_constants_are_sane():
    """Shares are shares; factors do not undo the model; more work takes more cycles."""
    found = fitted_constants()
    for shares in (found.memory_share, found.plain_memory_share, found.vector_share):
        assert ((shares > 0) & (shares <= 1)).all()
    assert ((found.factor > 0.5) & (found.factor < 2)).all()
    for cycles in (
        found.element_cycles,
        found.tap_cycles,
        found.line_cycles,
        found.plain_element_cycles,
        found.plain_tap_cycles,
        found.plain_line_cycles,
        found.reorder,
    ):
        assert (cycles >= 0).all()
    assert all(1 <= factor < 3 for factor in found.misaligned.values())
    for products in (found.tensor, found.vector):
        assert 0 < products.compute_share < 1.5
        assert 0 < products.memory_share <= 1
        assert 0 < products.few_blocks_share <= 1
        assert products.begin_cycles >= 0
        assert products.step_cycles >= 0
    assert 0 < found.tensor.power_share <= 1
    assert 0 < found.vector.scattered_share < found.vector.memory_share
    assert found.vector.lookup_cycles > 0
    assert found.walk_step_us > 0
    assert fitted_constants() is found


def test_the_shipped_constants_name_classes_that_there_are():
    content = json.loads(FITTED.read_text(encoding="utf-8"))
    for table in (*OTHERWISE, *(f"plain_{name}" for name in PLAIN)):
        assert set(content[table]) <= set(CLASSES)


def test_the_shipped_constants_keep_a_product_between_light_and_walking():
    """On an A100 in half precision, 4096³ takes between its light and three times that."""
    light = 2 * 4096**3 / 100e9
    (found,) = of(product(4096, 4096, 4096), by=fitted_constants())
    assert light < found < 3 * light
