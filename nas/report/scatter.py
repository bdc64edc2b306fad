"""The front as a picture: every trial a point, the front highlighted and connected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nas.report.axis import Axis, Tick, make_axis
from nas.report.pages import render
from nas.report.text import clean
from nas.report.units import Quantity

LEFT, RIGHT, TOP, BOTTOM = 58, 16, 16, 48
TIP_WIDTH, LINE_HEIGHT, WRAP = 300, 16, 44


@dataclass(frozen=True)
class FrontPoint:
    """One trial: its two objectives as shown on the axes, its label, and lines about it for the hover.

    `link` is an address inside the page; `is_front` says that no other trial beats it.
    """

    x: float
    y: float
    label: str
    lines: tuple[str, ...] = ()
    is_front: bool = False
    link: str = ""


@dataclass(frozen=True)
class Mark:
    """A point placed in pixels; `tip_x` and `tip_y` are the corner of its hover box, `lines` its text."""

    at_x: float
    at_y: float
    label: str
    lines: tuple[str, ...]
    link: str = ""
    tip_x: float = 0.0
    tip_y: float = 0.0
    tip_height: float = 0.0


@dataclass(frozen=True)
class Scatter:
    """All that the template draws."""

    width: int
    height: int
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    others: tuple[Mark, ...]
    front: tuple[Mark, ...]
    path: str
    title: str


@dataclass(frozen=True)
class AxisTitle:
    """A quantity on an axis and which way is better: ``"min"``, ``"max"`` or nothing."""

    quantity: Quantity
    direction: str = ""

    @property
    def text(self) -> str:
        """The title: ``latency (ms) · lower is better``."""
        better = {"min": " · lower is better", "max": " · higher is better"}.get(self.direction, "")
        return self.quantity.title + better


def scatter(
    points: Sequence[FrontPoint],
    x: AxisTitle,
    y: AxisTitle,
    *,
    width: int = 760,
    height: int = 440,
    title: str = "",
    connected: bool = True,
) -> Scatter:
    """Places the points; both axes carry units, and are logarithmic where the values span far.

    `connected` draws the staircase through the front, which is one only where there are two objectives.
    """
    x_axis = make_axis(x.text, (p.x for p in points), LEFT, width - RIGHT)
    y_axis = make_axis(y.text, (p.y for p in points), height - BOTTOM, TOP)
    front = sorted((p for p in points if p.is_front), key=lambda p: p.x)
    marks = tuple(_with_tip(_mark(p, x_axis, y_axis), width, height) for p in front)
    others = tuple(_mark(p, x_axis, y_axis) for p in points if not p.is_front)
    path = _steps(marks, x.direction, y.direction) if connected and x.direction else ""
    return Scatter(
        width,
        height,
        x_axis,
        y_axis,
        x_axis.ticks(),
        y_axis.ticks(45),
        others,
        marks,
        path,
        clean(title, 200),
    )


def front_svg(
    points: Sequence[FrontPoint],
    x: AxisTitle,
    y: AxisTitle,
    *,
    width: int = 760,
    height: int = 440,
    title: str = "",
) -> str:
    """The picture as an SVG file of its own, light or dark as its reader prefers.

    >>> from nas.report.units import quantity
    >>> points = [FrontPoint(0.1, 97.0, "#1", is_front=True), FrontPoint(0.2, 96.0, "#2")]
    >>> front_svg(points, AxisTitle(quantity("latency"), "min"), AxisTitle(quantity("accuracy"), "max"))[:4]
    '<svg'
    """
    picture = scatter(points, x, y, width=width, height=height, title=title)
    return render("front.svg.html", picture=picture, tip_width=TIP_WIDTH).strip() + "\n"


def _mark(point: FrontPoint, x_axis: Axis, y_axis: Axis) -> Mark:
    return Mark(x_axis.at(point.x), y_axis.at(point.y), clean(point.label, 60), point.lines, point.link)


def _with_tip(mark: Mark, width: int, height: int) -> Mark:
    """The mark with its hover box beside it, inside the picture."""
    lines = tuple(part for line in mark.lines for part in _wrapped(clean(line, 240), WRAP))
    tall = LINE_HEIGHT * (len(lines) + 1) + 12
    left = min(max(mark.at_x + 12, 4), width - TIP_WIDTH - 4)
    above = mark.at_y - tall - 10
    top = above if above > 2 else min(mark.at_y + 12, height - tall - 2)
    return replace(mark, lines=lines, tip_x=round(left, 1), tip_y=round(top, 1), tip_height=tall)


def _wrapped(line: str, limit: int) -> list[str]:
    import textwrap

    return textwrap.wrap(line, limit)[:5]


def _steps(front: Sequence[Mark], x_direction: str, y_direction: str) -> str:
    """The staircase through the front: what lies behind it is beaten."""
    if len(front) < 2:
        return ""
    moves = [f"M{front[0].at_x} {front[0].at_y}"]
    for mark in front[1:]:
        same = x_direction == "min"  # a cheap point beats everything to its right, up to the next one
        moves.append(f"H{mark.at_x}V{mark.at_y}" if same else f"V{mark.at_y}H{mark.at_x}")
    return "".join(moves)
