"""The efficiency gaps of a study: the networks of its front, at their ideal and their actual latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.costs.efficiency_gap import efficiency_gaps
from nas.errors import NasError
from nas.report.charts import main_objective
from nas.report.text import clean
from nas.report.waterline import GapPicture, efficiency_gap_picture

if TYPE_CHECKING:
    from nas.costs.target import Target
    from nas.report.breakdown import Breakdown
    from nas.report.content import StudyContent


@dataclass(frozen=True)
class GapChart:
    """One target: its picture for wide screens and for narrow ones."""

    target: str
    wide: GapPicture
    narrow: GapPicture


def study_gaps(content: StudyContent, targets: Sequence[Target | Breakdown]) -> tuple[GapChart, ...]:
    """A chart for each target on which stored costs give listed networks of the front a latency."""
    from nas.costs.target import Target

    charts = (_chart(content, target) for target in targets if isinstance(target, Target))
    return tuple(chart for chart in charts if chart is not None)


def _chart(content: StudyContent, target: Target) -> GapChart | None:
    objective = content.spec.objectives[main_objective(content.spec.objectives)]
    quantity = content.quantity(objective.name)
    members = content.front_records()
    scores = {
        f"#{trial.number}": quantity.scale * trial.metrics[objective.name]
        for trial in members
        if objective.direction == "max" and objective.name in trial.metrics
    }
    try:
        gaps = efficiency_gaps({f"#{trial.number}": trial.costs for trial in members}, target, scores)
    except (NasError, KeyError):  # a target whose figures have no peak for its precision
        return None
    if not gaps:
        return None
    pictures = [
        efficiency_gap_picture(gaps, score=quantity.title, width=width, height=height)
        for width, height in ((760, 440), (360, 360))
    ]
    return GapChart(clean(target.name, 60), pictures[0], pictures[1])
