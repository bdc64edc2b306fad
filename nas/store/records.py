"""What the store gives back: frozen records, one for each kind of row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nas.costs.cost import Cost
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture


@dataclass(frozen=True)
class StudyRecord:
    """A study: its name, its settings as JSON, when and by which version of nas it was made."""

    name: str
    spec: str
    created: str = ""
    version: str = ""


@dataclass(frozen=True)
class TrialRecord:
    """A trial with its result.

    `metrics` holds what was known before the evaluation, overlaid with the last step's numbers; `costs` come
    without operators. `last_step` is the step it has come to, of
    `fidelity` ones. Times are UTC in ISO 8601, None where the trial has not come so far; `seconds` is the
    duration the runner measured. A front's trial may stand for several `runs` of its architecture: then
    `metrics` are their means, and `standard_error` is that of each objective that was measured.
    """

    study: str
    number: int
    state: TrialState
    architecture: Architecture
    fidelity: int
    seed: int
    attempt: int = 1
    last_step: int = 0
    host: str | None = None
    created: str = ""
    started: str | None = None
    finished: str | None = None
    seconds: float | None = None
    error: str | None = None
    traceback: str | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    costs: tuple[Cost, ...] = ()
    runs: int = 1
    standard_error: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ArtifactRecord:
    """A file a trial left behind; `path` is relative to the study's artifact folder and stays inside it."""

    study: str
    number: int
    kind: str
    path: str
    sha256: str
    size: int
    created: str = ""
