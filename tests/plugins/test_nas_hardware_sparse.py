"""Sparse products on the roofline: a curve over sparsity and block size, by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from nas.costs import Device, Figure, Operator, Target, Trace
from nas_hardware import assumptions
from nas_hardware.fusion import executed
from nas_hardware.roofline import predict
from nas_hardware.sparse import break_even_sparsity, sparse_share


def product(rows: int, inner: int, stored: int, block: int = 1, positions: int = 1000) -> Operator:
    dims = (("rows", rows), ("inner", inner), ("nonzeros", stored), ("block", block))
    macs = stored * positions
    return Operator("sparse", "sparse", "m", macs, 2 * macs, 8, 8, 0, ((-1, 8),), dims)


def chip(device_class: str) -> Target:
    figures = {
        "fp32_tflops": 0.1,
        "fp16_tflops": 0.1,
        "memory_bandwidth_gbs": 1000.0,
        "launch_floor_us": 0.001,
    }
    sheet = {name: Figure(value, "test") for name, value in figures.items()}
    return Target("t", Device("d", device_class, "v", sheet), precision="fp32", runtime="tflite")


def time_of(operator: Operator, device_class: str = "arm-cpu") -> float:
    return predict(Trace((operator,), 0, 0, 0, 0), chip(device_class)).latency_ms


def test_the_curve_by_hand():
    share = sparse_share(product(100, 400, 4000))
    assert share == pytest.approx(assumptions.COMPUTE_UTILISATION["conv"] / (1 + 2 / 1 + 2 * 100 / 4000))
    assert sparse_share(product(100, 400, 4000, block=4)) == pytest.approx(0.6 / (1 + 0.5 + 0.05))


@pytest.mark.parametrize("device_class", ["arm-cpu", "x86-cpu", "dc-gpu", "npu"])
@pytest.mark.parametrize("block", [1, 2, 4])
def test_time_grows_with_every_stored_weight(device_class, block):
    times = [time_of(product(64, 64, stored, block), device_class) for stored in range(block, 4096, 64)]
    assert all(a < b for a, b in itertools.pairwise(times))


def test_throughput_rises_with_block_size_and_falls_with_sparsity():
    assert (
        time_of(product(64, 64, 400, 1)) > time_of(product(64, 64, 400, 2)) > time_of(product(64, 64, 400, 4))
    )
    shares = [sparse_share(product(64, 64, stored)) for stored in (40, 400, 1200, 4096)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1] / 1.5


def test_only_processors_have_the_curve():
    gpu, cpu = (time_of(product(64, 64, 400, 4), name) for name in ("dc-gpu", "arm-cpu"))
    assert gpu == pytest.approx(time_of(product(64, 64, 400, 1), "dc-gpu"))
    assert cpu < time_of(product(64, 64, 400, 1), "arm-cpu")


@pytest.mark.parametrize("block", [1, 2, 4])
def test_the_break_even_sparsity_is_where_times_meet(block):
    inner, rows = 240, 240
    found = break_even_sparsity(inner, block)
    dense = replace(product(rows, inner, rows * inner), kind="conv")
    stored = round((1 - found) * rows * inner)
    assert time_of(product(rows, inner, stored, block)) == pytest.approx(time_of(dense), rel=1e-3)
    assert time_of(product(rows, inner, stored + 2000, block)) > time_of(dense)
    assert time_of(product(rows, inner, stored - 2000, block)) < time_of(dense)


def test_single_rows_break_even_at_two_thirds_of_zeros():
    assert break_even_sparsity(10**6) == pytest.approx(2 / 3, abs=1e-5)
    assert break_even_sparsity(10**6, 4) < break_even_sparsity(10**6, 2) < break_even_sparsity(10**6)
    assert break_even_sparsity(1) == 1


def test_a_phone_runtime_takes_the_activation_into_the_sparse_kernel():
    kernel = replace(product(64, 64, 400), bytes_written=1000)
    clamp = Operator("relu", "pointwise", "m", 0, 10, 1000, 1000, 0, ((0, 1000),))
    for runtime, is_kernel in (("tflite", False), ("compiled", True), ("eager", True)):
        assert executed([kernel, clamp], runtime)[1].is_kernel == is_kernel


def test_a_product_without_dimensions_is_one_of_single_rows():
    bare = replace(product(64, 64, 400), dims=())
    assert sparse_share(bare) == pytest.approx(assumptions.COMPUTE_UTILISATION["conv"] / 3)
    assert time_of(bare) > 0
