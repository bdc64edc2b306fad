"""What of a study is read for its report: little enough for a study of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from nas.report.thinning import spread, thin
from nas.search.study import StudySpec
from nas.search.trial import TrialState

if TYPE_CHECKING:
    import numpy as np

    from nas.plugins import Plugin
    from nas.store import Store, StudyRecord, TrialRecord

POINTS, ROWS, FRONT_ROWS, NETWORKS, FAILURES = 500, 500, 100, 10, 500


@dataclass(frozen=True)
class StudyContent:
    """A study as the report shows it.

    `numbers` (n,) and `values` (n, objectives) are those of the finished trials that keep all constraints,
    `minimised` the same values with every objective to be minimised; `front` holds positions in them,
    cheapest first; `listed` are the numbers of those that the page lists. `points` are positions of the
    trials that are drawn. `records` are the trials that were read whole, by number. `excluded` finished
    trials break a constraint.
    """

    record: StudyRecord
    spec: StudySpec
    states: Mapping[str, int]
    numbers: np.ndarray
    values: np.ndarray
    minimised: np.ndarray
    front: np.ndarray
    listed: tuple[int, ...]
    excluded: int
    points: np.ndarray
    records: Mapping[int, TrialRecord]
    rows: tuple[int, ...]
    failures: tuple[TrialRecord, ...]
    plugins: tuple[Plugin, ...]
    location: str

    @property
    def total(self) -> int:
        """All trials, in whatever state."""
        return sum(self.states.values())

    def front_records(self, limit: int | None = None) -> list[TrialRecord]:
        """The listed members of the front, or `limit` of them, evenly spread, with both ends."""
        chosen = spread(len(self.listed), len(self.listed) if limit is None else limit)
        return [self.records[self.listed[index]] for index in chosen]


def read_content(store: Store, study: str) -> StudyContent:
    """Reads a study; raises UnknownNameError where the store has none of this name."""
    import numpy as np

    from nas.search.front import non_dominated

    record = store.study(study)
    spec = StudySpec.from_json(record.spec)
    states = {str(state): number for state, number in store.count_states(study).items()}
    numbers, values, excluded = _finished(store, spec)
    minimised = values * np.array([objective.sign for objective in spec.objectives])
    best = np.flatnonzero(non_dominated(minimised)) if len(numbers) else np.zeros(0, dtype=np.int64)
    front = best[np.lexsort((numbers[best], minimised[best, -1]))] if len(best) else best
    points = thin(values, POINTS)
    total = sum(states.values())
    rows = tuple(range(max(0, total - ROWS), total))
    listed = tuple(numbers[front[spread(len(front), FRONT_ROWS)]].tolist())
    wanted = {*rows, *numbers[points].tolist(), *listed}
    records = {trial.number: trial for trial in store.trials(study, numbers=sorted(wanted))}
    failures = store.iterate_trials(study, states=[TrialState.FAILED, TrialState.INFEASIBLE])
    return StudyContent(
        record=record,
        spec=spec,
        states=states,
        numbers=numbers,
        values=values,
        minimised=minimised,
        front=front,
        listed=listed,
        excluded=excluded,
        points=points,
        records=records,
        rows=rows,
        failures=tuple(islice(failures, FAILURES)),
        plugins=tuple(store.plugins(study)),
        location=store.display_url,
    )


def _finished(store: Store, spec: StudySpec) -> tuple[np.ndarray, np.ndarray, int]:
    """Numbers and objective values of the finished trials that keep the constraints; how many do not."""
    import numpy as np

    names = list(dict.fromkeys([o.name for o in spec.objectives] + [c.name for c in spec.constraints]))
    numbers, values = store.objective_values(spec.name, names)
    allowed = np.ones(len(numbers), dtype=bool)
    for constraint in spec.constraints:
        column = values[:, names.index(constraint.name)]
        allowed &= column <= constraint.limit if constraint.operator == "<=" else column >= constraint.limit
    return numbers[allowed], values[allowed][:, : len(spec.objectives)], int((~allowed).sum())
