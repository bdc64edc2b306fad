"""Warm starts: which earlier studies a search may begin with, and what their results are worth to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.search.front import front_of
from nas.search.prices import Pricing
from nas.search.sources import IMPORTED, counted_now, read_source
from nas.search.study import StudySpec
from nas.search.trial import TrialResult, TrialState
from nas.search.warm_start import WarmStart, join, warm_start
from nas.studies.costing import known_prices

if TYPE_CHECKING:
    from nas.costs import CostTable
    from nas.plugins import Registry
    from nas.spaces import Space
    from nas.store import Store, TrialRecord


def with_sources(
    spec: StudySpec, existing: Mapping[str, str], store: Store, space: Space, table: CostTable
) -> StudySpec:
    """The settings with the trials of each source that count: those with a result by now.

    Where the study exists already with the same sources, those it began with stand. Raises UsageError for a
    source of another task, or one without any result of this space, UnknownNameError for no study at all.
    """
    names = [name for name, _ in spec.warm_start]
    if spec.name in existing:
        began = StudySpec.from_json(existing[spec.name]).warm_start
        if [name for name, _ in began] == names:
            return replace(spec, warm_start=began)
    for name in names:
        _check_task(StudySpec.from_json(store.study(name).spec), spec)
    spec = replace(spec, warm_start=tuple((name, counted_now(store, name)) for name in names))
    for name, found in study_sources(spec, space, store, table).items():
        if not found.all:
            raise UsageError(_nothing(name, found))
    return spec


def study_sources(spec: StudySpec, space: Space, store: Store, table: CostTable) -> Mapping[str, WarmStart]:
    """For each source of a study what its results are worth there, priced on the study's own targets."""
    pricing = Pricing(known_prices(spec, table), spec.constraints)
    wanted = [o.name for o in spec.objectives] + [c.name for c in spec.constraints]
    return {
        name: warm_start(read_source(store, name, numbers, spec.epochs), space, pricing, wanted, spec.epochs)
        for name, numbers in spec.warm_start
    }


def joined(sources: Mapping[str, WarmStart]) -> WarmStart:
    """All sources as one; of one architecture the first source counts."""
    return join(list(sources.values()))


def read_warm_start(store: Store, spec: StudySpec, registry: Registry) -> WarmStart:
    """What a stored study began with; builds its space and its cost table for that."""
    if not spec.warm_start:
        return WarmStart()
    from nas.spaces import parse_space
    from nas.studies.costing import study_table

    space = parse_space(spec.space_text, registry.blocks, origin=spec.space)
    return joined(study_sources(spec, space, store, study_table(spec, space, registry)))


@dataclass(frozen=True)
class ReusedFront:
    """Where reused results stand beside a study's own front.

    `standing` are those that no trial of the study beats; `beaten` are the numbers of the trials on the
    study's front that one of them beats.
    """

    standing: tuple[TrialResult, ...] = ()
    beaten: tuple[int, ...] = ()


def reused_front(spec: StudySpec, own: Sequence[TrialRecord], reused: WarmStart) -> ReusedFront:
    """The front of a study's own front and what it reused."""
    trials = [
        TrialResult(trial.architecture, TrialState.FINISHED, trial.metrics, trial.fidelity, trial.number)
        for trial in own
    ]
    front = front_of([*trials, *reused.results], spec.objectives, spec.constraints)
    left = {result.number for result in front if not result.source}
    return ReusedFront(
        tuple(result for result in front if result.source),
        tuple(trial.number for trial in own if trial.number not in left),
    )


def check_trainable(spec: StudySpec) -> None:
    """Raises UsageError for a study whose trials are not trained by nas: a function's, or an imported one."""
    if _task(spec) in ("function", IMPORTED):
        raise UsageError(
            f"study {spec.name!r} holds the results of {spec.data}, which no command can evaluate.\n"
            f"Go on in Python: nas.search(space, evaluate, ..., store=..., warm_start={spec.name!r})"
        )


def _check_task(source: StudySpec, spec: StudySpec) -> None:
    differences = _task_differences(source, spec)
    if differences:
        raise UsageError(
            f"--from {source.name}: that study trained for another task ({'; '.join(differences)}).\n"
            "Results are only reused where data and recipe are equal: leave out this --from, or search with "
            "its settings."
        )


def _task_differences(source: StudySpec, spec: StudySpec) -> list[str]:
    """What makes two studies different tasks; the same data in another place is the same."""
    alike = replace(
        source,
        data=spec.data if _task(source) == _task(spec) else source.data,
        **{key: getattr(spec, key) for key in _NO_TASK},
    )
    return alike.differences(spec)


_TASK = ("data", "data_fingerprint", "recipe", "minimum_map")
_NO_TASK = tuple(key for key in StudySpec.__dataclass_fields__ if key not in _TASK)


def _task(spec: StudySpec) -> str:
    return spec.data.partition(":")[0]


def _nothing(name: str, found: WarmStart) -> str:
    head = f"--from {name}: nothing of that study can be reused"
    if found.foreign:
        return f"{head}; {found.foreign} results are of another space.\nThe first: {found.reason}"
    if found.partial:
        return f"{head}; {found.partial} results lack an objective or a constrained metric of this study."
    return f"{head}: it has no finished trial yet."
