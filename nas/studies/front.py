"""The Pareto front of a stored study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.errors import UnknownNameError, UsageError
from nas.search.per_target import objectives_on

if TYPE_CHECKING:
    from nas.search.study import StudySpec
    from nas.store import Store, TrialRecord


def study_front(store: Store, spec: StudySpec) -> list[TrialRecord]:
    """The non-dominated finished trials that keep every constraint, cheapest first.

    Reads the objective values alone, then only the trials of the front, so that a study of 100,000 trials
    opens at once. With repeats an architecture stands once, as its first trial with the means of all.
    """
    import numpy as np

    from nas.search.front import non_dominated
    from nas.search.runs import mean_records, study_means

    names = list(dict.fromkeys([o.name for o in spec.objectives] + [c.name for c in spec.constraints]))
    numbers, values, runs = study_means(store, spec, names)
    allowed = np.ones(len(numbers), dtype=bool)
    for constraint in spec.constraints:
        column = values[:, names.index(constraint.name)]
        allowed &= column <= constraint.limit if constraint.operator == "<=" else column >= constraint.limit
    numbers, values = numbers[allowed], values[allowed][:, : len(spec.objectives)]
    if not len(numbers):
        return []
    minimised = values * np.array([objective.sign for objective in spec.objectives])
    best = np.flatnonzero(non_dominated(minimised))
    order = best[np.lexsort((numbers[best], minimised[best, -1]))]
    return mean_records(store, spec, numbers[order].tolist(), runs)


def target_fronts(store: Store, spec: StudySpec) -> Mapping[str, list[TrialRecord]]:
    """The front of each target of a study by its name, from the same trials, the cheapest on it first.

    On a target count the objectives that are no cost and the target's own costs; every constraint of the
    study holds on every front. A target on which no objective counts has none.
    """
    counting = (name for name in spec.target_names if objectives_on(spec.objectives, spec.target_names, name))
    return {name: study_front(store, on_target(spec, name)) for name in counting}


def on_target(spec: StudySpec, target: str) -> StudySpec:
    """The study with those of its objectives that count on one of its targets.

    Raises UnknownNameError for a target that is none of the study's, UsageError where none counts on it.
    """
    if target not in spec.target_names:
        raise UnknownNameError("target", target, spec.target_names)
    objectives = objectives_on(spec.objectives, spec.target_names, target)
    if not objectives:
        raise UsageError(f"study {spec.name!r} has no objective on {target}: see 'nas front {spec.name}'")
    return replace(spec, objectives=objectives)


def target_names(spec: StudySpec) -> Mapping[str, str]:
    """The label of each target of a study (``a100-sxm4-80gb/compiled/...``) → its name (``a100``)."""
    return dict(zip(spec.target_labels, spec.target_names, strict=True))
