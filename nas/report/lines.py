"""Lines over the number of trials: a median for each group, in a band from its worst to its best seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.report.axis import Axis, Tick
from nas.report.pages import render
from nas.report.text import clean
from nas.search.comparison import Comparison, Group, Spread

COLOURS = 7
"""How many colours the style sheet has; further lines are dashed."""

POINTS = 400
LEFT, RIGHT, TOP, BOTTOM, ROW = 58, 16, 12, 48, 18


@dataclass(frozen=True)
class Line:
    """One group as the template draws it; `band` is empty where the group has one study."""

    label: str
    path: str
    band: str
    colour: int
    is_dashed: bool
    label_at: float
    last: str


@dataclass(frozen=True)
class LineChart:
    """All that the template draws."""

    width: int
    height: int
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    legend_at: float
    title: str


def comparison_chart(comparison: Comparison, *, width: int = 760, height: int = 440) -> LineChart:
    """The share of the best hypervolume over the number of trials; the names stand below the picture."""
    legend = ROW * len(comparison.groups)
    x_axis = Axis("trials", 0.0, float(max(1, comparison.trials)), LEFT, width - RIGHT, is_whole=True)
    low = _lowest(comparison)
    y_axis = Axis("hypervolume (% of the best front)", low, 100.0, height - BOTTOM, TOP)
    lines = tuple(
        _line(group, index, x_axis, y_axis, height + ROW * index + 10)
        for index, group in enumerate(comparison.groups)
    )
    studies = sum(len(group.runs) for group in comparison.groups)
    title = clean(f"Hypervolume over trials of {studies} studies in {len(lines)} groups", 200)
    return LineChart(
        width,
        height,
        x_axis,
        y_axis,
        x_axis.ticks(),
        y_axis.ticks(45),
        lines,
        float(height + legend + 14),
        title,
    )


def comparison_svg(comparison: Comparison) -> str:
    """The picture as an SVG file of its own, light or dark as its reader prefers."""
    return render("compare.svg.html", picture=comparison_chart(comparison)).strip() + "\n"


def _lowest(comparison: Comparison) -> float:
    """Where the vertical axis begins: 0, or a round number below all but the first trials."""
    early = max(1, comparison.trials // 5)
    shares = [group.share(min(early, group.trials)) for group in comparison.groups]
    least = min((share.low for share in shares if share is not None), default=0.0)
    return 10.0 * int(10 * least) if least < 1 else 90.0


def _line(group: Group, index: int, x_axis: Axis, y_axis: Axis, label_at: float) -> Line:
    stops = sorted({round(i * group.trials / POINTS) for i in range(POINTS + 1)} - {0})
    shares = [(stop, share) for stop in stops if (share := group.share(stop)) is not None]
    last = f"{100 * shares[-1][1].median:.1f} % after {group.trials:,} trials" if shares else "no trial"
    return Line(
        label=clean(group.label, 90),
        path=_steps([(stop, share.median) for stop, share in shares], x_axis, y_axis),
        band=_band(shares, x_axis, y_axis) if len(group.runs) > 1 else "",
        colour=index % COLOURS,
        is_dashed=index >= COLOURS,
        label_at=label_at,
        last=last,
    )


def _steps(points: Sequence[tuple[int, float]], x_axis: Axis, y_axis: Axis, begin: str = "M") -> str:
    """A staircase: each value holds until the next."""
    if not points:
        return ""
    moves = [f"{begin}{x_axis.at(points[0][0])} {y_axis.at(100 * points[0][1])}"]
    moves += [f"H{x_axis.at(stop)}V{y_axis.at(100 * share)}" for stop, share in points[1:]]
    return "".join(moves)


def _band(shares: Sequence[tuple[int, Spread]], x_axis: Axis, y_axis: Axis) -> str:
    """The area between the worst and the best seed."""
    if not shares:
        return ""
    upper = _steps([(stop, share.high) for stop, share in shares], x_axis, y_axis)
    lower = [f"L{x_axis.at(shares[-1][0])} {y_axis.at(100 * shares[-1][1].low)}"]
    for (stop, _), (_, before) in zip(reversed(shares), reversed(shares[:-1]), strict=False):
        lower.append(f"H{x_axis.at(stop)}V{y_axis.at(100 * before.low)}")
    return f"{upper}{''.join(lower)}H{x_axis.at(shares[0][0])}Z"
