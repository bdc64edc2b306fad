"""Pictures of efficiency: the waterline of a sequence of kernels, and the gap between ideal and actual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from nas.costs.efficiency_gap import EfficiencyGap
from nas.costs.waterline import WaterlinePoint, sequence_efficiency
from nas.report.axis import Axis, Tick, make_axis
from nas.report.pages import render
from nas.report.text import clean, milliseconds, size, three_digits

LEFT, RIGHT, TOP, BOTTOM = 58, 16, 16, 48
LEAST_RATIO = 1e-3
"""The least arithmetic time over memory time that is drawn as it is; the largest is its inverse."""


@dataclass(frozen=True)
class Bar:
    """One kernel: from the waterline up where arithmetic bounds it, down where memory does."""

    x: float
    y: float
    width: float
    height: float
    bound: str
    text: str


@dataclass(frozen=True)
class WaterlinePicture:
    """All that the template draws; `water` is the height of the waterline in pixels."""

    width: int
    height: int
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bars: tuple[Bar, ...]
    water: float
    title: str


@dataclass(frozen=True)
class GapMark:
    """One network: where its ideal and its actual latency stand, and what the hover says."""

    ideal_x: float
    actual_x: float
    y: float
    text: str


@dataclass(frozen=True)
class GapPicture:
    """All that the template draws."""

    width: int
    height: int
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[GapMark, ...]
    title: str


def waterline_picture(
    points: Sequence[WaterlinePoint], *, width: int = 760, height: int = 320, title: str = ""
) -> WaterlinePicture:
    """The kernels in order, each as wide as the least time it takes, around the waterline of the target."""
    ends = list(accumulate((point.time_ms for point in points), initial=0.0))
    ratios = [_ratio(point) for point in points]
    x_axis = Axis("least time (ms)", 0.0, ends[-1] or 1.0, LEFT, width - RIGHT)
    y_axis = Axis(
        "arithmetic time / memory time",
        min([0.5, *ratios]) / 1.3,
        max([2.0, *ratios]) * 1.3,
        height - BOTTOM,
        TOP,
        is_log=True,
    )
    water = y_axis.at(1.0)
    bars = tuple(
        _bar(point, x_axis.at(start), x_axis.at(end), y_axis.at(ratio), water)
        for point, start, end, ratio in zip(points, ends, ends[1:], ratios, strict=False)
    )
    shown = clean(title or f"Waterline of {len(points)} kernels: {_summary(points)}", 200)
    return WaterlinePicture(
        width, height, x_axis, y_axis, x_axis.ticks(), y_axis.ticks(45), bars, water, shown
    )


def waterline_svg(points: Sequence[WaterlinePoint], *, title: str = "") -> str:
    """The waterline as an SVG file of its own, light or dark as its reader prefers.

    >>> waterline_svg([WaterlinePoint("conv", "conv", 50, 100, 10, 4.0, 2.0, 5.0)])[:4]
    '<svg'
    """
    return render("waterline.svg.html", picture=waterline_picture(points, title=title)).strip() + "\n"


def efficiency_gap_picture(
    gaps: Sequence[EfficiencyGap],
    *,
    score: str = "accuracy (%)",
    width: int = 760,
    height: int = 440,
    title: str = "",
) -> GapPicture:
    """Each network at its ideal and at its actual latency, at the height of its score.

    Where not all have a score, the height is the share of the peak that is in use.
    """
    has_scores = bool(gaps) and all(gap.score is not None for gap in gaps)
    heights = [gap.score or 0.0 if has_scores else 100 * gap.efficiency for gap in gaps]
    latencies = [latency for gap in gaps for latency in (gap.ideal_ms, gap.actual_ms) if latency > 0]
    x_axis = make_axis("latency (ms)", latencies, LEFT, width - RIGHT)
    y_axis = make_axis(score if has_scores else "efficiency (% of the peak)", heights, height - BOTTOM, TOP)
    marks = tuple(
        GapMark(x_axis.at(gap.ideal_ms), x_axis.at(gap.actual_ms), y_axis.at(upright), _gap_text(gap))
        for gap, upright in zip(gaps, heights, strict=True)
    )
    shown = clean(title or f"Ideal and actual latency of {len(gaps)} networks", 200)
    return GapPicture(width, height, x_axis, y_axis, x_axis.ticks(), y_axis.ticks(45), marks, shown)


def efficiency_gap_svg(gaps: Sequence[EfficiencyGap], *, score: str = "accuracy (%)", title: str = "") -> str:
    """The efficiency gaps as an SVG file of its own; `score` is the title of the upright axis.

    >>> efficiency_gap_svg([EfficiencyGap("resnet50", 0.5, 2.0, "measured", 80.4)])[:4]
    '<svg'
    """
    picture = efficiency_gap_picture(gaps, score=score, title=title)
    return render("efficiency_gap.svg.html", picture=picture).strip() + "\n"


def _ratio(point: WaterlinePoint) -> float:
    """Arithmetic time over memory time, kept to what can be drawn."""
    most = 1 / LEAST_RATIO
    ratio = point.compute_ms / point.memory_ms if point.memory_ms else most
    return min(max(ratio, LEAST_RATIO), most)


def _bar(point: WaterlinePoint, start: float, end: float, at: float, water: float) -> Bar:
    text = (
        f"{clean(point.module, 120) or 'the network'} ({point.kind}): "
        f"{milliseconds(point.time_ms)} at least, bound by {point.bound}, "
        f"{three_digits(point.intensity)} operations per byte, {size(point.bytes_moved)} moved"
    )
    height = round(abs(at - water), 2)
    return Bar(start, min(at, water), round(end - start, 2), height, point.bound, text)


def _summary(points: Sequence[WaterlinePoint]) -> str:
    total = sum(point.time_ms for point in points)
    return f"{milliseconds(total)} at least, {100 * sequence_efficiency(points):.0f} % of the peak"


def _gap_text(gap: EfficiencyGap) -> str:
    score = "" if gap.score is None else f", score {three_digits(gap.score)}"
    return (
        f"{clean(gap.name, 60)}: ideal {milliseconds(gap.ideal_ms)}, {gap.kind} "
        f"{milliseconds(gap.actual_ms)}, efficiency {100 * gap.efficiency:.0f} %{score}"
    )
