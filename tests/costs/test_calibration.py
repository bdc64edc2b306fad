"""Calibrations: what they multiply, what a file of them holds, and where they are kept."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from nas.costs import Device, Figure, Target, read_target, resolve_target
from nas.costs.calibration import SIZES, Bounds, Calibration, Correction, Point, Size, Warmth, sizes_of
from nas.costs.measuring.fit import POINTS
from nas.costs.operators import KINDS, Operator
from nas.costs.reading import Reading
from nas.costs.target_text import target_text
from nas.costs.trace import trace
from nas.errors import TargetError, UnknownNameError, UsageError


def operator(kind: str = "pointwise", name: str = "relu", flops: int = 100, **dims: int) -> Operator:
    return Operator(name, kind, "", 0, flops, 400, 400, 40, dims=tuple(dims.items()))


def target(calibration: Calibration | None = None) -> Target:
    figures = {
        "fp32_tflops": Figure(1.0, "a sheet", "high"),
        "fp16_tflops": Figure(2.0, "a sheet", "high"),
        "memory_bandwidth_gbs": Figure(10.0, "a sheet", "high"),
        "launch_floor_us": Figure(1.0, "a sheet", "high"),
        "eager_operator_us": Figure(1.0, "a sheet", "high"),
    }
    device = Device("board", "dc-gpu", "Somebody", figures, architecture="Old GX1 sm30")
    return Target("board", device, "fp32", 1, "eager", calibration=calibration)


def calibration(**changes: object) -> Calibration:
    return replace(Calibration("T2", "roofline", "me, today", low=0.8, high=1.25), **changes)  # type: ignore[arg-type]


def test_one_scale_multiplies_everything():
    found = calibration(scale=1.5).factors([operator(), operator("conv")])
    assert found.tolist() == [[1.5, 1.5]]
    assert calibration().factors([], (1e6, 4e6)).shape == (2, 0)


def test_a_kind_has_its_own_scale_and_its_operators_theirs():
    correction = Correction(2.0, 5, 0.1, 10.0, names={"gelu": 3.0})
    found = calibration(scale=0.5, corrections={"pointwise": correction})
    operators = [operator(), operator(name="gelu"), operator("norm")]
    assert found.factors(operators)[0] == pytest.approx([2.0, 6.0, 0.5])


def test_what_comes_on_top_goes_by_the_kind():
    corrections = {"conv": Correction(2.0, 5, 0.1, 10.0, added_ms=0.25)}
    found = calibration(corrections=corrections).added_ms([operator("conv"), operator()])
    assert found.tolist() == [0.25, 0.0]
    assert calibration().added_ms([]).shape == (0,)


def test_an_operator_with_a_correction_of_its_own_has_that_alone():
    corrections = {
        "pointwise": Correction(2.0, 50, 0.1, 10.0, added_ms=0.25),
        "pointwise/gelu": Correction(3.0, 12, 0.1, 10.0, added_ms=0.5),
    }
    found = calibration(corrections=corrections)
    operators = [operator(name="gelu"), operator(name="relu"), operator("norm", name="gelu")]
    assert found.factors(operators)[0] == pytest.approx([3.0, 2.0, 1.0])
    assert found.added_ms(operators).tolist() == [0.5, 0.25, 0.0]


def test_a_factor_is_a_power_of_a_size_within_what_was_measured():
    width = np.log(10.0)
    size = Size(centre=np.log(100.0), width=width, weight=width * 0.5, low=-1.0, high=1.0)
    correction = Correction(1.0, 30, 0.2, 2.0, sizes={"flops": size})
    found = calibration(corrections={"pointwise": correction})
    factors = found.factors([operator(flops=flops) for flops in (100, 1000, 10**6, 10, 1)])[0]
    assert factors[0] == pytest.approx(1.0)
    assert factors[1] == pytest.approx(2.0), "the square root of 10, held to the largest factor"
    assert factors[2] == factors[1], "nothing is extrapolated"
    assert factors[3] == factors[4] == pytest.approx(10**-0.5)


def test_a_point_pulls_what_is_near():
    size = Size(centre=0.0, width=1.0, weight=0.0, low=0.0, high=100.0)
    point = Point((float(np.log(100.0)),), float(np.log(3.0)))
    correction = Correction(1.0, 30, 0.1, 10.0, sizes={"flops": size}, points=(point,), reach=1.0)
    operators = [operator(flops=100), operator(flops=10**9)]
    near, far = calibration(corrections={"pointwise": correction}).factors(operators)[0]
    assert near == pytest.approx(3.0)
    assert far == pytest.approx(1.0)


def test_sizes_see_a_convolution_as_a_matrix_product():
    dims = {"batch": 2, "in_channels": 8, "out_channels": 16, "groups": 4, "kernel_0": 3, "kernel_1": 5}
    found = sizes_of([operator("conv_grouped", **dims, stride_0=2, stride_1=2, out_0=7, out_1=6)])
    expected = {
        "rows": 2 * 42,
        "columns": 4,
        "inner": 2,
        "groups": 4,
        "taps": 15,
        "stride": 2,
        "misaligned": 2,
        "innermost": 1,
        "scattered": 1,
        "transposed": 1,
        "dilation": 1,
        "dimensions": 2,
        "traffic": 1,
    }
    assert {name: found[name].item() for name in expected} == expected
    assert found["bytes"].item() == 800
    assert set(found) == set(SIZES)
    larger = sizes_of([operator("conv", **dims, stride_0=2, stride_1=2, out_0=7, out_1=6, transposed=1)])
    assert larger["transposed"].item() == 2
    narrow = sizes_of([operator("conv", kernel_0=3, dilation_0=4, out_0=7)], [5e6])
    assert {name: narrow[name].item() for name in ("dilation", "dimensions", "traffic")} == {
        "dilation": 4,
        "dimensions": 1,
        "traffic": 5e6,
    }


def test_sizes_are_of_each_operator_and_traffic_of_each_network():
    found = sizes_of([operator(), operator(), operator()], [2e6, 0.0])
    assert found["traffic"].tolist() == [[2e6], [1.0]]
    assert {values.shape for name, values in found.items() if name != "traffic"} == {(3,)}
    assert sizes_of([])["flops"].shape == (0,)


def test_a_factor_may_depend_on_what_the_network_moves():
    size = Size(centre=math.log(4e6), width=1.0, weight=0.5, low=-1.0, high=1.0)
    correction = Correction(1.0, 20, 0.1, 10.0, sizes={"traffic": size})
    found = calibration(corrections={"conv": correction})
    assert (
        found.knows_traffic and not calibration(corrections={"conv": Correction(1.0, 3, 1, 1)}).knows_traffic
    )
    operators = [operator("conv"), operator("norm")]
    middle, much = found.factors(operators, [4e6, 1e9])
    assert middle == pytest.approx([1.0, 1.0])
    assert much == pytest.approx([math.exp(0.5), 1.0])
    assert found.factors(operators)[0] == pytest.approx([math.exp(-0.5), 1.0]), "the least that was measured"


@pytest.mark.parametrize(
    ("order", "innermost", "scattered"),
    [("alike", 1, 1), ("innermost", 2, 1), ("spread", 1, 2), ("transposed", 1, 4)],
)
def test_sizes_see_how_tensors_lie_in_memory(order, innermost, scattered):
    found = sizes_of([replace(operator(), order=order)])
    assert (found["innermost"].item(), found["scattered"].item()) == (innermost, scattered)


def test_sizes_see_what_a_norm_takes_together():
    assert sizes_of([operator("norm", normalized=48)])["columns"].item() == 48


def test_measured_figures_stand_in_the_place_of_the_datasheet():
    plain = target(calibration(figures={"fp32_tflops": Figure(0.7, "measured", "measured")}))
    assert plain.figures["fp32_tflops"].value == 0.7
    assert plain.figures["memory_bandwidth_gbs"].value == 10.0
    assert plain.device.figures["fp32_tflops"].value == 1.0


def full() -> Calibration:
    size = Size(centre=9.25, width=1.5, weight=-0.125, low=-2.0, high=2.5)
    conv = Correction(1.1, 40, 0.5, 4.0, {"a.b": 1.25}, {"flops": size}, (Point((0.5,), -0.25),), 2.0, 0.125)
    return calibration(
        scale=0.9,
        corrections={"conv": conv, "rnn": Correction(3.0, 4, 2.0, 5.0), "norm/mine.norm": conv},
        figures={"fp32_tflops": Figure(0.7, "measured", "measured")},
        conditions={"host": 'a "b" \\ c', "threads": "1"},
        reference=Reading(0.0225, 0.075),
        warmth=Warmth(3.5, 0.0625),
        bounds={"gemm": Bounds(0.5, 2.5)},
    )


def test_a_file_says_all_of_it(tmp_path):
    path = tmp_path / "board.toml"
    path.write_text(target_text(target(full())), encoding="utf-8")
    assert read_target(path) == target(full())


def test_a_file_with_another_reference_is_read_without_it(tmp_path):
    """Files of before have one number: what a reference took that there is no more."""
    text = target_text(target(full()))
    line = next(line for line in text.splitlines() if line.startswith("reference = "))
    path = tmp_path / "board.toml"
    path.write_text(text.replace(line, "reference_ms = 0.0225"), encoding="utf-8")
    assert read_target(path) == target(replace(full(), reference=None))


def test_sizes_see_the_layers_and_directions_of_a_recurrent_operator():
    one, both = (
        sizes_of(trace(nn.GRU(8, 16, batch_first=True, bidirectional=both), (5, 8)).operators)
        for both in (False, True)
    )
    assert one["groups"].max() == 2 and both["groups"].max() == 4
    assert one["rows"].max() == both["rows"].max() == 5


def test_operators_have_the_bounds_of_their_kind():
    lows, highs = full().bounds_of(["gemm", "conv", "gemm"])
    assert lows.tolist() == [0.5, full().low, 0.5]
    assert highs.tolist() == [2.5, full().high, 2.5]


def test_short_networks_are_quicker():
    factors = Warmth(below_ms=2.0, power=0.25).factors(np.array([0.0, 0.125, 2.0, 50.0]))
    assert factors == pytest.approx([0.0, 0.5, 1.0, 1.0])


WRONG = {
    "an unknown kind": ("corrections.rnn", "corrections.run", ["run", "rnn"]),
    "an operator of an unknown kind": ('"norm/mine.norm"', '"norms/mine.norm"', ["norms", "norm"]),
    "a reference that takes no time": ("product_ms = 0.0225", "product_ms = 0.0", ["product_ms"]),
    "bounds of an unknown kind": ("bounds.gemm", "bounds.gem", ["gem", "gemm"]),
    "bounds without the prediction": ("low = 0.5, high = 2.5", "low = 1.5, high = 2.5", ["bounds.gemm.low"]),
    "half a reference": ("product_ms = 0.0225, ", "", ["reference.product_ms"]),
    "short networks that are slower": ("power = 0.0625", "power = -0.5", ["warmth.power"]),
    "an unknown size": ("sizes.flops", "sizes.flop", ["flop", "flops"]),
    "a place of too few numbers": ("[0.5, -0.25]", "[0.5]", ["point"]),
    "a scale that is no number": ("scale = 0.9", 'scale = "x"', ["calibration.scale"]),
    "a scale of zero": ("scale = 0.9", "scale = 0.0", ["calibration.scale"]),
    "less than nothing on top": ("added_ms = 0.125", "added_ms = -1.0", ["added_ms"]),
    "an endless factor": ("largest = 5.0", "largest = inf", ["largest"]),
    "a scale beyond its own bounds": ("largest = 5.0", "largest = 2.5", ["scale"]),
    "an interval without the prediction": ("high = 1.25", "high = 0.9", ["high"]),
    "an unknown tier": ('tier = "T2"', 'tier = "T7"', ["tier"]),
    "an unknown figure": ("[calibration.figures]\nfp32", "[calibration.figures]\nfp31", ["fp31_tflops"]),
    "an unknown key": ("kernels = 4", "kernel = 4", ["kernel"]),
}


def test_the_largest_calibration_is_read_again(tmp_path):
    """Each kind with as many points as there are, of every size."""
    size = Size(-12.345678901234567, 1.2345678901234567, -0.12345678901234567, -3.4567890123456789, 3.25)
    places = np.random.default_rng(0).normal(size=(POINTS, len(SIZES))).round(4).tolist()
    points = tuple(Point(tuple(place), -0.123456) for place in places)
    correction = replace(full().corrections["rnn"], sizes=dict.fromkeys(SIZES, size), points=points)
    whole = calibration(corrections=dict.fromkeys(KINDS, correction))
    path = tmp_path / "large.toml"
    path.write_text(target_text(target(whole)), encoding="utf-8")
    assert read_target(path).calibration == whole


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_is_named(tmp_path, what):
    old, new, words = WRONG[what]
    text = target_text(target(full()))
    assert old in text
    path = tmp_path / "wrong.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(TargetError) as raised:
        read_target(path)
    message = str(raised.value)
    assert "wrong.toml" in message and "\n" not in message
    assert all(word in message for word in words), message


def test_another_profile_leaves_the_calibration_out():
    found = target(full())
    assert resolve_target(found, batch_size=8).calibration == full()
    for change in ({"precision": "fp16"}, {"runtime": "compiled"}, {"layout": "nhwc"}):
        assert resolve_target(found, **change).calibration is None  # type: ignore[arg-type]


def test_the_roofline_is_multiplied_and_says_its_tier():
    from torch import nn

    from nas.costs import estimate

    module = nn.Sequential(nn.Linear(512, 512), nn.ReLU())
    plain = estimate(module, (512,), target(), model="roofline")
    twice = estimate(module, (512,), target(calibration(scale=2.0)), model="roofline")
    floor = 1e-3 * len(plain.operators)  # a launch for each
    assert plain.tier == "T0" and twice.tier == "T2"
    assert twice.latency_ms - floor == pytest.approx(2 * (plain.latency_ms - floor))
    assert (twice.low_ms, twice.high_ms) == pytest.approx((0.8 * twice.latency_ms, 1.25 * twice.latency_ms))
    other = estimate(module, (512,), target(calibration(scale=2.0, model="another")), model="roofline")
    assert (other.latency_ms, other.tier) == (plain.latency_ms, "T0"), "it was not fitted to this model"


@pytest.mark.parametrize("reference", ["thi", "ths"])
def test_this_is_offered(reference):
    with pytest.raises(UnknownNameError, match="this"):
        resolve_target(reference)


def test_a_target_of_another_machine_is_not_measured_here():
    from nas.costs.this import machine_of

    with pytest.raises(UsageError, match="cannot be measured here"):
        machine_of(resolve_target("rpi5"))
