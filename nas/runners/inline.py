"""Trials in this process, one after the other."""

from __future__ import annotations

from nas.search.contracts import Evaluator, TrialSource
from nas.search.inprocess import run_in_process


class InlineRunner:
    """Runs one trial at a time in this process; needs no Ray and starts at once.

    A lost trial cannot happen here: what kills the worker kills the study, which `resume` continues.

    >>> InlineRunner().slots
    1
    """

    slots = 1

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        """Runs every trial of the source; KeyboardInterrupt passes through with the evaluator closed."""
        run_in_process(source, evaluate)
