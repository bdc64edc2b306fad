"""A trial on its way: what a runner is asked for, what it reports, what a searcher is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nas.spaces.architecture import Architecture


class TrialState(StrEnum):
    """Where a trial stands; the words are those of the store, the CLI and the JSON output."""

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    FAILED = "failed"
    INFEASIBLE = "infeasible"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to a trial in this state."""
        return self not in (TrialState.QUEUED, TrialState.RUNNING)


class Decision(StrEnum):
    """What the study loop answers to a report: go on, or stop this trial."""

    CONTINUE = "continue"
    STOP = "stop"


@dataclass(frozen=True)
class TrialRequest:
    """One evaluation to run: everything its result may depend on.

    `fidelity` is the number of steps (epochs in training); `directory` is where the evaluator may keep its
    checkpoint and its weights, or None; `attempt` counts from 1 and grows when a lost trial is run again.
    """

    number: int
    architecture: Architecture
    fidelity: int
    seed: int
    attempt: int = 1
    directory: str | None = None


@dataclass(frozen=True)
class Started:
    """The trial began on `host`."""

    number: int
    attempt: int
    host: str


@dataclass(frozen=True)
class Progress:
    """The metrics after one step (counted from 1)."""

    number: int
    attempt: int
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finished:
    """The trial ran all its steps, or was stopped on request; its last progress stands as its result."""

    number: int
    attempt: int
    seconds: float
    stopped: bool = False


@dataclass(frozen=True)
class Failed:
    """The trial ended with an error that another run would meet again: it is not retried."""

    number: int
    attempt: int
    error: str
    traceback: str = ""


@dataclass(frozen=True)
class Lost:
    """The worker that ran the trial is gone; it is run again from its last checkpoint."""

    number: int
    attempt: int
    reason: str


@dataclass(frozen=True)
class Refused:
    """The host cannot run any trial of this study, for want of a plugin; the trial stays queued."""

    number: int
    attempt: int
    reason: str


Report = Started | Progress | Finished | Failed | Lost | Refused


@dataclass(frozen=True)
class TrialResult:
    """What a searcher learns of one trial.

    `values` maps objectives, and metrics that a constraint limits, to their values; it is empty where the
    trial failed. `source` names the earlier study that the trial is of, empty for a trial of this one. Where
    the architecture was trained several times, `values` are the means of its `runs`, and `standard_error` is
    that of each mean that was measured.
    """

    architecture: Architecture
    state: TrialState
    values: Mapping[str, float] = field(default_factory=dict)
    fidelity: int = 1
    number: int = 0
    source: str = ""
    runs: int = 1
    standard_error: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_hint(self) -> bool:
        """Whether it is an earlier study's result at another fidelity, which does not stand for a trial."""
        return bool(self.source) and self.state is TrialState.STOPPED
