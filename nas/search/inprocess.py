"""The study's trials in this process, one after the other."""

from __future__ import annotations

import platform
import time

from nas.search.contracts import Evaluator, TrialSource
from nas.search.reports import close, trial_reports
from nas.search.trial import Decision, Finished, Progress, TrialRequest

IDLE_SECONDS = 0.05


def run_in_process(source: TrialSource, evaluate: Evaluator) -> None:
    """Runs every trial of the source here; returns when it is exhausted.

    An error of the evaluator is reported as Failed and the next trial runs; KeyboardInterrupt passes through
    with the evaluator closed.
    """
    host = platform.node()
    while not source.exhausted:
        request = source.next()
        if request is not None:
            _run_trial(source, evaluate, request, host)
        elif not source.exhausted:
            time.sleep(
                IDLE_SECONDS
            )  # the source waits for something outside: with nothing running, not for us


def _run_trial(source: TrialSource, evaluate: Evaluator, request: TrialRequest, host: str) -> None:
    began = time.monotonic()
    reports = trial_reports(request, lambda: evaluate, host)
    try:
        for report in reports:
            if source.report(report) is Decision.STOP and isinstance(report, Progress):
                close(reports)
                seconds = time.monotonic() - began
                source.report(Finished(request.number, request.attempt, seconds, stopped=True))
                return
    finally:
        close(reports)
