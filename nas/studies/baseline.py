"""The baseline of a study: the same budget for another searcher, in a study of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.search.reuse import EarlierRun, Key
from nas.search.study import StudySpec
from nas.search.trial import TrialState

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.store import Store


def check_baseline(baseline: str, searcher: str, registry: Registry) -> None:
    """Raises UnknownNameError for a baseline that is no searcher, UsageError for the searcher itself."""
    if not baseline:
        return
    if registry.searchers[baseline] is registry.searchers[searcher]:
        raise UsageError(f"--baseline {baseline} is the searcher itself: choose another, such as random")


def baseline_spec(spec: StudySpec) -> StudySpec:
    """The settings of the baseline study: those of the study but name and searcher."""
    return replace(spec, name=spec.baseline_name, searcher=spec.baseline, baseline="")


def shared_runs(store: Store, study: str) -> Mapping[Key, EarlierRun]:
    """The finished trials of a study, by what their result depends on."""
    found = {}
    for trial in store.iterate_trials(study, states=[TrialState.FINISHED]):
        steps = tuple(store.steps(study, trial.number))
        run = EarlierRun(study, trial.number, trial.seconds or 0.0, steps)
        found[trial.architecture.hash, trial.fidelity, trial.seed] = run
    return found
