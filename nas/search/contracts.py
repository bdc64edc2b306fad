"""The contracts between the study loop, searchers, runners and evaluators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from nas.search.trial import Decision, Report, TrialRequest, TrialResult
from nas.spaces.architecture import Architecture

Evaluator = Callable[[TrialRequest], Iterator[Mapping[str, float]]]
"""Runs one trial: yields the metrics after each step (`fidelity` of them), and can be closed to stop.

It must be picklable to run on Ray. Where `request.directory` holds a checkpoint of the same trial it goes on
from there, and yields only the steps that are left. A study with rungs closes it after a step and may call it
again: a checkpoint has to be complete before its step is yielded. Its result depends on the request alone.
"""

Price = Callable[[Sequence[Architecture]], Sequence[float]]
"""A known objective: its value for many architectures at once, without an evaluation."""


class Searcher(Protocol):
    """Proposes architectures and learns from results."""

    def ask(self, n: int) -> list[Architecture]:
        """Up to `n` architectures to evaluate next, none twice and none that was told; an empty list when
        the space holds nothing new."""
        ...

    def tell(self, results: Sequence[TrialResult]) -> None:
        """Learns from finished and failed trials; also called with all stored ones on resume.

        A stopped trial is told with the values and fidelity it reached, and again when it went on and ended.
        On resume only its last result is told.
        """
        ...


class TrialSource(Protocol):
    """The study loop as a runner sees it. All calls come from one thread, the one that called `run`."""

    def next(self) -> TrialRequest | None:
        """The next trial to start, or None when nothing can start now."""
        ...

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever start."""
        ...

    def report(self, report: Report) -> Decision:
        """Takes what happened to a trial; the answer to a Progress may be to stop it."""
        ...


class Runner(Protocol):
    """Where trials run.

    `run` returns when the source is exhausted and every started trial has ended. A Lost trial is given
    again by `next` (attempt + 1). KeyboardInterrupt passes through within five seconds, workers gone.
    """

    slots: int

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        """Runs every trial of the source."""
        ...
