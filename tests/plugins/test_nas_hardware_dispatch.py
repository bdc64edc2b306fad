"""What the host spends on eager operators: by kind, by channel, in the unit of the target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from nas.costs import resolve_target
from nas.costs.operators import Operator
from nas.costs.target import Device, Figure, Target
from nas.costs.trace import trace
from nas_hardware.dispatch import combined_ms, dispatch_ms, fitted, on_cpu


def target(device_class: str = "dc-gpu", runtime: str = "eager", **figures: float) -> Target:
    values = {name: Figure(value, "test") for name, value in figures.items()}
    return Target("x", Device("x", device_class, "v", values), "fp32", 1, runtime)


def operator(kind: str, channels: int = 32, kernel: int = 3, weight_bytes: int = 0) -> Operator:
    dims = (("out_channels", channels), ("kernel_0", kernel), ("kernel_1", kernel))
    return Operator(kind, kind, "", 0, 0, 64, 64, weight_bytes, dims=dims if kind.startswith("conv") else ())


def test_only_eager_runtimes_dispatch():
    operators = [operator("conv"), operator("norm")]
    for runtime in ("compiled", "onnxruntime", "tflite", "tensorrt"):
        assert dispatch_ms(operators, target(runtime=runtime, eager_operator_us=10)).tolist() == [0, 0]


def test_no_operators_take_no_time():
    for device_class in ("dc-gpu", "x86-cpu"):
        found = dispatch_ms([], target(device_class, eager_operator_us=10))
        assert found.shape == (0,)
        assert found.dtype == np.float64


def test_a_pointwise_operator_is_the_unit():
    for device_class in ("consumer-gpu", "dc-gpu", "x86-cpu", "arm-cpu"):
        found = dispatch_ms([operator("pointwise")], target(device_class, eager_operator_us=31))
        assert found == pytest.approx([0.031])


def test_kinds_cost_their_share_of_the_unit():
    ratios = fitted()["gpu"]["relative"]
    found = dispatch_ms([operator(kind) for kind in ratios], target(eager_operator_us=10))
    assert found == pytest.approx([ratio * 10 / 1e3 for ratio in ratios.values()])


def test_a_kind_without_a_ratio_has_the_one_of_the_rest():
    for device_class, table in (("dc-gpu", "gpu"), ("arm-cpu", "cpu")):
        found = dispatch_ms([operator("custom")], target(device_class, eager_operator_us=10))
        assert found == pytest.approx([fitted()[table]["other"] / 100])


def test_without_the_figure_there_is_an_assumed_unit():
    assert dispatch_ms([operator("pointwise")], target()) == pytest.approx([0.01])


def test_grouped_convolutions_cost_more_than_dense_ones_and_those_more_than_activations():
    for device_class in ("dc-gpu", "x86-cpu", "arm-cpu"):
        kinds = [operator(kind) for kind in ("pointwise", "conv", "conv_grouped")]
        found = dispatch_ms(kinds, target(device_class, eager_operator_us=5))
        assert found[0] < found[1] < found[2]


def test_norms_cost_by_the_channel_where_the_target_says_so():
    norms = [operator("norm", weight_bytes=16 * channels) for channels in (10, 1000)]
    without = dispatch_ms(norms, target("x86-cpu", eager_operator_us=5))
    assert without[0] == without[1]
    with_channels = dispatch_ms(norms, target("x86-cpu", eager_operator_us=5, eager_norm_channel_us=2))
    assert with_channels - without == pytest.approx([0.02, 2.0])


def test_gpus_have_no_cost_by_the_channel():
    norms = [operator("norm", weight_bytes=16 * channels) for channels in (10, 1000)]
    found = dispatch_ms(norms, target("dc-gpu", eager_operator_us=5, eager_norm_channel_us=2))
    assert found[0] == found[1]


def test_the_channels_of_a_norm_are_those_of_the_module():
    module = nn.BatchNorm2d(48)
    operators = trace(module, (48, 4, 4)).operators
    plain = dispatch_ms(operators, target("arm-cpu", eager_operator_us=5))
    found = dispatch_ms(operators, target("arm-cpu", eager_operator_us=5, eager_norm_channel_us=1))
    assert (found - plain).sum() == pytest.approx(0.048)


@pytest.mark.parametrize(
    ("channels", "is_odd"), [(16, False), (24, True), (32, False), (72, False), (5, True)]
)
def test_depthwise_channels_that_leave_lanes_empty_run_one_by_one_on_x86(channels, is_odd):
    place = target("x86-cpu", eager_operator_us=10)
    usual, odd = dispatch_ms(
        [operator("conv_depthwise", 64), operator("conv_depthwise", channels, kernel=3)], place
    )
    cost = fitted()["cpu"]["odd_depthwise"]
    extra = channels * (cost["per_channel"] + 9 * cost["per_channel_and_tap"]) / 100 if is_odd else 0.0
    assert odd - usual == pytest.approx(extra)


def test_more_taps_never_cost_less_on_odd_channels():
    found = dispatch_ms(
        [operator("conv_depthwise", 24, kernel) for kernel in (1, 3, 5, 7)],
        target("x86-cpu", eager_operator_us=9),
    )
    assert (np.diff(found) > 0).all()
    arm = dispatch_ms(
        [operator("conv_depthwise", c) for c in (24, 32)], target("arm-cpu", eager_operator_us=9)
    )
    assert arm[0] == arm[1]


def test_dense_convolutions_have_no_odd_channels():
    found = dispatch_ms([operator("conv", c) for c in (24, 32)], target("x86-cpu", eager_operator_us=9))
    assert found[0] == found[1]


def test_dispatch_grows_with_its_figures_alone():
    operators = trace(nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU()), (3, 8, 8)).operators
    large = trace(nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.ReLU()), (3, 64, 64)).operators
    for device_class in ("dc-gpu", "x86-cpu"):
        slow, fast = (target(device_class, eager_operator_us=unit) for unit in (20, 10))
        assert dispatch_ms(operators, slow) == pytest.approx(2 * dispatch_ms(operators, fast))
        assert dispatch_ms(large, slow) == pytest.approx(dispatch_ms(operators, slow))


def test_a_cpu_takes_both_times_and_an_accelerator_the_longer_one():
    dispatch, kernel = np.array([1.0, 5.0]), np.array([4.0, 2.0])
    assert combined_ms(dispatch, kernel, target("x86-cpu")).tolist() == [5, 7]
    for device_class in ("dc-gpu", "mobile-gpu", "npu"):
        assert combined_ms(dispatch, kernel, target(device_class)).tolist() == [4, 5]


@pytest.mark.parametrize(("name", "is_cpu"), [("silver-4114", True), ("pixel2", True), ("titanxp", False)])
def test_shipped_targets_know_their_host(name, is_cpu):
    place = replace(resolve_target(name), runtime="eager")
    assert on_cpu(place) is is_cpu
    norm = operator("norm", weight_bytes=16 * 100)
    plain = dispatch_ms([replace(norm, weight_bytes=0)], place)
    assert (dispatch_ms([norm], place) > plain).all() == is_cpu


def test_every_ratio_is_of_a_kind_and_has_a_source():
    from nas.costs.operators import KINDS

    table = fitted()
    for host in ("gpu", "cpu"):
        assert set(table[host]["relative"]) <= set(KINDS)
        assert all(0.5 <= ratio <= 50 for ratio in table[host]["relative"].values())
    for source in table["sources"]:
        assert {"what", "from", "split", "date"} <= set(source)
