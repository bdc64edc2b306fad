"""What of a study is read for its report: little enough for a study of any size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from nas.report.thinning import spread, thin
from nas.report.tiers import tier_of, tiers_of
from nas.report.units import Quantity, quantity
from nas.search.per_target import target_of
from nas.search.runs import Runs, mean_records, study_means
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
    cheapest first, and `fronts` those of each target by its name, where there are several; `listed` are the
    numbers of those that the page lists. `points` are positions of the trials that are drawn. `records` are
    the trials that were read whole, by number, `means` the listed ones as the means of their runs, where
    architectures were trained several times. `excluded` finished trials break a constraint.
    """

    record: StudyRecord
    spec: StudySpec
    states: Mapping[str, int]
    numbers: np.ndarray
    values: np.ndarray
    minimised: np.ndarray
    front: np.ndarray
    fronts: Mapping[str, np.ndarray]
    listed: tuple[int, ...]
    excluded: int
    points: np.ndarray
    records: Mapping[int, TrialRecord]
    means: Mapping[int, TrialRecord]
    rows: tuple[int, ...]
    failures: tuple[TrialRecord, ...]
    plugins: tuple[Plugin, ...]
    location: str

    @property
    def total(self) -> int:
        """All trials, in whatever state."""
        return sum(self.states.values())

    @cached_property
    def tiers(self) -> Mapping[str, str]:
        """The name of each target → what its costs rest on."""
        costs = (cost for trial in self.records.values() for cost in trial.costs)
        return tiers_of(self.spec, costs)

    def quantity(self, name: str) -> Quantity:
        """The quantity of an objective, with the tier of its costs."""
        return quantity(name, tier_of(name, self.spec.target_names, self.tiers))

    def front_records(self, limit: int | None = None) -> list[TrialRecord]:
        """The listed members of the front, or `limit` of them, evenly spread, with both ends."""
        chosen = spread(len(self.listed), len(self.listed) if limit is None else limit)
        numbers = (self.listed[index] for index in chosen)
        return [self.means.get(number, self.records[number]) for number in numbers]


def read_content(store: Store, study: str) -> StudyContent:
    """Reads a study; raises UnknownNameError where the store has none of this name."""
    import numpy as np

    record = store.study(study)
    spec = StudySpec.from_json(record.spec)
    states = {str(state): number for state, number in store.count_states(study).items()}
    numbers, values, excluded, runs = _finished(store, spec)
    minimised = values * np.array([objective.sign for objective in spec.objectives])
    front = _front(numbers, minimised)
    fronts = _fronts(spec, numbers, minimised)
    points = thin(values, POINTS)
    total = sum(states.values())
    rows = tuple(range(max(0, total - ROWS), total))
    listed = tuple(numbers[front[spread(len(front), FRONT_ROWS)]].tolist())
    wanted = {*rows, *numbers[points].tolist(), *listed}
    for own in fronts.values():
        wanted |= set(numbers[own[spread(len(own), FRONT_ROWS)]].tolist())
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
        fronts=fronts,
        listed=listed,
        excluded=excluded,
        points=points,
        records=records,
        means={trial.number: trial for trial in mean_records(store, spec, listed, runs)} if runs else {},
        rows=rows,
        failures=tuple(islice(failures, FAILURES)),
        plugins=tuple(store.plugins(study)),
        location=store.display_url,
    )


def _front(numbers: np.ndarray, minimised: np.ndarray) -> np.ndarray:
    """Positions of the trials that no other beats, by their last objective."""
    import numpy as np

    from nas.search.front import non_dominated

    if not len(numbers):
        return np.zeros(0, dtype=np.int64)
    best = np.flatnonzero(non_dominated(minimised))
    return np.asarray(best[np.lexsort((numbers[best], minimised[best, -1]))])


def _fronts(spec: StudySpec, numbers: np.ndarray, minimised: np.ndarray) -> Mapping[str, np.ndarray]:
    """The front of each target with objectives of its own; nothing where there are not several."""
    names = [objective.name for objective in spec.objectives]
    owners = [target_of(name, spec.target_names) for name in names]
    targets = [target for target in spec.target_names if target in owners]
    if len(targets) < 2:
        return {}
    columns = {t: [i for i, owner in enumerate(owners) if owner in (None, t)] for t in targets}
    return {target: _front(numbers, minimised[:, own]) for target, own in columns.items()}


def _finished(store: Store, spec: StudySpec) -> tuple[np.ndarray, np.ndarray, int, Runs]:
    """Numbers and objective values of the finished trials that keep the constraints; how many do not.

    Where architectures were trained several times each stands once, with the means of its runs.
    """
    import numpy as np

    names = list(dict.fromkeys([o.name for o in spec.objectives] + [c.name for c in spec.constraints]))
    numbers, values, runs = study_means(store, spec, names)
    allowed = np.ones(len(numbers), dtype=bool)
    for constraint in spec.constraints:
        column = values[:, names.index(constraint.name)]
        allowed &= column <= constraint.limit if constraint.operator == "<=" else column >= constraint.limit
    return numbers[allowed], values[allowed][:, : len(spec.objectives)], int((~allowed).sum()), runs
