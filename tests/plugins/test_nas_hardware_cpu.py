"""Kernels on CPUs: closed forms, edges of small products, growth with the work and with the speed."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from torch import nn

from nas.costs.operators import KINDS, Operator
from nas.costs.speed import Speed
from nas.costs.target import RUNTIMES
from nas.costs.trace import trace
from nas_hardware.cpu import cpu_kernel_ms, fitted

SPEED = Speed(matrix=1e9, vector=1e9, bandwidth=1e7)


def of(module: nn.Module, *shape: int, batch: int = 1) -> float:
    return float(cpu_kernel_ms(trace(module, shape, batch).operators, SPEED).sum())


def operator(kind: str, name: str | None = None, flops: int = 0, moved: int = 0) -> Operator:
    return Operator(name or kind, kind, "", 0, flops, moved, 0, 0)


def test_no_operators_take_no_time():
    assert cpu_kernel_ms([], SPEED).shape == (0,)


def test_arithmetic_takes_its_share_of_the_peak():
    for kind in ("gemm", "conv_depthwise"):
        found = cpu_kernel_ms([operator(kind, flops=10**6)], SPEED)
        assert found == pytest.approx([1e6 / (1e9 * fitted()["compute"][kind])])


def test_traffic_takes_its_share_of_the_bandwidth():
    found = cpu_kernel_ms([operator("copy", moved=10**6), operator("pointwise", moved=10**6)], SPEED)
    table = fitted()
    assert found == pytest.approx(
        [1e6 / (1e7 * table["memory"]["copy"]), 1e6 / (1e7 * table["other_memory"])]
    )


def test_arithmetic_and_traffic_add_up():
    alone = [operator("gemm", flops=10**6), operator("gemm", moved=10**6)]
    together = cpu_kernel_ms([operator("gemm", flops=10**6, moved=10**6)], SPEED)
    assert together == pytest.approx([cpu_kernel_ms(alone, SPEED).sum()])


def test_a_convolution_pays_for_the_edges_of_its_product():
    table = fitted()
    (found,) = trace(nn.Conv2d(16, 32, 3, padding=1, bias=False), (16, 4, 4)).operators
    edges = (1 + table["input_floor"] / (16 * 9)) * (1 + table["column_floor"] / 16)
    expected = found.flops * edges / (1e9 * table["compute"]["conv"])
    expected += found.bytes_moved / (1e7 * table["memory"]["conv"])
    assert cpu_kernel_ms([found], SPEED) == pytest.approx([expected])


def test_few_inputs_in_a_group_make_arithmetic_slower():
    grouped, dense = (
        trace(nn.Conv2d(32, 32, 1, groups=groups, bias=False), (32, 8, 8)).operators[0] for groups in (2, 1)
    )
    per_flop = [float(cpu_kernel_ms([one], SPEED, moved=[0])[0]) / one.flops for one in (grouped, dense)]
    floor = fitted()["input_floor"]
    assert per_flop[0] / per_flop[1] == pytest.approx((1 + floor / 16) / (1 + floor / 32))


def test_a_batch_fills_the_columns_of_a_small_map():
    convolution = nn.Conv2d(64, 64, 1, bias=False)
    assert of(convolution, 64, 2, 2, batch=16) < 16 * of(convolution, 64, 2, 2)


def test_depthwise_arithmetic_is_slower_than_dense_arithmetic():
    dense = cpu_kernel_ms([operator("conv_depthwise", flops=10**6), operator("gemm", flops=10**6)], SPEED)
    assert dense[0] > 3 * dense[1]


def test_eager_pooling_is_slow_and_nothing_else_is():
    pool, product = operator("pool", flops=10**6), operator("gemm", flops=10**6)
    eager, compiled = (
        cpu_kernel_ms([pool, product], SPEED, runtime=runtime) for runtime in ("eager", "compiled")
    )
    assert eager[0] > 10 * compiled[0]
    assert eager[1] == compiled[1]


def test_one_runtime_computes_on_all_cores_and_moves_as_fast_as_others():
    kinds = ("conv", "conv_depthwise", "gemm", "rnn")
    computing, moving = [operator(kind, flops=10**6) for kind in kinds], [operator("copy", moved=10**6)]
    quick, plain = (
        cpu_kernel_ms([*computing, *moving], SPEED, runtime=runtime) for runtime in ("onnxruntime", "tflite")
    )
    assert (quick[:-1] < 0.5 * plain[:-1]).all()
    assert quick[-1] == plain[-1]


def test_joining_is_no_reordering():
    joined, reordered = cpu_kernel_ms(
        [operator("copy", "cat", moved=10**6), operator("copy", "clone", moved=10**6)], SPEED
    )
    assert joined < reordered


def test_what_a_runtime_fuses_away_is_not_moved():
    one = operator("pointwise", flops=10, moved=10**6)
    assert cpu_kernel_ms([one], SPEED, moved=[0]) < cpu_kernel_ms([one], SPEED)
    assert cpu_kernel_ms([one], SPEED, moved=[10**6]) == cpu_kernel_ms([one], SPEED)


@pytest.mark.parametrize(
    "make",
    [
        lambda c: nn.Conv2d(c, c, 3, padding=1),
        lambda c: nn.Conv2d(c, c, 1, groups=2),
        lambda c: nn.Conv2d(c, c, 5, padding=2, groups=c),
        nn.BatchNorm2d,
    ],
    ids=["dense", "grouped", "depthwise", "norm"],
)
def test_more_work_is_never_cheaper(make):
    by_width = [of(make(width), width, 8, 8) for width in (4, 8, 16, 24, 32, 100, 128)]
    by_size = [of(make(16), 16, size, size) for size in (1, 2, 4, 7, 8, 32)]
    by_batch = [of(make(16), 16, 4, 4, batch=batch) for batch in (1, 2, 3, 16)]
    for times in (by_width, by_size, by_batch):
        assert all(less < more for less, more in pairwise(times))


def test_larger_kernels_are_never_cheaper():
    times = [of(nn.Conv2d(16, 16, k, padding=k // 2), 16, 8, 8) for k in (1, 3, 5, 7)]
    assert all(less < more for less, more in pairwise(times))


def test_a_faster_device_is_never_slower():
    module = nn.Sequential(
        nn.Conv2d(16, 32, 3), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, groups=32)
    )
    operators = trace(module, (16, 8, 8)).operators
    before = cpu_kernel_ms(operators, SPEED)
    for faster in (replace(SPEED, matrix=2e9), replace(SPEED, vector=2e9), replace(SPEED, bandwidth=2e7)):
        after = cpu_kernel_ms(operators, faster)
        assert (after <= before).all()
        assert after.sum() < before.sum()


def test_nothing_is_faster_than_light():
    operators = trace(
        nn.Sequential(nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64), nn.ReLU()), (64, 32, 32)
    ).operators
    light = [max(SPEED.compute_ms(one), SPEED.memory_ms(one.bytes_moved)) for one in operators]
    assert (cpu_kernel_ms(operators, SPEED) >= np.array(light)).all()


def test_shares_are_shares_and_have_a_source():
    table = fitted()
    own = table["compute_of_runtime"]
    assert set(own) <= set(RUNTIMES)
    assert set(table["compute"]) | set(table["memory"]) | set().union(*own.values()) <= set(KINDS)
    shares = [
        *table["compute"].values(),
        *(share for runtime in own.values() for share in runtime.values()),
        *table["memory"].values(),
        table["other_compute"],
        table["other_memory"],
    ]
    assert all(0 < share <= 1 for share in shares)
    for source in table["sources"]:
        assert {"what", "from", "split", "date"} <= set(source)
