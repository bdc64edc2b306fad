"""How much of the objective space the front covers, trial after trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.report.axis import Axis, Tick

if TYPE_CHECKING:
    import numpy as np

CHECKPOINTS = 200
"""The most points of the line."""

LARGEST_FRONTS = {1: 1, 2: 2000, 3: 200}
"""Number of objectives → the largest front whose exact volume is taken."""

SAMPLES = 4_000
"""With four objectives or more, the volume is the share of so many random points that are dominated."""


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

    if len(values) < 2:
        return []
    with np.errstate(over="ignore"):
        extent = np.ptp(values, 0)
    if not ((extent > 0) & np.isfinite(extent)).all():
        return []
    scaled = (values - values.min(0)) / extent
    stops = np.unique(np.linspace(1, len(scaled), min(len(scaled), CHECKPOINTS)).round().astype(int))
    chunks = np.split(scaled, stops[:-1])
    shares = _sampled(chunks) if scaled.shape[1] > 3 else _exact(chunks)
    return [(int(stop), share) for stop, share in zip(stops, shares, strict=True)]


def _exact(chunks: Sequence[np.ndarray]) -> Iterator[float]:
    """The volume below 1 that is dominated after each chunk; of a very large front a lower bound."""
    import numpy as np

    from nas.report.thinning import thin
    from nas.search.dominated_volume import hypervolume
    from nas.search.front import non_dominated

    front, covered = chunks[0][:0], 0.0
    for chunk in chunks:
        merged = np.concatenate([front, chunk])
        merged = merged[non_dominated(merged)]
        if not np.array_equal(merged, front):
            merged = merged[thin(merged, LARGEST_FRONTS[merged.shape[1]])]
            covered = max(covered, hypervolume(merged, np.ones(merged.shape[1])))
        front = merged
        yield covered


def _sampled(chunks: Sequence[np.ndarray]) -> Iterator[float]:
    """The same to about a percent, from random points that are struck off once they are dominated."""
    import numpy as np

    from nas.search.front import non_dominated

    left = np.random.default_rng(0).random((SAMPLES, chunks[0].shape[1]))
    for chunk in chunks:
        for point in chunk[non_dominated(chunk)]:
            left = left[~(left >= point).all(1)]
        yield 1 - len(left) / SAMPLES


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
