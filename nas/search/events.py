"""What the study loop tells its listener: a progress display, a log, the plugins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.search.trial import TrialResult
from nas.spaces.architecture import Architecture


@dataclass(frozen=True)
class Resumed:
    """The loop read what is stored: `finished` trials have ended, `requeued` run again."""

    finished: int
    requeued: int


@dataclass(frozen=True)
class TrialStarted:
    """A trial began on `host`; `attempt` is above 1 where it had been lost before."""

    number: int
    architecture: Architecture
    host: str
    attempt: int = 1


@dataclass(frozen=True)
class StepDone:
    """A step of a trial is stored, with its metrics."""

    number: int
    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended and is stored; `error` says why where it failed."""

    result: TrialResult
    error: str | None = None


@dataclass(frozen=True)
class TrialPromoted:
    """A trial that had ended as stopped at `step` goes on, to step `until`; it will end again."""

    number: int
    step: int
    until: int


@dataclass(frozen=True)
class Notice:
    """One line that a user should read, such as a lost trial that runs again."""

    text: str


LoopEvent = Resumed | TrialStarted | StepDone | TrialEnded | TrialPromoted | Notice
