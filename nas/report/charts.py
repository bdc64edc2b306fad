"""The front of a study as charts: the first objective over each of the others, wide and narrow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.content import StudyContent
from nas.report.describe import describe
from nas.report.scatter import AxisTitle, FrontPoint, Scatter, scatter
from nas.report.text import clean
from nas.report.units import Quantity
from nas.search.objective import Objective
from nas.search.per_target import objectives_on, target_of

if TYPE_CHECKING:
    import numpy as np

MOST_CHARTS = 4


@dataclass(frozen=True)
class Chart:
    """One scatter for wide screens and one for narrow ones, of the same points.

    `heading` names the target whose front is drawn, where each has its own.
    """

    wide: Scatter
    narrow: Scatter
    shown: int
    total: int
    heading: str = ""


def front_charts(content: StudyContent) -> tuple[Chart, ...]:
    """The main objective over each of the others; over the number of the trial where it stands alone."""
    if len(content.numbers) == 0:
        return ()
    objectives = content.spec.objectives
    main = main_objective(objectives)
    others: list[int | None] = [index for index in range(len(objectives)) if index != main]
    most = max(MOST_CHARTS, len(content.fronts))
    return tuple(_chart(content, main, other) for other in others[:most] or [None])


def main_objective(objectives: Sequence[Objective]) -> int:
    """The objective on the vertical axis: the first that is maximised, else the first."""
    return next((index for index, o in enumerate(objectives) if o.direction == "max"), 0)


def _chart(content: StudyContent, main: int, other: int | None) -> Chart:
    objectives = content.spec.objectives
    y = AxisTitle(content.quantity(objectives[main].name), objectives[main].direction)
    if other is None:
        x = AxisTitle(Quantity("trial", "trial"))
    else:
        x = AxisTitle(content.quantity(objectives[other].name), objectives[other].direction)
    target = None if other is None else target_of(objectives[other].name, content.spec.target_names)
    front = content.fronts.get(target or "", content.front)
    points = _points(content, front, main, other, x.quantity, y.quantity)
    total = len(content.numbers)
    title = f"{y.quantity.label} over {x.quantity.label} of {total:,} finished trials of {content.spec.name}"
    heading = f"The front on {clean(target, 60)}" if target in content.fronts and target else ""
    own = objectives_on(objectives, content.spec.target_names, target) if heading and target else objectives
    pictures = [
        scatter(points, x, y, width=width, height=height, title=title, connected=len(own) == 2)
        for width, height in ((760, 440), (360, 360))
    ]
    return Chart(pictures[0], pictures[1], len(points), total, heading)


def _points(
    content: StudyContent, front: np.ndarray, main: int, other: int | None, x: Quantity, y: Quantity
) -> list[FrontPoint]:
    """The thinned trials and all shown members of a front."""
    on_front = set(front.tolist())
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
            f"{y.heading} {y.shown(upright)}" + ("" if other is None else f", {x.heading} {x.shown(across)}")
        ]
        if trial is not None:
            lines.append(describe(trial.architecture))
        link = f"#front-{number}" if number in content.listed and position in on_front else ""
        point = FrontPoint(
            across * x.scale, upright * y.scale, f"#{number}", tuple(lines), position in on_front, link
        )
        found.append(point)
    return found
