"""Kernels of GPUs by class: streams by hand, walks of resampling, factors, which constants products take."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hardware_cases import CONTENT, Function, constants, operator, product, speed
from torch import nn
from torch.nn import functional as F

from nas.costs.operators import Operator
from nas.costs.trace import trace
from nas_hardware.gpu_kernels import (
    WALKERS,
    fitted_constants,
    kernels_ms,
    model_ms,
)
from nas_hardware.gpu_products import Products, products_ms
from nas_hardware.work import CLASSES, work_of


def of(*operators: Operator, by=None, on=None) -> np.ndarray:
    return kernels_ms(work_of(operators), on or speed(), by or constants())


def test_streams_take_their_share_of_the_bandwidth():
    found = of(operator("pointwise", read=4_000_000, written=4_000_000), operator("norm", read=1_000_000))
    assert found == pytest.approx([8e6 / (1e9 * 0.8), 1e6 / (1e9 * 0.5)])


def test_streams_with_much_arithmetic_take_their_share_of_the_vector_units():
    depthwise = operator("conv_depthwise", flops=10**9, read=10, kernel_0=3, kernel_1=3)
    large = operator("conv_depthwise", flops=10**9, read=10, kernel_0=5, kernel_1=5)
    assert of(depthwise, large) == pytest.approx([1e9 / (10e9 * 0.25), 1e9 / (10e9 * 0.5)])
    throttled = of(depthwise, large, on=speed(sustained=0.5))
    assert throttled == pytest.approx(2 * of(depthwise, large))


def test_bandwidth_does_not_depend_on_the_clock_under_load():
    stream = operator("pointwise", read=10**6)
    assert of(stream, on=speed(sustained=0.5)) == of(stream)


def test_what_a_runtime_still_moves_counts():
    stream = operator("pointwise", read=10**6)
    assert kernels_ms(work_of([stream], [0]), speed(), constants()) == [0]


@pytest.mark.parametrize(("tensor", "name"), [(True, "tensor"), (False, "vector")])
def test_products_take_the_constants_of_their_units(tensor, name):
    one = product(1000, 500, 300, batch=3, kind="bmm")
    on, by = speed(tensor=tensor), constants()
    column = (np.array([float(n)]) for n in (3, 1000, 500, 300, one.bytes_moved))
    assert of(one, on=on) == pytest.approx(products_ms(Products(*column), on, getattr(by, name)))
    assert of(one, on=speed(tensor=True)) != of(one, on=speed(tensor=False))


def test_a_convolution_takes_what_its_product_takes():
    convolution = trace(nn.Conv2d(64, 128, 3, padding=1, bias=False), (64, 14, 14), 8, "fp16").operators[0]
    same = replace(product(8 * 196, 128, 64 * 9), bytes_read=convolution.bytes_read)
    assert same.bytes_moved == convolution.bytes_moved
    assert of(convolution) == pytest.approx(of(same))


def test_factors_multiply_their_class():
    by = constants(factor={"other": 1.0, "gemm": 3.0, "cat": 0.5})
    parts = [product(64, 64, 64), operator("copy", read=100, name="cat"), operator("copy", read=100)]
    assert of(*parts, by=by) == pytest.approx(of(*parts) * np.array([3.0, 0.5, 1.0]))
    work = work_of(parts)
    assert model_ms(work, speed(), by) == pytest.approx(model_ms(work, speed(), constants()))


def test_precisions_without_matrix_units_have_shares_of_their_own_and_no_factors():
    """The factors are what networks took beside the model in precisions that have them."""
    by = constants(factor={"other": 2.0})
    plain, parts = speed(tensor=False), [operator("norm", read=9), product(64, 64, 64)]
    depthwise = operator("conv_depthwise", flops=10**9, kernel_0=3)
    assert of(*parts, by=by) == pytest.approx(2 * of(*parts))
    assert of(*parts, by=by, on=plain) == pytest.approx(of(*parts, on=plain))
    expected = [1e9 / (10e9 * 0.05), 9 / (1e9 * 0.4)]
    assert of(depthwise, parts[0], on=plain) == pytest.approx(expected)


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

    by_width = [time(width, 14, 8) for width in (4, 8, 16, 32, 128, 512)]
    by_size = [time(32, size, 8) for size in (2, 4, 7, 14, 32, 224)]
    by_batch = [time(32, 14, batch) for batch in (1, 2, 8, 64, 256)]
    for times in (by_width, by_size, by_batch):
        assert all(less <= more * (1 + 1e-9) for less, more in pairwise(times))
        assert times[-1] > times[0]


@pytest.mark.parametrize("name", ["matrix", "vector", "bandwidth", "cache", "clock", "sustained", "units"])
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
    assert by.memory_share.shape == by.vector_share.shape == by.factor.shape == (len(CLASSES),)
    assert by.memory_share[CLASSES.index("norm")] == 0.5
    assert by.memory_share[CLASSES.index("cat")] == 0.8


def test_the_shipped_constants_are_sane():
    """Shares are shares; factors do not undo the model."""
    found = fitted_constants()
    for shares in (
        found.memory_share,
        found.vector_share,
        found.plain_memory_share,
        found.plain_vector_share,
    ):
        assert ((shares > 0) & (shares <= 1.2)).all()
    assert ((found.factor > 0.1) & (found.factor < 10)).all()
    for products in (found.tensor, found.vector):
        assert 0 < products.compute_share <= 1
        assert 0 < products.memory_share <= 1
        assert 0 < products.few_blocks_share <= 1
        assert products.begin_cycles >= 0
        assert products.step_cycles >= 0
    assert found.walk_step_us > 0
    assert fitted_constants() is found


def test_the_shipped_constants_name_classes_that_there_are():
    import json

    from nas_hardware.gpu_kernels import FITTED

    content = json.loads(FITTED.read_text(encoding="utf-8"))
    for table in ("memory_share", "vector_share", "plain_memory_share", "plain_vector_share", "factor"):
        assert set(content[table]) <= {*CLASSES, "other"}
        assert "other" in content[table]


def test_the_shipped_constants_keep_a_product_between_light_and_walking():
    """On an A100 in half precision, 4096³ takes between its light and three times that."""
    light = 2 * 4096**3 / 100e9
    (found,) = of(product(4096, 4096, 4096), by=fitted_constants())
    assert light < found < 3 * light
