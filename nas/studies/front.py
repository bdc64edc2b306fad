"""The Pareto front of a stored study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nas.search.study import StudySpec
    from nas.store import Store, TrialRecord


def study_front(store: Store, spec: StudySpec) -> list[TrialRecord]:
    """The non-dominated finished trials that keep every constraint, cheapest first.

    Reads the objective values alone, then only the trials of the front, so that a study of 100,000 trials
    opens at once.
    """
    import numpy as np

    from nas.search.front import non_dominated

    names = list(dict.fromkeys([o.name for o in spec.objectives] + [c.name for c in spec.constraints]))
    numbers, values = store.objective_values(spec.name, names)
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
    return [store.trial(spec.name, int(number)) for number in numbers[order]]


def target_names(spec: StudySpec) -> Mapping[str, str]:
    """The label of each target of a study (``a100-sxm4-80gb/compiled/...``) → its name (``a100``)."""
    return dict(zip(spec.target_labels, spec.target_names, strict=True))
