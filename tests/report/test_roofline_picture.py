"""The roofline: dots where the operators stand, below the lines of the datasheet."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nas.costs import Cost, Device, Figure, OperatorCost, Target
from nas.costs.speed import speed_of
from nas.errors import NasError, UsageError
from nas.report.breakdown import Breakdown
from nas.report.cost_page import cost_html, write_cost_page
from nas.report.roofline import (
    LARGEST_RADIUS,
    LEAST_RADIUS,
    MOST_DOTS,
    Roofline,
    kernels_of,
    roofline,
    study_rooflines,
)

PEAK, VECTOR, BANDWIDTH = 1e11, 1e10, 1e9
"""Operations and bytes per millisecond."""
FIGURES = {
    "fp16_tflops": Figure(100.0, "datasheet", "high"),
    "fp32_tflops": Figure(10.0, "datasheet", "high"),
    "memory_bandwidth_gbs": Figure(1000.0, "datasheet", "low"),
}
TARGET = Target("board", Device("board", "dc-gpu", "me", FIGURES), "fp16")


def operator(
    flops: float, moved: float, latency: float, bound: str = "memory", name: str = "mm"
) -> OperatorCost:
    return OperatorCost(
        name, "gemm", f"layers.{name}", int(flops) // 2, int(flops), int(moved), latency, bound
    )


def cost_of(*operators: OperatorCost) -> Cost:
    total = sum(op.latency_ms for op in operators)
    label = "board/compiled/fp16/b1/nchw"
    return Cost(label, "predicted", "T0", "m 1", total, total / 2, 2 * total, 10, 1.0, 5, 5, 5, 5, operators)


FAST = operator(5e10, 5e8, 1.0, "compute")
SLOW = operator(1e9, 1e9, 3.0, "memory", "add")
COPY = operator(0, 1e9, 1.0, "memory", "clone")


def drawn(*operators: OperatorCost, target: Target = TARGET) -> Roofline:
    return roofline(target, cost_of(*operators))


def test_a_dot_stands_at_its_operations_per_byte_and_its_speed() -> None:
    picture = drawn(FAST, SLOW).wide
    slow, fast = picture.dots
    assert (fast.x, fast.y) == (picture.x_axis.at(100.0), picture.y_axis.at(50.0))
    assert (slow.x, slow.y) == (picture.x_axis.at(1.0), picture.y_axis.at(1e9 / 3 / 1e9))
    assert (fast.bound, slow.bound) == ("compute", "memory")


def test_the_area_of_a_dot_is_its_share_of_the_time() -> None:
    slow, fast = drawn(FAST, SLOW).wide.dots
    assert slow.radius == pytest.approx(LARGEST_RADIUS * math.sqrt(0.75), abs=0.1)
    assert slow.radius / fast.radius == pytest.approx(math.sqrt(3), rel=0.02)
    tiny = drawn(FAST, operator(1e5, 1e4, 1e-7, "launch")).wide.dots[-1]
    assert tiny.radius == LEAST_RADIUS


def test_the_roof_bends_where_both_bounds_are_equal() -> None:
    picture = drawn(FAST, SLOW).wide
    slope, peak, vector = picture.roofs
    bend = f"{picture.x_axis.at(PEAK / BANDWIDTH)} {picture.y_axis.at(100.0)}"
    assert slope.path.endswith(f"L{bend}")
    assert peak.path.startswith(f"M{bend}H")
    assert (slope.label, peak.label) == ("memory: 1000 GB/s", "fp16: 100 TFLOP/s")
    assert (vector.label, vector.is_dashed) == ("vector units: 10.0 TFLOP/s", True)


def test_a_device_with_one_peak_has_one_roof() -> None:
    figures = {**FIGURES, "fp32_tflops": FIGURES["fp16_tflops"]}
    target = replace(TARGET, device=replace(TARGET.device, figures=figures))
    assert len(drawn(FAST, target=target).wide.roofs) == 2


def test_small_devices_and_integers_have_their_unit() -> None:
    figures = {
        "int8_tops": Figure(0.5, "d"),
        "fp32_tflops": Figure(0.1, "d"),
        "memory_bandwidth_gbs": Figure(3.0, "d"),
    }
    target = replace(TARGET, precision="int8", device=replace(TARGET.device, figures=figures))
    line = drawn(operator(1e6, 1e6, 1.0), target=target)
    assert line.wide.y_axis.title == "speed (GOP/s)"
    assert line.wide.roofs[1].label == "int8: 500 GOP/s"


def test_every_dot_lies_inside_of_both_pictures() -> None:
    operators = [
        operator(10.0**k, 10.0 ** (12 - k), 10.0 ** (k - 9), "launch", f"op{k}") for k in range(2, 12)
    ]
    line = drawn(*operators)
    for picture in (line.wide, line.narrow):
        assert len(picture.dots) == 10
        for dot in picture.dots:
            assert picture.x_axis.start <= dot.x <= picture.x_axis.end
            assert picture.y_axis.end <= dot.y <= picture.y_axis.start


def test_operators_at_one_place_are_one_dot() -> None:
    other = replace(FAST, module="layers.9", flops=FAST.flops + 1)
    (kernel,) = kernels_of([FAST, other, replace(FAST, name="gelu", latency_ms=0.999)])
    assert (kernel.name, kernel.number) == ("mm and gelu", 3)
    assert kernel.latency_ms == pytest.approx(2.999)
    assert len(kernels_of([FAST, replace(FAST, bound="launch")])) == 2


def test_the_slowest_are_numbered_and_named() -> None:
    line = drawn(FAST, SLOW, replace(SLOW, module="layers.7"))
    assert [dot.mark for dot in line.wide.dots] == ["1", "2"]
    name, module, time = line.slowest[0]
    assert (name, module) == ("add ×2", "layers.add")
    assert time == "and others alike: 6.00 ms, 85.7 % of the time, memory"
    assert line.slowest[1] == ("mm", "layers.mm", "1.00 ms, 14.3 % of the time, compute")


def test_what_cannot_be_drawn_is_said() -> None:
    line = drawn(FAST, COPY)
    assert len(line.wide.dots) == 1
    assert line.note == "1 operator that only moves data holds 50 % of the time, not drawn."
    assert drawn(FAST, SLOW).note == ""


def test_the_whole_network_is_a_mark_of_its_own() -> None:
    line = drawn(FAST, SLOW)
    assert line.wide.whole is not None
    assert line.wide.whole.x == line.wide.x_axis.at(5.1e10 / 1.5e9)
    assert line.wide.whole.y == line.wide.y_axis.at(5.1e10 / 4.0 / 1e9)
    assert line.summary == "The network runs at 12.8 TFLOP/s, 12.8 % of the peak of 100 TFLOP/s."


@pytest.mark.parametrize("operators", [(), (COPY,)])
def test_a_network_without_arithmetic_has_an_empty_picture(operators: tuple[OperatorCost, ...]) -> None:
    line = drawn(*operators)
    assert line.wide.dots == ()
    assert line.wide.whole is None
    assert line.wide.roofs


def test_a_picture_has_so_many_dots_at_most() -> None:
    operators = [operator(1e3 * 1.2**k, 1e6, 1.0, "memory", f"op{k}") for k in range(40)]
    many = [replace(op, bytes_moved=int(1.3**b * 1e3)) for op in operators for b in range(30)]
    assert len(kernels_of(many)) > MOST_DOTS
    assert len(drawn(*many).wide.dots) == MOST_DOTS


def test_the_speed_of_the_picture_is_the_datasheet() -> None:
    speed = speed_of(TARGET)
    assert (speed.matrix, speed.vector, speed.bandwidth) == (PEAK, VECTOR, BANDWIDTH)


# -- the page of nas cost ----------------------------------------------------------------------------------


def test_the_page_escapes_and_carries_interval_and_tier() -> None:
    page = cost_html("<b>mine</b>", [TARGET], [cost_of(replace(FAST, module="<i>x</i>"), SLOW)])
    assert "<b>mine" not in page
    assert "<i>x</i>" not in page
    assert "Predicted by m 1 (T0): 4.00 ms, between 2.00 ms and 8.00 ms with 90 % confidence." in page
    assert "2 high, 1 low trust; unsure: memory_bandwidth_gbs" in page
    assert len(re.findall("<circle", page)) == 4


def test_the_page_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = write_cost_page("mine", [TARGET], [cost_of(FAST)], tmp_path / "cost.html")
    assert path.read_text(encoding="utf-8").rstrip().endswith("</html>")
    assert [item.name for item in tmp_path.iterdir()] == ["cost.html"]
    with pytest.raises(UsageError, match=r"ends in .html"):
        write_cost_page("mine", [TARGET], [cost_of(FAST)], tmp_path / "cost.pdf")
    with pytest.raises(NasError, match="nowhere"):
        write_cost_page("mine", [TARGET], [cost_of(FAST)], tmp_path / "nowhere" / "cost.html")


# -- the report of a study ---------------------------------------------------------------------------------


def test_a_target_without_a_cost_has_no_roofline() -> None:
    priced = Breakdown("board", cost_of(FAST, SLOW))
    gone = Breakdown("gone", note="no such file")
    (line,) = study_rooflines([gone, TARGET], [gone, priced])
    assert line.target == "board/compiled/fp16/b1/nchw"
    assert study_rooflines([], []) == ()
