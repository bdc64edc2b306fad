"""Running trials in this process: order of reports, errors, stops and interrupts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pytest
from search_toys import flat_space

from nas.search.inprocess import run_in_process
from nas.search.trial import Decision, Failed, Finished, Progress, Report, Started, TrialRequest


class Source:
    """Hands out some requests and notes every report; `stop` is the step after which a trial is stopped."""

    def __init__(self, count: int, stop: int | None = None, waits: int = 0) -> None:
        space = flat_space(9)
        self._left = [TrialRequest(n, space.decode([n]), 3, seed=n) for n in range(count)]
        self._stop = stop
        self._waits = waits
        self.reports: list[Report] = []

    @property
    def exhausted(self) -> bool:
        return not self._left

    def next(self) -> TrialRequest | None:
        if self._waits:
            self._waits -= 1
            return None
        return self._left.pop(0)

    def report(self, report: Report) -> Decision:
        self.reports.append(report)
        stops = isinstance(report, Progress) and report.step == self._stop
        return Decision.STOP if stops else Decision.CONTINUE

    def kinds(self) -> list[type]:
        return [type(report) for report in self.reports]


def three_steps(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    for step in range(1, 4):
        yield {"error": 1.0 / step}


def test_reports_come_in_order() -> None:
    source = Source(2)
    run_in_process(source, three_steps)
    assert source.kinds() == [Started, Progress, Progress, Progress, Finished] * 2
    assert [r.step for r in source.reports if isinstance(r, Progress)] == [1, 2, 3] * 2
    finished = source.reports[4]
    assert isinstance(finished, Finished)
    assert finished.seconds >= 0
    assert not finished.stopped
    assert isinstance(source.reports[0], Started)
    assert source.reports[0].host


def test_a_stop_closes_the_evaluator() -> None:
    closed: list[int] = []

    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        try:
            yield from three_steps(request)
        finally:
            closed.append(request.number)

    source = Source(1, stop=2)
    run_in_process(source, evaluate)
    assert source.kinds() == [Started, Progress, Progress, Finished]
    assert source.reports[-1] == Finished(0, 1, source.reports[-1].seconds, stopped=True)  # type: ignore[union-attr]
    assert closed == [0]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), AssertionError()])
def test_an_error_fails_its_trial_and_the_next_one_runs(error: BaseException) -> None:
    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        yield {"error": 1.0}
        if request.number == 0:
            raise error

    source = Source(2)
    run_in_process(source, evaluate)
    assert source.kinds() == [Started, Progress, Failed, Started, Progress, Finished]
    failed = source.reports[2]
    assert isinstance(failed, Failed)
    assert failed.error.startswith(type(error).__name__)
    assert "test_inprocess.py" in failed.traceback


def test_an_interrupt_passes_with_the_evaluator_closed() -> None:
    closed: list[bool] = []

    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        try:
            yield {"error": 1.0}
            raise KeyboardInterrupt
        finally:
            closed.append(True)

    source = Source(2)
    with pytest.raises(KeyboardInterrupt):
        run_in_process(source, evaluate)
    assert closed == [True]
    assert source.kinds() == [Started, Progress]


def test_an_interrupt_in_the_source_closes_the_evaluator_too() -> None:
    closed: list[bool] = []

    class Interrupted(Source):
        def report(self, report: Report) -> Decision:
            if isinstance(report, Progress):
                raise KeyboardInterrupt
            return super().report(report)

    def evaluate(request: TrialRequest) -> Iterator[Mapping[str, float]]:
        try:
            yield {"error": 1.0}
        finally:
            closed.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_in_process(Interrupted(1), evaluate)
    assert closed == [True]


def resumes(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    yield {"step": 3, "error": 1.0}


def nothing(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    return iter(())


@pytest.mark.parametrize(("evaluate", "steps"), [(resumes, [3]), (nothing, [])])
def test_evaluators_that_go_on_from_a_checkpoint(
    evaluate: Callable[[TrialRequest], Iterator[Mapping[str, float]]], steps: list[int]
) -> None:
    source = Source(1)
    run_in_process(source, evaluate)
    assert [r.step for r in source.reports if isinstance(r, Progress)] == steps
    assert source.kinds()[-1] is Finished


def test_a_source_that_has_nothing_now_is_asked_again() -> None:
    source = Source(1, waits=2)
    run_in_process(source, three_steps)
    assert source.kinds()[-1] is Finished
