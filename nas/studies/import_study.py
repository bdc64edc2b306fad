"""Writes a study of another program as one of ours: a space of its parameters, and its trials."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.errors import StoreError, UsageError
from nas.search.objective import Objective
from nas.search.study import StudySpec, check_name
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.studies.foreign import ForeignStudy, ForeignTrial
from nas.studies.foreign_space import Spelling, flat_spelling, space_spelling

if TYPE_CHECKING:
    from nas.spaces import Space
    from nas.store import Store


@dataclass(frozen=True)
class NewTrial:
    """A trial as it is written; `steps` are counted from 1, the last one holds its result."""

    architecture: Architecture
    state: TrialState
    seed: int
    steps: tuple[tuple[int, Mapping[str, float]], ...]
    seconds: float
    error: str
    number: int


@dataclass(frozen=True)
class Import:
    """A study ready to be written: nothing about it can be wrong any more.

    `repeats` counts trials of parameters that an earlier trial had: the first one is the result.
    """

    spec: StudySpec
    trials: tuple[NewTrial, ...]
    source: str
    notes: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    repeats: int = 0

    @property
    def states(self) -> dict[str, int]:
        """How many trials are in each state."""
        counts = Counter(trial.state.value for trial in self.trials)
        return {state.value: counts[state.value] for state in TrialState if counts[state.value]}


def plan_import(
    foreign: ForeignStudy, *, name: str | None, objectives: Sequence[str], space: Space | None = None
) -> Import:
    """The study and trials that another program's study becomes.

    `name` of None is made from its own. `objectives` name its values in order, ``error`` or ``min:error``.
    With `space` parameters are decisions of that space, and trials outside it are skipped; otherwise they
    become a flat space. Raises UsageError where nothing can be imported.
    """
    goals = _objectives(foreign, objectives)
    spelling = flat_spelling(foreign) if space is None else space_spelling(space)
    trials, skipped, repeats = _trials(foreign, goals, spelling)
    if not trials:
        reasons = "; ".join(f"{count} {reason}" for reason, count in skipped.items())
        raise UsageError(f"{foreign.source}: no trial can be imported: {reasons or 'it has none'}")
    fidelity = max((trial.steps[-1][0] for trial in trials if trial.steps), default=1)
    spec = StudySpec(
        name=check_name(name) if name is not None else _plain_name(foreign.name),
        space=spelling.space.name,
        space_text=spelling.text,
        targets=(),
        objectives=goals,
        data=f"{foreign.program}:{foreign.name}",
        data_fingerprint=_fingerprint(trials),
        searcher=foreign.program,
        trials=len(trials),
        epochs=fidelity,
    )
    return Import(spec, trials, foreign.source, (*foreign.notes, *spelling.notes), skipped, repeats)


def write_import(store: Store, planned: Import) -> int:
    """Writes what is not there yet; returns how many trials that were.

    An import that was interrupted goes on. Raises StoreError where a study of this name holds something else.
    """
    from nas.store import StudyRecord

    spec = planned.spec
    with store.claim_study(spec.name):
        existing = {record.name: record.spec for record in store.studies()}
        if spec.name not in existing:
            store.create_study(StudyRecord(spec.name, spec.to_json()))
        elif StudySpec.from_json(existing[spec.name]) != spec:
            raise StoreError(
                f"study {spec.name!r} exists and holds something else, or an earlier state of this study: "
                "choose another name by --study"
            )
        kept = {trial.number: trial.state for trial in store.trials(spec.name)}
        left = [n for n in range(len(planned.trials)) if n not in kept or not kept[n].is_final]
        for number in left:
            _write(store, spec, planned.trials[number], number, number in kept)
    return len(left)


def _write(store: Store, spec: StudySpec, trial: NewTrial, number: int, is_begun: bool) -> None:
    attempt = 1
    if is_begun:
        attempt = store.requeue_trial(spec.name, number)
    else:
        store.add_trial(spec.name, trial.architecture, fidelity=spec.epochs, seed=trial.seed)
    host = f"{spec.searcher} trial {trial.number}"
    store.start_trial(spec.name, number, attempt=attempt, host=host)
    for step, metrics in trial.steps:
        store.record_step(spec.name, number, attempt=attempt, step=step, metrics=metrics)
    if trial.state is TrialState.FAILED:
        store.fail_trial(spec.name, number, attempt=attempt, error=trial.error)
    else:
        stopped = trial.state is TrialState.STOPPED
        store.finish_trial(spec.name, number, attempt=attempt, seconds=trial.seconds, stopped=stopped)


def _objectives(foreign: ForeignStudy, given: Sequence[str]) -> tuple[Objective, ...]:
    """The objectives by the names the user gave, else those the program knows, else ``value``."""
    count = len(foreign.directions)
    own = foreign.metric_names or tuple("value" if count == 1 else f"value_{i}" for i in range(count))
    names = [*given] or [*own]
    if len(names) != count:
        raise UsageError(
            f"study {foreign.name!r} has {count} objective{'s' * (count > 1)}, {len(names)} "
            f"--objective {'is' if len(names) == 1 else 'are'} given: name all of them, in their order"
        )
    goals = tuple(_objective(name, way) for name, way in zip(names, foreign.directions, strict=True))
    if len({goal.name for goal in goals}) < count:
        raise UsageError(
            f"two objectives of study {foreign.name!r} have one name: give others by --objective"
        )
    return goals


def _objective(text: str, direction: str) -> Objective:
    """``error``, ``min:error`` or ``error:min``; a direction must be the one the study has."""
    head, colon, tail = text.partition(":")
    given, name = (head, tail) if head in ("min", "max") else (tail, head)
    if not colon:
        given, name = direction, text
    if given not in ("min", "max") or not name:
        raise UsageError(f"--objective {text!r} is not of the form 'error' or 'min:error'")
    if given != direction:
        raise UsageError(f"--objective {text!r}: the study has this objective as {direction!r}")
    return Objective(name, direction)


def _trials(
    foreign: ForeignStudy, goals: Sequence[Objective], spelling: Spelling
) -> tuple[tuple[NewTrial, ...], dict[str, int], int]:
    """The trials in their order, those left out by reason, and how many repeat an earlier one."""
    first = min((step for trial in foreign.trials for step, _ in trial.steps), default=1)
    met: Counter[str] = Counter()
    skipped: Counter[str] = Counter({"have not ended": foreign.waiting} if foreign.waiting else {})
    trials = []
    for trial in sorted(foreign.trials, key=lambda trial: trial.number):
        found = spelling.architecture(trial)
        if isinstance(found, str):
            skipped[found] += 1
            continue
        trials.append(_trial(trial, found, met[found.hash], [goal.name for goal in goals], 1 - min(first, 1)))
        met[found.hash] += 1
    return tuple(trials), dict(skipped), len(trials) - len(met)


def _trial(
    trial: ForeignTrial, architecture: Architecture, seed: int, names: Sequence[str], shift: int
) -> NewTrial:
    """The trial with its steps counted from 1; what is no number makes it a failed one."""
    steps = {
        step + shift: {names[0]: value}
        for step, value in trial.steps
        if len(names) == 1 and math.isfinite(value)
    }
    state, error = trial.state, trial.error
    if state is TrialState.FINISHED:
        bad = [value for value in trial.values if not math.isfinite(value)]
        if bad:
            state, error = TrialState.FAILED, f"its value is {bad[0]}"
        else:
            steps[max(steps, default=1)] = dict(zip(names, trial.values, strict=True))
    elif state is TrialState.STOPPED and not steps:
        state, error = TrialState.FAILED, "pruned before its first step"
    if state is TrialState.FAILED:
        error = error or "failed there without a reason"
    seconds = trial.seconds if trial.seconds is not None else 0.0
    return NewTrial(architecture, state, seed, tuple(sorted(steps.items())), seconds, error, trial.number)


def _fingerprint(trials: Sequence[NewTrial]) -> str:
    """A digest of all that is written, by which a changed source is recognised."""
    content = [[t.architecture.hash, t.state.value, t.seed, t.steps, t.error, t.number] for t in trials]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _plain_name(name: str) -> str:
    """A study name of ours from any text."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:56].rstrip("-._")
    return plain or "imported"
