"""The roofline: each operator at the speed of light, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas.costs import Cost, Device, Figure, Operator, Target, Trace
from nas.costs.target import RUNTIMES
from nas_hardware import assumptions
from nas_hardware.energy import MEMORY_POWER_SHARE
from nas_hardware.fusion import JOINED, executed, rules_of
from nas_hardware.roofline import predict


def target(
    runtime: str = "eager", device_class: str = "gpu", precision: str = "fp16", **figures: float
) -> Target:
    """A device with round figures: 100 Tflop/s fp16, 10 Tflop/s fp32, 1000 GB/s, 2 µs launches, 100 W of
    which 20 idle."""
    values = {
        "fp16_tflops": 100.0,
        "fp32_tflops": 10.0,
        "int8_tops": 200.0,
        "memory_bandwidth_gbs": 1000.0,
        "launch_floor_us": 2.0,
        "eager_operator_us": 10.0,
        "tdp_w": 100.0,
        "idle_w": 20.0,
        **figures,
    }
    sheet = {name: Figure(value, "test") for name, value in values.items() if value}
    return Target("t", Device("d", device_class, "v", sheet), precision=precision, runtime=runtime)


def operator(
    kind: str, flops: int = 0, read: int = 0, written: int = 0, sources=(), known: bool = True
) -> Operator:
    return Operator(kind, kind, "m", flops // 2, flops, read, written, 0, tuple(sources), (), known)


def traced(*operators: Operator, weights: int = 0, peak: int = 0) -> Trace:
    return Trace(operators, 7, weights, 11, peak, 1, "fp16")


def price(*operators: Operator, on: Target | None = None) -> Cost:
    return predict(traced(*operators), on or target("compiled"))


def test_a_compute_bound_kernel():
    cost = price(operator("gemm", flops=70 * 10**9, read=1000))
    assert cost.latency_ms == pytest.approx(0.002 + 70 / (100 * assumptions.COMPUTE_UTILISATION["gemm"]))
    assert cost.operators[0].bound == "compute"


def test_a_memory_bound_kernel():
    cost = price(operator("copy", read=400_000_000, written=400_000_000))
    assert cost.latency_ms == pytest.approx(0.002 + 0.8 / assumptions.OTHER_MEMORY_UTILISATION)
    assert cost.operators[0].bound == "memory"


def test_a_launch_bound_kernel():
    cost = price(operator("gemm", flops=1000, read=1000))
    assert cost.latency_ms == pytest.approx(0.002, rel=0.01)
    assert cost.operators[0].bound == "launch"


def test_what_is_no_matrix_work_runs_at_the_fp32_peak():
    vector = price(operator("pointwise", flops=10**10))
    assert vector.latency_ms == pytest.approx(0.002 + 1 / assumptions.OTHER_COMPUTE_UTILISATION)
    depthwise = price(operator("conv_depthwise", flops=10**10))
    assert depthwise.latency_ms == pytest.approx(
        0.002 + 1 / assumptions.COMPUTE_UTILISATION["conv_depthwise"]
    )


def test_the_precision_picks_the_peak():
    kernel = operator("gemm", flops=10**12)
    times = {
        p: price(kernel, on=target("compiled", precision=p)).latency_ms
        for p in ("fp32", "fp16", "amp-fp16", "int8")
    }
    assert times["fp32"] > times["fp16"] == times["amp-fp16"] > times["int8"]


def test_an_accelerator_without_an_fp32_peak():
    cost = price(operator("pointwise", flops=10**10), on=target("compiled", fp32_tflops=0))
    share = assumptions.VECTOR_SHARE * assumptions.OTHER_COMPUTE_UTILISATION
    assert cost.latency_ms == pytest.approx(0.002 + 10 / (100 * share))


def test_eager_operators_take_at_least_their_dispatch():
    eager = price(*[operator("copy", read=8)] * 5, on=target("eager"))
    assert eager.latency_ms == pytest.approx(5 * 0.010)
    assert {op.bound for op in eager.operators} == {"launch"}
    long = operator("copy", read=10**9)
    assert price(long, on=target("eager")).latency_ms == price(long).latency_ms


def test_a_whole_graph_device_starts_once():
    npu = target("tflite", "npu", "int8", launch_floor_us=50.0)
    none, one, two = (price(*[operator("copy", read=8000)] * count, on=npu) for count in (0, 1, 2))
    assert none.latency_ms == pytest.approx(0.05)
    assert two.latency_ms - one.latency_ms == pytest.approx(one.latency_ms - none.latency_ms)
    assert none.low_ms < none.latency_ms < none.high_ms


def test_figures_that_are_missing_are_assumed():
    bare = target("eager", launch_floor_us=0, eager_operator_us=0, tdp_w=0, idle_w=0)
    cost = price(operator("copy", read=8), on=bare)
    assert cost.latency_ms == pytest.approx(assumptions.EAGER_OPERATOR_US / 1e3)
    assert cost.energy_mj > 0
    compiled = replace(bare, runtime="compiled")
    assert price(operator("copy"), on=compiled).latency_ms == pytest.approx(assumptions.LAUNCH_FLOOR_US / 1e3)


def test_energy_is_idle_power_and_so_much_for_each_byte():
    cost = price(operator("copy", read=800_000_000))
    busy = 0.8 / assumptions.OTHER_MEMORY_UTILISATION
    assert cost.energy_mj == pytest.approx(20 * (busy + 0.002) + MEMORY_POWER_SHARE * 80 * 0.8)


def test_everything_adds_up():
    parts = [
        operator("conv", 10**9, 10**6, 10**6),
        operator("norm", 10**6, 10**6, 10**6),
        operator("custom", 10, 10**7, 10, known=False),
    ]
    for runtime in set(RUNTIMES) - assumptions.WHOLE_GRAPH_RUNTIMES:
        whole = price(*parts, on=target(runtime))
        single = [price(part, on=target(runtime)) for part in parts]
        for name in ("latency_ms", "low_ms", "high_ms", "energy_mj"):
            assert getattr(whole, name) == pytest.approx(sum(getattr(cost, name) for cost in single)), name


def test_the_interval_holds_the_estimate_and_widens_for_the_unknown():
    known, unknown = (price(operator("custom", 10, 10**8, known=known)) for known in (True, False))
    assert known.latency_ms == unknown.latency_ms
    assert unknown.low_ms < known.low_ms < known.latency_ms < known.high_ms < unknown.high_ms
    assert unknown.unknown_operators == ("custom",)
    assert known.unknown_operators == ()


def test_what_comes_from_the_trace_is_passed_on():
    trace = traced(operator("gemm", 100, 30, 20), weights=1000, peak=500)
    cost = predict(trace, target())
    assert (cost.peak_memory_bytes, cost.activation_bytes, cost.params) == (1500, 11, 7)
    assert (cost.macs, cost.bytes_moved) == (50, 50)
    assert cost.target == "d/eager/fp16/b1/nchw"
    assert (cost.tier, cost.kind) == ("T0", "predicted")


SIZE = 1000


def chain(*kinds: str, residual: int | None = None) -> list[Operator]:
    """Operators that each read what the one before wrote; the last one may also read an earlier one."""
    made = []
    for index, kind in enumerate(kinds):
        sources = [(index - 1, SIZE)]
        if residual is not None and index == len(kinds) - 1:
            sources.append((residual, SIZE))
        made.append(operator(kind, 10, SIZE * len(sources), SIZE, sources))
    return made


def steps(operators: list[Operator], runtime: str = "tensorrt") -> list[tuple[bool, int]]:
    return [(step.is_kernel, step.bytes_moved) for step in executed(operators, runtime)]


def test_eager_fuses_nothing():
    assert steps(chain("conv", "pointwise", "pointwise"), "eager") == [(True, 2 * SIZE)] * 3


@pytest.mark.parametrize("runtime", sorted(set(RUNTIMES) - {"eager", "compiled"}))
@pytest.mark.parametrize("producer", ["conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "norm"])
def test_activations_join_their_producer(runtime, producer):
    assert steps(chain(producer, "pointwise", "pointwise"), runtime) == [
        (True, 2 * SIZE),
        (False, 0),
        (False, 0),
    ]


@pytest.mark.parametrize("producer", ["conv", "conv_depthwise", "conv_grouped", "gemm", "bmm", "sdpa"])
def test_a_compiler_that_calls_a_library_writes_what_follows_as_one_kernel(producer):
    found = steps(chain(producer, "pointwise", "pointwise"), "compiled")
    assert found == [(True, 2 * SIZE), (True, 2 * SIZE), (False, 0)]


@pytest.mark.parametrize(
    ("first", "second"), [("pointwise", "softmax"), ("softmax", "pointwise"), ("norm", "pointwise")]
)
def test_it_joins_what_streams(first, second):
    assert steps(chain(first, second), "compiled") == [(True, 2 * SIZE), (False, 0)]
    assert steps(chain("pointwise", "norm"), "compiled") == [(True, 2 * SIZE)] * 2


@pytest.mark.parametrize(
    ("device_class", "rules"), [("dc-gpu", "compiled"), ("x86-cpu", "compiled"), ("tpu", "whole-model")]
)
def test_compilers_of_accelerators_write_everything(device_class, rules):
    assert rules_of(target("compiled", device_class)) == rules
    assert rules_of(target("tensorrt", device_class)) == "tensorrt"


@pytest.mark.parametrize("producer", ["pool", "softmax", "copy", "sdpa", "custom", "reduce"])
def test_other_kinds_take_nothing_in(producer):
    assert steps(chain(producer, "pointwise")) == [(True, 2 * SIZE)] * 2


def test_pointwise_operators_on_the_input_are_one_kernel():
    assert steps(chain("pointwise", "pointwise")) == [(True, 2 * SIZE), (False, 0)]


def test_a_residual_is_still_read():
    assert steps(chain("conv", "conv", "pointwise", residual=0))[2] == (False, SIZE)
    assert steps(chain("conv", "conv", "pointwise", residual=-1))[2] == (False, SIZE)


def test_an_intermediate_that_others_read_is_still_written():
    operators = [*chain("conv", "pointwise"), operator("pool", 10, SIZE, SIZE, [(0, SIZE)])]
    assert steps(operators) == [(True, 2 * SIZE), (False, SIZE), (True, 2 * SIZE)]


def test_a_gate_is_not_fused_into_the_small_kernel_that_made_it():
    operators = [
        operator("conv", 10, SIZE, SIZE, [(-1, SIZE)]),
        operator("pool", 10, SIZE, 10, [(0, SIZE)]),
        operator("conv", 10, 10, 10, [(1, 10)]),
        operator("pointwise", 10, 10, 10, [(2, 10)]),
        operator("pointwise", 10, SIZE + 10, SIZE, [(0, SIZE), (3, 10)]),
    ]
    assert [is_kernel for is_kernel, _ in steps(operators)] == [True, True, True, False, True]


def test_every_runtime_says_what_it_fuses():
    assert set(JOINED) == set(RUNTIMES)


def test_fusion_makes_a_network_faster_and_no_smaller():
    operators = chain("conv", "pointwise", "conv", "pointwise")
    eager, compiled = (predict(traced(*operators), target(runtime)) for runtime in ("eager", "compiled"))
    assert compiled.latency_ms < eager.latency_ms
    assert compiled.energy_mj < eager.energy_mj
    assert compiled.bytes_moved == eager.bytes_moved
    assert len(compiled.operators) == len(eager.operators) == 4
