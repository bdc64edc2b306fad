"""Trials that another study ran already: their steps are reported again instead of trained again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nas.search.contracts import TrialSource
from nas.search.trial import Decision, Finished, Progress, Report, Started, TrialRequest


@dataclass(frozen=True)
class EarlierRun:
    """A finished trial of another study: the metrics after each of its steps, numbered from 1."""

    study: str
    number: int
    seconds: float
    steps: tuple[tuple[int, Mapping[str, float]], ...]


Key = tuple[str, int, int]
"""What the result of a trial depends on within one task and recipe: architecture, fidelity, seed."""


class ReusingSource:
    """A study loop whose trials end at once where `runs` hold their result; the others go to the runner."""

    def __init__(self, source: TrialSource, runs: Mapping[Key, EarlierRun]) -> None:
        self._source = source
        self._runs = runs

    def next(self) -> TrialRequest | None:
        """The next trial that must be run."""
        while (request := self._source.next()) is not None:
            run = self._runs.get((request.architecture.hash, request.fidelity, request.seed))
            if run is None:
                return request
            self._replay(request, run)
        return None

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever start."""
        return self._source.exhausted

    def report(self, report: Report) -> Decision:
        """Passes a report on."""
        return self._source.report(report)

    def _replay(self, request: TrialRequest, run: EarlierRun) -> None:
        number, attempt = request.number, request.attempt
        self._source.report(Started(number, attempt, f"as {run.study}#{run.number}"))
        stopped = False
        for step, metrics in run.steps:
            if self._source.report(Progress(number, attempt, step, metrics)) is Decision.STOP:
                stopped = True
                break
        self._source.report(Finished(number, attempt, run.seconds, stopped))
