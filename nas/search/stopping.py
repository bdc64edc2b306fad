"""Stopping that knows the cost: how likely is it that a running trial ever joins the front?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.search.objective import Constraint, Objective

ENOUGH = 6
"""So many finished trials must have come by a step before anything is judged there."""

DRAWS = 4_000
PRIOR = 3.0
"""Imagined trials whose change does not depend on where they stood: they hold back a slope from few."""

Values = Mapping[str, float]
Curve = Mapping[int, Values]
"""Metrics by step."""

Table = NDArray[np.float64]


def chance_of_front(
    curve: Curve,
    known: Values,
    finished: Sequence[Curve],
    front: Sequence[Values],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint] = (),
) -> float:
    """The probability that a trial, run to its end, is beaten by no member of the front and keeps the
    constraints.

    `curve` is what the trial has shown, `known` what is exact from the beginning; `finished` are the curves
    of finished trials, `front` the values of the present front. What a metric will yet change is learnt from
    how the finished trials changed from the same step to their last: a line through them, its slope held
    back, with the Student-t spread of a prediction. 1 where fewer than 6 finished trials tell of this step.
    """
    step = max(curve)
    here = {**known, **curve[step]}
    names = [n for n in _names(objectives, constraints) if n not in known or n in curve[step]]
    told = [c for c in finished if step in c and all(n in c[step] and n in c[max(c)] for n in names)]
    if not all(name in here for name in names) or (names and len(told) < ENOUGH):
        return 1.0
    starts = np.array([[c[step][n] for n in names] for c in told]).reshape(len(told), len(names))
    ends = np.array([[c[max(c)][n] for n in names] for c in told]).reshape(len(told), len(names))
    drawn = _final_values(np.array([here[n] for n in names]), starts, ends)
    values = {**{n: np.full(DRAWS, v) for n, v in here.items()}, **dict(zip(names, drawn.T, strict=True))}
    return float(np.mean(_joins(values, front, objectives, constraints)))


def _names(objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> list[str]:
    return list(dict.fromkeys([*(o.name for o in objectives), *(c.name for c in constraints)]))


def _final_values(here: Table, starts: Table, ends: Table) -> Table:
    """Draws (DRAWS, metrics) of the last values of a trial that stands `here` (metrics,).

    `starts` and `ends` are (trials, metrics). The draws are the same for the same input.
    """
    count, width = starts.shape
    if width == 0:
        return np.empty((DRAWS, 0))
    offset, changes = starts - starts.mean(axis=0), ends - starts
    spread = (offset**2).sum(axis=0)
    total = spread * (1.0 + PRIOR / count)
    total = np.where(total > 0, total, 1.0)
    slope = (offset * (changes - changes.mean(axis=0))).sum(axis=0) / total
    residual = changes - changes.mean(axis=0) - slope * offset
    away = here - starts.mean(axis=0)
    leverage = 1.0 + 1.0 / count + away**2 / total
    freedom = count - 2
    rng = np.random.default_rng(0)
    # Residuals are mixed by normal weights: their sums have the covariance of the residuals, however few.
    noise = rng.standard_normal((DRAWS, count)) @ residual / np.sqrt(freedom)
    noise *= np.sqrt(freedom / rng.chisquare(freedom, size=(DRAWS, 1)))
    return np.asarray(here + changes.mean(axis=0) + slope * away + noise * np.sqrt(leverage))


def _joins(
    values: Mapping[str, Table],
    front: Sequence[Values],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
) -> NDArray[np.bool_]:
    """Which of the drawn values keep the constraints and are beaten by no member of the front."""
    joins = np.ones(DRAWS, dtype=np.bool_)
    for limit in constraints:
        joins &= (
            values[limit.name] <= limit.limit if limit.operator == "<=" else values[limit.name] >= limit.limit
        )
    points = np.stack([o.sign * values[o.name] for o in objectives], axis=1)
    for member in front:
        other = np.array([o.sign * member[o.name] for o in objectives])
        joins &= ~((other <= points).all(axis=1) & (other < points).any(axis=1))
    return joins
