"""The utilisation model: how kernels, dispatch, launches, calibrations and power make up a cost."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hardware_cases import STEP, Function, device, operator, product, traced
from torch import nn

from nas.costs import CostTable, estimate, estimate_architecture, resolve_target
from nas.costs.calibration import Calibration, Correction, Size, Warmth
from nas.costs.columns import COLUMN_NAMES
from nas.costs.cost import DEFAULT_MODEL, Cost, cost_problem
from nas.costs.operators import Operator
from nas.costs.target import RUNTIMES, Figure, Target
from nas.costs.trace import trace
from nas.plugins import default_registry
from nas.spaces import load_space
from nas_hardware import assumptions, roofline
from nas_hardware.dispatch import dispatch_ms
from nas_hardware.fusion import executed
from nas_hardware.intervals import START
from nas_hardware.kernels import kernels_of
from nas_hardware.utilisation import NAME, VERSION, finish, predict

STREAM = operator("copy", read=50_000_000, written=50_000_000)
TINY = operator("pointwise", flops=10, read=10, written=10)
BLOCK = [
    operator(
        "conv",
        10**9,
        10**7,
        10**7,
        ((-1, 10**7),),
        batch=8,
        in_channels=64,
        out_channels=64,
        groups=1,
        out_0=99,
    ),
    operator("norm", 10**7, 10**7, 10**7, ((0, 10**7),)),
    operator("pointwise", 10**7, 10**7, 10**7, ((1, 10**7),)),
    operator("pool", 10**7, 10**7, 10**4, ((2, 10**7),)),
]
PLACES = [
    device(runtime, device_class, precision)
    for device_class, precision in (("dc-gpu", "fp16"), ("x86-cpu", "fp32"), ("npu", "int8"), ("tpu", "bf16"))
    for runtime in ("eager", "compiled", "whole-model")
]


def price(*operators: Operator, on: Target | None = None) -> Cost:
    return predict(traced(*operators), on or device())


def network() -> nn.Module:
    def block(channels: int, stride: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, groups=channels),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        )

    return nn.Sequential(
        *(block(64, 1) for _ in range(6)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


def of_network(target: Target, batch: int = 1, size: int = 56) -> Cost:
    precision = target.precision
    return predict(trace(network(), (64, size, size), batch, precision), replace(target, batch_size=batch))


def test_a_kernel_takes_its_launch_and_its_work():
    cost = price(STREAM)
    kernels = kernels_of(executed([STREAM], "compiled"), device())
    assert cost.latency_ms == pytest.approx(STEP + float(kernels.busy_ms[0]))
    assert cost.operators[0].latency_ms == cost.latency_ms
    assert (cost.tier, cost.kind, cost.model) == ("T0", "predicted", VERSION)


def test_it_is_the_default():
    assert DEFAULT_MODEL == NAME
    assert default_registry().cost_models[NAME].description


@pytest.mark.parametrize(
    "target", PLACES, ids=lambda target: f"{target.device.device_class}-{target.runtime}"
)
def test_everything_adds_up(target):
    empty, whole = price(on=target), price(*BLOCK, on=target)
    singles = [replace(one, sources=((-1, 8),)) for one in BLOCK]
    parts = [price(one, on=target) for one in singles]
    apart = price(*singles, on=target)
    for name in ("latency_ms", "low_ms", "high_ms", "energy_mj"):
        base = getattr(empty, name)
        total = base + sum(getattr(part, name) - base for part in parts)
        assert getattr(apart, name) == pytest.approx(total), name
    for cost in (empty, whole, apart, *parts):
        assert cost_problem(cost) is None
        assert cost.latency_ms == pytest.approx(empty.latency_ms + sum(o.latency_ms for o in cost.operators))


@pytest.mark.parametrize(
    "target", PLACES, ids=lambda target: f"{target.device.device_class}-{target.runtime}"
)
def test_an_empty_network_costs_its_start(target):
    cost = price(on=target)
    once = target.runtime == "whole-model" or target.device.device_class == "npu"
    assert cost.latency_ms == (0.002 if once else 0)
    assert (cost.low_ms, cost.high_ms) == (cost.latency_ms * START[0], cost.latency_ms * START[1])
    assert cost.energy_mj == pytest.approx(cost.latency_ms * 20)
    assert cost.operators == ()


def test_eager_dispatch_bounds_what_is_short_and_kernels_what_is_long():
    eager = device("eager")
    cost = price(TINY, STREAM, on=eager)
    (short, long) = cost.operators
    assert short.latency_ms == pytest.approx(float(dispatch_ms([TINY], eager)[0]))
    assert short.bound == "launch"
    assert long.latency_ms == pytest.approx(price(STREAM).latency_ms)
    assert long.bound == "memory"
    (large,) = price(product(8192, 8192, 8192), on=eager).operators
    assert large.bound == "compute"


def test_a_network_is_dispatch_bound_alone_and_kernel_bound_in_batches():
    eager = device("eager")
    alone, many = of_network(eager, 1, size=14), of_network(eager, 256)
    assert {one.bound for one in alone.operators} == {"launch"}
    dispatched = dispatch_ms(trace(network(), (64, 14, 14), 1, "fp16").operators, eager)
    assert alone.latency_ms == pytest.approx(float(dispatched.sum()))
    assert of_network(device("eager", eager_operator_us=20.0), 1, size=14).latency_ms == pytest.approx(
        2 * alone.latency_ms
    )
    maps = [one for one in many.operators if one.bytes_moved > 10**6]
    assert len(maps) > 30
    assert all(one.bound in ("compute", "memory") for one in maps)
    assert many.latency_ms > 3 * alone.latency_ms


@pytest.mark.parametrize("batch", [1, 8, 256])
def test_compiled_is_never_slower_than_eager(batch):
    eager, compiled = of_network(device("eager"), batch), of_network(device("compiled"), batch)
    assert compiled.latency_ms < eager.latency_ms
    assert compiled.energy_mj < eager.energy_mj
    assert len(compiled.operators) == len(eager.operators)
    assert all(
        fused.latency_ms <= apart.latency_ms
        for fused, apart in zip(compiled.operators, eager.operators, strict=True)
    )


def test_compiled_launches_less():
    steps = executed(BLOCK, "compiled")
    assert sum(step.is_kernel for step in steps) < len(BLOCK)
    slow, slower = (price(*BLOCK, on=device(launch_floor_us=floor)).latency_ms for floor in (10, 15))
    assert slower - slow == pytest.approx(0.005 * sum(step.is_kernel for step in steps))


@pytest.mark.parametrize("target", [device("tflite", "npu", "int8"), device("whole-model")])
def test_a_whole_graph_is_launched_once(target):
    none, one, two = (price(*[STREAM] * count, on=target).latency_ms for count in range(3))
    assert none == 0.002
    assert two - one == pytest.approx(one - none)
    assert all(operator.bound != "launch" for operator in price(STREAM, STREAM, on=target).operators)


@pytest.mark.parametrize("device_class", ["x86-cpu", "arm-cpu"])
def test_a_processor_dispatches_and_computes_in_turn(device_class):
    eager = device("eager", device_class, "fp32")
    cost = price(*BLOCK, on=eager)
    steps = executed(BLOCK, "eager")
    expected = float(kernels_of(steps, eager).busy_ms.sum() + dispatch_ms(BLOCK, eager).sum())
    assert cost.latency_ms == pytest.approx(expected)


def test_more_work_is_never_cheaper_and_a_faster_device_never_slower():
    sizes = [of_network(device("eager"), 8, size).latency_ms for size in (1, 7, 14, 28, 56, 112)]
    batches = [of_network(device("eager"), batch).latency_ms for batch in (1, 2, 4, 16, 64)]
    for times in (sizes, batches):
        assert times == sorted(times)
    before = of_network(device("eager"), 8).latency_ms
    for name, factor in {
        "fp16_tflops": 2,
        "fp32_tflops": 2,
        "memory_bandwidth_gbs": 2,
        "cache_mb": 4,
        "base_clock_mhz": 2,
        "launch_floor_us": 0.5,
        "eager_operator_us": 0.5,
    }.items():
        figure = device().figures[name].value * factor
        assert of_network(device("eager", **{name: figure}), 8).latency_ms <= before * (1 + 1e-9), name


def test_precisions_on_units_of_their_own_are_faster():
    times = [of_network(device(precision=precision), 64).latency_ms for precision in ("fp32", "fp16")]
    assert times[1] < times[0]
    large = [
        price(product(8192, 8192, 8192), on=device(precision=precision)).latency_ms
        for precision in ("fp32", "tf32", "fp16", "int8")
    ]
    assert large == sorted(large, reverse=True)
    assert large[0] > 5 * large[2]


def test_missing_figures_are_assumed():
    names = (
        "units",
        "clock_mhz",
        "base_clock_mhz",
        "cache_mb",
        "launch_floor_us",
        "eager_operator_us",
        "tdp_w",
        "idle_w",
    )
    bare = device("eager", **dict.fromkeys(names, 0.0))
    assert price(TINY, on=bare).latency_ms == pytest.approx(assumptions.EAGER_OPERATOR_US / 1e3)
    assert of_network(bare, 8).energy_mj > 0
    alone = price(TINY, on=replace(bare, runtime="compiled"))
    assert alone.latency_ms == pytest.approx(STEP, rel=0.01)


def test_unknown_operators_are_named_priced_and_least_sure():
    known, unknown = (price(operator("custom", 10, 10**8, known=known)) for known in (True, False))
    assert known.latency_ms == unknown.latency_ms > 0
    assert unknown.low_ms < known.low_ms < known.latency_ms < known.high_ms < unknown.high_ms
    assert (unknown.unknown_operators, known.unknown_operators) == (("custom",), ())
    assert not unknown.operators[0].known


def calibrated(**changes) -> Target:
    made = Calibration("T2", NAME, "test", **{"low": 0.9, "high": 1.2, **changes})
    return device(calibration=made)


def test_a_calibration_scales_kernels_names_its_tier_and_sets_the_interval():
    plain, scaled = price(*BLOCK), price(*BLOCK, on=calibrated(scale=2.0))
    kernels = sum(step.is_kernel for step in executed(BLOCK, "compiled"))
    launches = STEP * kernels
    assert scaled.latency_ms == pytest.approx(launches + 2 * (plain.latency_ms - launches))
    assert (scaled.tier, plain.tier) == ("T2", "T0")
    assert scaled.low_ms == pytest.approx(0.9 * scaled.latency_ms)
    assert scaled.high_ms == pytest.approx(1.2 * scaled.latency_ms)


def test_a_calibration_corrects_kinds_one_by_one():
    slow_norms = {"norm": Correction(scale=3.0, kernels=9, smallest=0.1, largest=10.0)}
    plain = price(*BLOCK).operators
    found = price(*BLOCK, on=calibrated(corrections=slow_norms)).operators
    ratios = [(found[place].latency_ms - STEP) / (plain[place].latency_ms - STEP) for place in (0, 1, 3)]
    assert ratios == pytest.approx([1.0, 3.0, 1.0])


def test_a_calibration_of_another_model_changes_figures_alone():
    figures = {"memory_bandwidth_gbs": Figure(500.0, "measured")}
    other = device(
        calibration=Calibration("T2", "roofline", "test", scale=9.0, low=0.99, high=1.01, figures=figures)
    )
    assert price(*BLOCK, on=other) == replace(
        price(*BLOCK, on=device(memory_bandwidth_gbs=500.0)), target=other.label
    )


def test_a_measured_processor_rests_on_its_own_kernels_alone():
    target = device("eager", "x86-cpu", "fp32", "Intel")
    calibration = Calibration("T2", NAME, "me, today", scale=1.5, low=0.9, high=1.2)
    measured = price(product(512, 512, 512), TINY, on=replace(target, calibration=calibration))
    alone = replace(target, calibration=replace(calibration, model=roofline.NAME))
    expected = roofline.predict(traced(product(512, 512, 512), TINY), alone)
    assert measured == replace(expected, model=VERSION)
    assert measured.tier == "T2"
    assert measured.low_ms == pytest.approx(0.9 * measured.latency_ms)
    assert measured.latency_ms != price(product(512, 512, 512), TINY, on=target).latency_ms


def test_short_networks_of_a_measured_processor_are_quicker_as_a_whole():
    """Operators too, so that they still add up; what energy there is stays."""
    target = device("eager", "x86-cpu", "fp32", "Intel")
    calibration = Calibration("T2", NAME, "me, today", low=0.9, high=1.2)
    cold = price(product(512, 512, 512), TINY, on=replace(target, calibration=calibration))
    warmth = Warmth(below_ms=4 * cold.latency_ms, power=0.5)
    warm = price(
        product(512, 512, 512), TINY, on=replace(target, calibration=replace(calibration, warmth=warmth))
    )
    assert warm.latency_ms == pytest.approx(0.5 * cold.latency_ms)
    assert (warm.low_ms, warm.high_ms) == pytest.approx((0.45 * cold.latency_ms, 0.6 * cold.latency_ms))
    assert sum(operator.latency_ms for operator in warm.operators) == pytest.approx(warm.latency_ms)
    assert (warm.amounts, warm.energy_mj) == (cold.amounts, cold.energy_mj)


def test_a_network_is_priced_at_what_it_moves_itself():
    """Twice as slow for each factor e of traffic: two layers take more than the sum of each alone, and their
    amounts add up all the same."""
    size = Size(centre=math.log(4e6), width=1.0, weight=0.5, low=-2.0, high=2.0)
    correction = Correction(1.0, 30, 0.01, 100.0, sizes={"traffic": size})
    calibration = Calibration(
        "T2", NAME, "me, today", low=0.9, high=1.2, corrections={"gemm": correction, "pointwise": correction}
    )
    target = replace(device("eager", "x86-cpu", "fp32", "Intel"), calibration=calibration)
    parts = product(512, 512, 512), product(1024, 512, 512)
    one, other = (price(part, on=target) for part in parts)
    both = price(*parts, on=target)
    assert both.latency_ms > 1.1 * (one.latency_ms + other.latency_ms)
    assert np.add(one.amounts, other.amounts) == pytest.approx(both.amounts)
    found = finish(np.array([both.amounts, one.amounts]), target)
    for cost, row in zip((both, one), found, strict=True):
        assert row == pytest.approx([cost.latency_ms, cost.low_ms, cost.high_ms, cost.energy_mj])
        assert cost.low_ms == pytest.approx(0.9 * cost.latency_ms)
        assert sum(operator.latency_ms for operator in cost.operators) == pytest.approx(cost.latency_ms)


def test_measured_figures_are_used_everywhere():
    figures = {
        "memory_bandwidth_gbs": Figure(500.0, "measured"),
        "launch_floor_us": Figure(8.0, "measured"),
        "eager_operator_us": Figure(40.0, "measured"),
    }
    made = Calibration("T1", NAME, "test", figures=figures)
    for runtime in ("compiled", "eager"):
        slower = device(runtime, memory_bandwidth_gbs=500.0, launch_floor_us=8.0, eager_operator_us=40.0)
        found, expected = (
            price(STREAM, TINY, on=device(runtime, calibration=made)),
            price(STREAM, TINY, on=slower),
        )
        assert found.latency_ms == pytest.approx(expected.latency_ms)
        assert found.energy_mj == pytest.approx(expected.energy_mj)


@pytest.mark.parametrize(
    "target", PLACES, ids=lambda target: f"{target.device.device_class}-{target.runtime}"
)
def test_energy_lies_between_idle_and_design_power(target):
    for cost in (price(*BLOCK, on=target), price(product(8192, 8192, 8192), STREAM, on=target)):
        assert 20 * cost.latency_ms * (1 - 1e-9) <= cost.energy_mj <= 100 * cost.latency_ms * (1 + 1e-9)
    waiting = price(TINY, on=target)
    assert waiting.energy_mj == pytest.approx(20 * waiting.latency_ms, rel=0.05)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ["a100", "rtx3090", "p100", "pixel6", "cpu", "tpu-v4", "snapdragon845-gpu"])
def test_shipped_targets_in_every_runtime(name, runtime):
    target = replace(resolve_target(name), runtime=runtime)
    cost = predict(trace(network(), (64, 28, 28), 2, target.precision), target)
    assert cost_problem(cost) is None
    assert cost.low_ms < cost.latency_ms < cost.high_ms
    assert cost.energy_mj > 0


def test_the_layout_and_what_the_trace_counts_are_passed_on():
    target = replace(resolve_target("a100"), layout="nhwc", precision="amp-fp16")
    found = trace(network(), (64, 28, 28), 2, "amp-fp16")
    cost = predict(found, target)
    assert cost.target == target.label
    assert (cost.params, cost.macs, cost.bytes_moved) == (found.params, found.macs, found.bytes_moved)
    assert cost.activation_bytes == found.activation_bytes
    assert [one.name for one in cost.operators] == [one.name for one in found.operators]


def test_sizes_that_kernels_like_less_take_longer_for_each_multiply_add():
    """What makes it better than a roofline: thin products do not run at the peak of square ones."""
    square, thin = product(4096, 4096, 4096), product(4096 * 4096 // 16, 16, 4096)
    per_flop = [(price(one).latency_ms - STEP) / one.flops for one in (square, thin)]
    assert per_flop[1] > 2 * per_flop[0]


def test_attention_takes_its_products():
    def attend(x):
        return nn.functional.scaled_dot_product_attention(x, x, x)

    short, long = (
        predict(trace(Function(attend), (8, length, 64), 16, "fp16"), device()).latency_ms
        for length in (1024, 4096)
    )
    assert 10 < long / short < 20


@pytest.fixture(scope="module")
def tiny():
    return load_space("tiny", default_registry())


def test_the_cost_table_equals_the_estimate(tiny):
    registry = default_registry()
    targets = [
        resolve_target("a100", registry, batch_size=8),
        resolve_target("rtx3090", registry, runtime="eager", precision="amp-fp16"),
        resolve_target("pixel6", registry),
        resolve_target("coral", registry),
    ]
    table = CostTable(tiny, targets, registry)
    vectors = tiny.sample_vectors(3, np.random.default_rng(5))
    columns = table.costs(vectors)
    assert set(table.tiers.values()) == {"T0"}
    assert {"latency", "latency_low", "latency_high", "energy"} <= set(COLUMN_NAMES)
    for place, vector in enumerate(vectors):
        architecture = tiny.decode(vector)
        for target in targets:
            one = estimate_architecture(architecture, target, registry)
            assert one.model == VERSION
            figures = {
                "latency": one.latency_ms,
                "latency_low": one.low_ms,
                "latency_high": one.high_ms,
                "energy": one.energy_mj,
                "peak_memory": one.peak_memory_bytes,
            }
            for name, value in figures.items():
                found = columns.column(f"{name}@{target.name}")[place]
                assert found == pytest.approx(value, rel=1e-9), (name, target.name)


def test_estimates_name_the_model():
    assert estimate(nn.Linear(8, 4), (8,), target="a100").model == VERSION
    assert estimate(nn.Linear(8, 4), (8,), target="a100", model="roofline").model != VERSION
