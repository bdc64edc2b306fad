"""The kernels of networks on each class of device: which model prices them, what launches them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hardware_cases import STEP, device, operator, product

from nas.costs.operators import Operator
from nas.costs.speed import speed_of
from nas.costs.target import RUNTIMES, Target
from nas_hardware import assumptions
from nas_hardware.cpu import cpu_kernel_ms, fitted
from nas_hardware.fusion import Step, executed, rules_of
from nas_hardware.gpu_kernels import fitted_constants
from nas_hardware.gpu_kernels import kernels_ms as gpu_kernels_ms
from nas_hardware.gpu_speed import gpu_speed
from nas_hardware.kernels import GPU_CLASSES, Kernels, kernels_of, whole_graph_ms
from nas_hardware.sparse import break_even_sparsity, sparse_share
from nas_hardware.work import work_of

CPUS = ("arm-cpu", "x86-cpu")
OTHERS = ("npu", "tpu", "mobile-gpu", "arm-soc", "other")
CHAIN = [
    operator("conv", 10**8, 10**5, 10**5, ((-1, 10**5),)),
    operator("pointwise", 10**5, 10**5, 10**5, ((0, 10**5),)),
    operator("pool", 10**5, 10**5, 10**4, ((1, 10**5),)),
]


def of(*operators: Operator, on: Target) -> Kernels:
    return kernels_of(executed(operators, rules_of(on)), on)


def busy(*operators: Operator, on: Target) -> list[float]:
    return of(*operators, on=on).busy_ms.tolist()


@pytest.mark.parametrize("device_class", sorted(GPU_CLASSES))
@pytest.mark.parametrize("precision", ["fp32", "fp16", "amp-fp16", "int8"])
def test_gpus_are_priced_by_their_kernels(device_class, precision):
    target = device(device_class=device_class, precision=precision)
    steps = executed(CHAIN, "compiled")
    moved = [step.bytes_moved for step in steps]
    work = work_of(CHAIN, moved, eager=False)
    expected = gpu_kernels_ms(work, gpu_speed(target), fitted_constants())
    assert busy(*CHAIN, on=target) == pytest.approx(expected)


@pytest.mark.parametrize("device_class", CPUS)
@pytest.mark.parametrize("runtime", ["eager", "tflite"])
def test_processors_are_priced_by_theirs(device_class, runtime):
    target = device(runtime, device_class, "fp32")
    moved = [step.bytes_moved for step in executed(CHAIN, runtime)]
    expected = cpu_kernel_ms(CHAIN, speed_of(target), moved, runtime)
    assert busy(*CHAIN, on=target) == pytest.approx(expected)


def test_eager_pools_of_processors_are_not_vectorised():
    pool = operator("pool", flops=10**7)
    eager, compiled = (busy(pool, on=device(runtime, "x86-cpu", "fp32")) for runtime in ("eager", "compiled"))
    assert eager[0] > 5 * compiled[0]


@pytest.mark.parametrize("device_class", OTHERS)
def test_other_devices_are_priced_at_assumed_shares(device_class):
    target = device(device_class=device_class)
    found = busy(
        operator("gemm", 10**9),
        operator("norm", 10**9),
        operator("fft", read=10**6),
        operator("copy", read=9),
        on=target,
    )
    compute, memory = assumptions.COMPUTE_UTILISATION, assumptions.MEMORY_UTILISATION
    maps = assumptions.ON_CHIP_TIMES if device_class == "npu" else 1
    assert found == pytest.approx(
        [
            1e9 / (100e9 * compute["gemm"]),
            1e9 / (10e9 * assumptions.OTHER_COMPUTE_UTILISATION),
            1e6 / (1e9 * maps * memory["fft"]),
            9 / (1e9 * maps * assumptions.OTHER_MEMORY_UTILISATION),
        ]
    )


def test_weights_come_from_the_memory_of_an_npu_and_maps_stay_on_it():
    weights = replace(operator("copy", read=10**6), weight_bytes=10**6)
    maps = operator("copy", read=10**6)
    found = busy(weights, maps, on=device(device_class="npu"))
    assert found[0] == pytest.approx(1e6 / (1e9 * assumptions.OTHER_MEMORY_UTILISATION))
    assert found[0] == pytest.approx(assumptions.ON_CHIP_TIMES * found[1])


def test_a_device_without_an_fp32_peak_has_an_assumed_vector_peak():
    found = busy(operator("norm", 10**9), on=device(device_class="npu", fp32_tflops=0))
    peak = 100e9 * assumptions.VECTOR_SHARE * assumptions.OTHER_COMPUTE_UTILISATION
    assert found == pytest.approx([1e9 / peak])


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if name != "whole-model"])
def test_each_kernel_is_launched_and_what_is_fused_is_not(runtime):
    steps = executed(CHAIN, runtime)
    found = kernels_of(steps, device(runtime))
    assert found.launch_ms.tolist() == [STEP if step.is_kernel else 0 for step in steps]
    assert whole_graph_ms(device(runtime)) == 0


@pytest.mark.parametrize("target", [device("tflite", "npu", "int8"), device("whole-model")])
def test_a_whole_graph_is_launched_once(target):
    found = of(*CHAIN, on=target)
    assert found.launch_ms.tolist() == [0, 0, 0]
    assert whole_graph_ms(target) == 0.002


def test_dispatch_is_all_that_begins_an_eager_operator_of_a_processor():
    assert of(*CHAIN, on=device("eager", "x86-cpu", "fp32")).launch_ms.tolist() == [0, 0, 0]
    assert of(*CHAIN, on=device("tflite", "x86-cpu", "fp32")).launch_ms.any()


def test_a_launch_floor_that_no_file_gives_is_assumed():
    found = of(operator("copy"), on=device(device_class="tpu", launch_floor_us=0))
    assert found.launch_ms == pytest.approx([assumptions.LAUNCH_FLOOR_US / 1e3])


@pytest.mark.parametrize(("floor", "step"), [(0, STEP), (2.0, STEP), (30.0, 0.03)])
def test_kernels_of_gpus_are_a_step_apart(floor, step):
    assert of(operator("copy"), on=device(launch_floor_us=floor)).launch_ms == pytest.approx([step])


def test_a_whole_graph_has_no_steps():
    target = device("whole-model", launch_floor_us=2.0)
    found = of(*CHAIN, on=target)
    assert (found.launch_ms.tolist(), whole_graph_ms(target)) == ([0, 0, 0], 0.002)


def test_arithmetic_or_memory_bounds_a_kernel():
    parts = [product(4096, 4096, 4096), product(1, 4096, 4096), operator("copy", read=100)]
    assert of(*parts, on=device()).computes.tolist() == [True, False, False]


def test_what_is_fused_moves_less():
    fused, apart = (of(*CHAIN, on=device(runtime)).busy_ms for runtime in ("tensorrt", "eager"))
    assert fused[1] < apart[1]
    assert fused[2] == apart[2]


@pytest.mark.parametrize("device_class", ["dc-gpu", "npu", *CPUS])
def test_nothing_is_no_kernels(device_class):
    found = of(on=device(device_class=device_class))
    assert found.busy_ms.shape == found.launch_ms.shape == found.computes.shape == (0,)


@pytest.mark.parametrize("device_class", ["dc-gpu", "consumer-gpu", "npu", "tpu", *CPUS])
@pytest.mark.parametrize("kind", ["rnn", "sparse", "custom", "fft", "sort", "gather"])
def test_every_kind_takes_time_everywhere(device_class, kind):
    (found,) = busy(operator(kind, 10**6, 10**6, 10**6), on=device(device_class=device_class))
    assert np.isfinite(found)
    assert found > 0


def stored(rows: int, inner: int, count: int, block: int = 1, positions: int = 1000) -> Operator:
    """A product of sparse weights, with so many stored, and dense maps that take no traffic."""
    return operator("sparse", 2 * count * positions, rows=rows, inner=inner, nonzeros=count, block=block)


def time_of(one: Operator, device_class: str) -> float:
    (found,) = busy(one, on=device("tflite", device_class, "fp32"))
    return found


@pytest.mark.parametrize("device_class", CPUS)
@pytest.mark.parametrize("block", [1, 2, 4])
def test_sparse_products_of_processors_break_even_where_the_curve_says(device_class, block):
    inner = rows = 240
    found = break_even_sparsity(inner, block)
    dense = time_of(operator("gemm", 2 * rows * inner * 1000), device_class)
    count = round((1 - found) * rows * inner)
    assert time_of(stored(rows, inner, count, block), device_class) == pytest.approx(dense, rel=1e-3)
    assert time_of(stored(rows, inner, count + 2000, block), device_class) > dense
    assert time_of(stored(rows, inner, count - 2000, block), device_class) < dense


def test_the_share_of_sparse_products_of_processors_is_that_of_the_curve():
    one = stored(64, 64, 400, 2)
    share = sparse_share(one, fitted()["compute"]["conv"])
    assert time_of(one, "arm-cpu") == pytest.approx(one.flops / (10e9 * share))
    assert share < sparse_share(replace(one, dims=()), fitted()["compute"]["conv"]) * 2


@pytest.mark.parametrize("device_class", [*CPUS, "dc-gpu", "npu"])
def test_more_stored_weights_are_never_cheaper(device_class):
    times = [time_of(stored(64, 64, count), device_class) for count in range(1, 4096, 300)]
    assert all(less < more for less, more in pairwise(times))


def test_only_processors_have_kernels_for_blocks():
    for device_class in ("dc-gpu", "npu"):
        assert time_of(stored(64, 64, 400, 4), device_class) == time_of(stored(64, 64, 400), device_class)
    assert time_of(stored(64, 64, 400, 4), "arm-cpu") < time_of(stored(64, 64, 400), "arm-cpu")


def test_steps_may_be_given_as_a_runtime_leaves_them():
    step = Step(operator("copy", read=10**6), 10**5, is_kernel=False)
    found = kernels_of([step], device())
    assert found.launch_ms == [0]
    assert found.busy_ms == pytest.approx(of(operator("copy", read=10**5), on=device()).busy_ms)
