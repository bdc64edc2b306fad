"""Several runs of one architecture, each with its own seed: their mean, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.search.trial import TrialResult, TrialState

if TYPE_CHECKING:
    import numpy as np

    from nas.search.study import StudySpec
    from nas.store import Store, TrialRecord

Runs = Mapping[int, tuple[int, ...]]
"""The number of an architecture's first finished trial → those of all its finished trials."""


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; it does not depend on the order of the values.

    >>> mean([0.25, 0.5, 0.75])
    0.5
    """
    # The mean of equal numbers is that number, not one that rounding has moved: a cost stays as it is known.
    return values[0] if len(set(values)) == 1 else math.fsum(values) / len(values)


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean of at least two values: their standard deviation over √n.

    >>> standard_error([1.0, 3.0])
    1.0
    """
    centre = mean(values)
    variance = math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1)
    return math.sqrt(variance / len(values))


def averages(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each value that all runs have."""
    return {name: mean([run[name] for run in runs]) for name in runs[0] if all(name in run for run in runs)}


def standard_errors(runs: Sequence[Mapping[str, float]], names: Collection[str]) -> dict[str, float]:
    """The standard error of each of some values that all runs have; nothing for a single run."""
    if len(runs) == 1:
        return {}
    return {
        name: standard_error([run[name] for run in runs])
        for name in names
        if all(name in run for run in runs)
    }


def mean_result(runs: Sequence[TrialResult], measured: Collection[str]) -> TrialResult:
    """One result for the finished runs of an architecture, as the first of them with the means of all.

    `measured` are the values that differ from run to run: the standard error is that of their means.
    """
    values = [run.values for run in runs]
    return replace(
        runs[0], values=averages(values), runs=len(runs), standard_error=standard_errors(values, measured)
    )


def mean_results(results: Iterable[TrialResult], measured: Collection[str]) -> list[TrialResult]:
    """One result for each architecture: the mean of its finished runs, else the first of its results."""
    groups: dict[str, list[TrialResult]] = {}
    for result in results:
        groups.setdefault(result.architecture.hash, []).append(result)
    found = []
    for group in groups.values():
        finished = [result for result in group if result.state is TrialState.FINISHED]
        found.append(mean_result(finished, measured) if len(finished) > 1 else (finished or group)[0])
    return found


def study_means(store: Store, spec: StudySpec, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray, Runs]:
    """Numbers (n,) and mean values (n, len(names)) of a study's architectures, and the runs behind them.

    An architecture goes by the number of its first finished trial. In a study without repeats these are the
    finished trials themselves.
    """
    import numpy as np

    numbers, values = store.objective_values(spec.name, names)
    if spec.repeats == 1 or not len(numbers):
        return numbers, values, {}
    hashes = store.architecture_hashes(spec.name)
    rows: dict[str, list[int]] = {}
    for row, number in enumerate(numbers.tolist()):
        rows.setdefault(hashes[number], []).append(row)
    groups = list(rows.values())
    means = np.array([[mean(column) for column in values[group].T.tolist()] for group in groups])
    runs = {int(numbers[group[0]]): tuple(numbers[group].tolist()) for group in groups}
    return numbers[[group[0] for group in groups]], means, runs


def mean_records(store: Store, spec: StudySpec, numbers: Sequence[int], runs: Runs) -> list[TrialRecord]:
    """Stored trials by number, each with the mean metrics of its architecture's `runs`."""
    wanted = {run for number in numbers for run in runs.get(number, (number,))}
    records = {trial.number: trial for trial in store.trials(spec.name, numbers=sorted(wanted))}
    return [
        _mean_record(store, spec, [records[run] for run in runs.get(number, (number,))]) for number in numbers
    ]


def _mean_record(store: Store, spec: StudySpec, runs: Sequence[TrialRecord]) -> TrialRecord:
    if len(runs) == 1:
        return runs[0]
    # What a step told was measured; all else was known before the trial, and the same in every run.
    steps = store.steps(spec.name, runs[0].number)
    told = steps[-1][1] if steps else {}
    return averaged(runs, [objective.name for objective in spec.objectives if objective.name in told])


def averaged(runs: Sequence[TrialRecord], measured: Collection[str]) -> TrialRecord:
    """The first of the finished trials of an architecture with the mean metrics of all."""
    metrics = [run.metrics for run in runs]
    return replace(
        runs[0], metrics=averages(metrics), runs=len(runs), standard_error=standard_errors(metrics, measured)
    )
