"""What cannot be a study's settings, and what cannot be a result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from nas.errors import UsageError
from nas.search.objective import Objective
from nas.search.trial import Progress

METRIC_NAME_CHARACTERS = 200


def check_settings(objectives: Sequence[Objective], *, trials: int, fidelity: int, max_lost: int = 0) -> None:
    """Raises UsageError for settings that no study can have."""
    if not objectives:
        raise UsageError("a study needs at least one objective")
    names = [objective.name for objective in objectives]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"objective {name!r} is given twice")
    for key, value, minimum in (("trials", trials, 1), ("fidelity", fidelity, 1), ("max_lost", max_lost, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise UsageError(f"{key} must be a whole number of at least {minimum}, not {value!r}")


def step_problem(report: Progress) -> str | None:
    """What is wrong with the metrics of a step, or None."""
    if report.step < 1:
        return f"the evaluator reported step {report.step}; steps are counted from 1"
    problem = metric_problem(report.metrics)
    return None if problem is None else f"{problem} at step {report.step}"


def metric_problem(metrics: Mapping[str, float]) -> str | None:
    """What is wrong with some metrics, or None: a name that is none, a value that is no finite number."""
    for name, value in metrics.items():
        if not isinstance(name, str) or not 0 < len(name) <= METRIC_NAME_CHARACTERS or not name.isprintable():
            return f"{name!r:.100} is not a metric name"
        if not math.isfinite(value):
            return f"metric {name!r} is {value}"
    return None
