"""How much of the objective space the front covers, trial after trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.axis import Axis, Tick

if TYPE_CHECKING:
    import numpy as np

CHECKPOINTS = 200
LARGEST_FRONTS = {1: 1, 2: 1_000_000, 3: 500}
"""Number of objectives → so many points of a front are measured; with more objectives, `SMALL_FRONT`."""

SMALL_FRONT = 40


@dataclass(frozen=True)
class CoverageChart:
    """The step line as the template draws it."""

    width: int
    height: int
    x_axis: Axis
    y_axis: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    path: str
    last: float


def coverage(values: np.ndarray) -> list[tuple[int, float]]:
    """(trials so far, share of the box covered) for values (n, objectives), all to be minimised.

    The box lies between the best and the worst value of each objective over all the trials, so that the
    share is between 0 and 1 and never falls. Empty where an objective never varies. At most `CHECKPOINTS`
    entries, the last one for all trials.
    """
    import numpy as np

    from nas.search.front import non_dominated
    from nas.search.hypervolume import hypervolume

    if len(values) < 2 or not (np.ptp(values, 0) > 0).all() or not np.isfinite(np.ptp(values, 0)).all():
        return []
    scaled = (values - values.min(0)) / np.ptp(values, 0)
    reference = np.ones(scaled.shape[1])
    stops = np.unique(np.linspace(1, len(scaled), min(len(scaled), CHECKPOINTS)).round().astype(int))
    front, begin, covered, found = scaled[:0], 0, 0.0, []
    for stop in stops:
        merged = np.concatenate([front, scaled[begin:stop]])
        merged = merged[non_dominated(merged)]
        if not np.array_equal(merged, front):
            covered = max(covered, float(hypervolume(_few(merged), reference)))
        front, begin = merged, stop
        found.append((int(stop), covered))
    return found


def _few(front: np.ndarray) -> np.ndarray:
    """The front, or an evenly spread part of it where its exact volume takes too long: then a lower bound."""
    from nas.report.thinning import spread

    return front[spread(len(front), LARGEST_FRONTS.get(front.shape[1], SMALL_FRONT))]


def coverage_chart(
    steps: Sequence[tuple[int, float]], *, width: int = 760, height: int = 240
) -> CoverageChart:
    """The step line over the number of finished trials, in percent."""
    left, right, top, bottom = 58, 16, 12, 44
    x_axis = Axis("finished trials", 0.0, float(steps[-1][0]), left, width - right, is_whole=True)
    y_axis = Axis(
        "hypervolume (% of the box)", 0.0, min(100.0, 112 * steps[-1][1]) or 1.0, height - bottom, top
    )
    moves = [f"M{x_axis.at(steps[0][0])} {y_axis.at(100 * steps[0][1])}"]
    moves += [f"H{x_axis.at(number)}V{y_axis.at(100 * share)}" for number, share in steps[1:]]
    return CoverageChart(
        width, height, x_axis, y_axis, x_axis.ticks(), y_axis.ticks(45), "".join(moves), 100 * steps[-1][1]
    )
