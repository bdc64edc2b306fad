"""The kit finds what is wrong with a runner, and nothing where all is right."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from kit_failures import complaint, run_file

from nas.runners import InlineRunner
from nas.search import TrialRequest
from nas.search.contracts import Evaluator, TrialSource
from nas.search.reports import trial_reports
from nas.search.trial import Decision, Failed, Finished, Progress, Report, Started
from nas.testing import RunnerConformance
from nas.testing.runner import ScriptedSource, run_script

KIT = RunnerConformance()


class Plain:
    """A runner of one trial at a time, in this process."""

    slots = 1

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        while not source.exhausted:
            request = source.next()
            if request is None:
                time.sleep(0.001)
                continue
            self.run_trial(source, evaluate, request)

    def run_trial(self, source: TrialSource, evaluate: Evaluator, request: TrialRequest) -> None:
        for report in self.reports(evaluate, request):
            if self.tell(source, report) is Decision.STOP and isinstance(report, Progress):
                self.tell(source, Finished(request.number, request.attempt, 0.0, stopped=True))
                return

    def reports(self, evaluate: Evaluator, request: TrialRequest) -> Iterator[Report]:
        reports = trial_reports(request, lambda: evaluate, "here")
        try:
            yield from reports
        finally:
            reports.close()  # type: ignore[attr-defined]

    def tell(self, source: TrialSource, report: Report) -> Decision:
        return source.report(report)


class Hasty(Plain):
    """Leaves at the first pause of the source."""

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        while (request := source.next()) is not None:
            self.run_trial(source, evaluate, request)


class Deaf(Plain):
    def tell(self, source: TrialSource, report: Report) -> Decision:
        super().tell(source, report)
        return Decision.CONTINUE


class Silent(Plain):
    """Says nothing of the first step."""

    def tell(self, source: TrialSource, report: Report) -> Decision:
        if isinstance(report, Progress) and report.step == 1:
            return Decision.CONTINUE
        return super().tell(source, report)


class Nameless(Plain):
    def tell(self, source: TrialSource, report: Report) -> Decision:
        return super().tell(source, replace(report, host="") if isinstance(report, Started) else report)


class Timeless(Plain):
    def tell(self, source: TrialSource, report: Report) -> Decision:
        ended = isinstance(report, Finished)
        return super().tell(source, replace(report, seconds=float("nan")) if ended else report)


class Sloppy(Plain):
    """Calls every trial stopped, and loses tracebacks."""

    def tell(self, source: TrialSource, report: Report) -> Decision:
        if isinstance(report, Finished):
            report = replace(report, stopped=True)
        if isinstance(report, Failed):
            report = replace(report, traceback="")
        return super().tell(source, report)


class Open(Plain):
    """Never closes an evaluator."""

    KEPT: ClassVar[list[Any]] = []

    def reports(self, evaluate: Evaluator, request: TrialRequest) -> Iterator[Report]:
        def kept(request: TrialRequest) -> Iterator[Mapping[str, float]]:
            steps = evaluate(request)
            self.KEPT.append(steps)
            return iter(lambda: next(steps), None)

        yield from trial_reports(request, lambda: kept, "here")


class Forgetful(Plain):
    """Leaves the seed out."""

    def reports(self, evaluate: Evaluator, request: TrialRequest) -> Iterator[Report]:
        return super().reports(evaluate, replace(request, seed=0))


class Threaded(Plain):
    def tell(self, source: TrialSource, report: Report) -> Decision:
        answers: list[Decision] = []
        thread = threading.Thread(target=lambda: answers.append(source.report(report)))
        thread.start()
        thread.join()
        return answers[0]


class Greedy(Plain):
    """Takes two trials where it has one slot."""

    def run_trial(self, source: TrialSource, evaluate: Evaluator, request: TrialRequest) -> None:
        other = source.next()
        super().run_trial(source, evaluate, request)
        if other is not None:
            super().run_trial(source, evaluate, other)


class Messy(Plain):
    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        os.environ["NAS_MESS"] = "1"
        super().run(source, evaluate)


class Patient(Plain):
    """Swallows whatever a source raises."""

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        try:
            super().run(source, evaluate)
        except (OSError, KeyboardInterrupt):
            return


class Stubborn(Plain):
    """Is of no use after an error."""

    broken = False

    def run(self, source: TrialSource, evaluate: Evaluator) -> None:
        if self.broken:
            return
        try:
            super().run(source, evaluate)
        except OSError:
            self.broken = True
            raise


BROKEN: list[tuple[type[Plain], str, str]] = [
    (Hasty, "test_returns_when_every_trial_has_ended", "returns before every trial has ended"),
    (Deaf, "test_stops_a_trial_on_request", "Finished"),
    (Silent, "test_reports_a_start_every_step_and_the_end", "Started"),
    (Nameless, "test_names_the_host", "name no host"),
    (Timeless, "test_measures_the_time", "durations are"),
    (Sloppy, "test_does_not_call_other_trials_stopped", "reports trials [0, 1, 5, 6, 7, 8, 9] as stopped"),
    (Sloppy, "test_reports_an_error_once_with_its_traceback", "does not lead to the evaluator"),
    (Forgetful, "test_gives_the_evaluator_the_whole_request", "trial 0 was run with (0.0, 0.0)"),
    (Threaded, "test_calls_the_source_from_one_thread", "from another thread"),
    (Messy, "test_leaves_the_process_as_it_was", "changes the environment"),
]


@pytest.mark.parametrize(
    ("kind", "check", "message"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_is_broken_is_found(
    kind: type[Plain], check: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_MESS", "0")
    assert message in complaint(getattr(KIT, check), run_script(kind(), tmp_path))


def test_one_that_takes_too_many_trials_is_found(tmp_path: Path) -> None:
    runner = Greedy()
    message = complaint(KIT.test_keeps_to_its_slots, run_script(runner, tmp_path), runner)
    assert "2 trials ran at a time, and there are 1 slots" in message


def test_one_that_does_not_close_is_found(tmp_path: Path) -> None:
    told = run_script(Open(), tmp_path)
    assert "was not closed" in complaint(KIT.test_closes_the_evaluator_however_the_trial_ends, told, 1)
    Open.KEPT.clear()


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_one_that_swallows_errors_is_found(error: type[BaseException]) -> None:
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        KIT.test_passes_on_what_the_source_raises(Patient(), error)


def test_one_that_is_spent_after_an_error_is_found() -> None:
    message = complaint(KIT.test_passes_on_what_the_source_raises, Stubborn(), OSError)
    assert "does not run again" in message


def test_a_report_of_no_trial_is_found() -> None:
    source = ScriptedSource([])
    assert "is not running" in complaint(source.report, Started(3, 1, "here"))


USE = """
import pytest
from nas.testing import RunnerConformance
from test_kit_runner import {name}

class TestIt(RunnerConformance):
    @pytest.fixture{scope}
    def runner(self):
        return {name}()
"""


@pytest.mark.parametrize("scope", ["", '(scope="class")'])
def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path, scope: str) -> None:
    outcome = run_file(tmp_path, USE.format(name="Plain", scope=scope))
    assert outcome.failed == {}
    assert outcome.skipped == {"test_a_lost_worker_costs_no_trial"}


def test_a_broken_runner_fails_as_a_whole(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(name="Nameless", scope='(scope="class")'))
    assert set(outcome.failed) == {"test_names_the_host"}


def test_the_toys_of_these_tests_are_no_worse_than_the_inline_runner(tmp_path: Path) -> None:
    kinds = []
    for runner in (Plain(), InlineRunner()):
        folder = tmp_path / type(runner).__name__
        folder.mkdir()
        kinds.append([type(report) for report in run_script(runner, folder).reports])
    assert kinds[0] == kinds[1]
