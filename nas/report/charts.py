"""The front of a study as charts: the first objective over each of the others, wide and narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nas.report.content import StudyContent
from nas.report.describe import describe
from nas.report.scatter import AxisTitle, FrontPoint, Scatter, scatter
from nas.report.units import Quantity, quantity
from nas.search.objective import Objective

MOST_CHARTS = 4


@dataclass(frozen=True)
class Chart:
    """One scatter for wide screens and one for narrow ones, of the same points."""

    wide: Scatter
    narrow: Scatter
    shown: int
    total: int


def front_charts(content: StudyContent) -> tuple[Chart, ...]:
    """The main objective over each of the others; over the number of the trial where it stands alone."""
    if len(content.numbers) == 0:
        return ()
    objectives = content.spec.objectives
    main = main_objective(objectives)
    others: list[int | None] = [index for index in range(len(objectives)) if index != main]
    return tuple(_chart(content, main, other) for other in others[:MOST_CHARTS] or [None])


def main_objective(objectives: Sequence[Objective]) -> int:
    """The objective on the vertical axis: the first that is maximised, else the first."""
    return next((index for index, o in enumerate(objectives) if o.direction == "max"), 0)


def _chart(content: StudyContent, main: int, other: int | None) -> Chart:
    objectives = content.spec.objectives
    y = AxisTitle(quantity(objectives[main].name), objectives[main].direction)
    if other is None:
        x = AxisTitle(Quantity("trial", "trial"))
    else:
        x = AxisTitle(quantity(objectives[other].name), objectives[other].direction)
    points = _points(content, main, other, x.quantity, y.quantity)
    total = len(content.numbers)
    title = f"{y.quantity.label} over {x.quantity.label} of {total:,} finished trials of {content.spec.name}"
    connect = x if len(objectives) == 2 else AxisTitle(x.quantity)
    pictures = [
        scatter(points, x, y, width=width, height=height, title=title, connected=connect is x)
        for width, height in ((760, 440), (360, 360))
    ]
    return Chart(pictures[0], pictures[1], len(points), total)


def _points(
    content: StudyContent, main: int, other: int | None, x: Quantity, y: Quantity
) -> list[FrontPoint]:
    """The thinned trials and all shown members of the front."""
    on_front = set(content.front.tolist())
    positions = (
        sorted({*content.points.tolist(), *on_front}) if len(on_front) <= 1000 else content.points.tolist()
    )
    found = []
    for position in positions:
        number = int(content.numbers[position])
        upright = float(content.values[position, main])
        across = float(number if other is None else content.values[position, other])
        trial = content.records.get(number)
        lines = [
            f"{y.label} {y.shown(upright)}" + ("" if other is None else f", {x.label} {x.shown(across)}")
        ]
        if trial is not None:
            lines.append(describe(trial.architecture))
        link = f"#front-{number}" if number in content.listed and position in on_front else ""
        point = FrontPoint(
            across * x.scale, upright * y.scale, f"#{number}", tuple(lines), position in on_front, link
        )
        found.append(point)
    return found
