"""What every runner has to do, as a test class: subclass it and give it a `runner` fixture."""

from __future__ import annotations

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from nas.search.contracts import Runner
from nas.search.trial import Decision, Failed, Finished, Lost, Progress, Report, Started, TrialRequest
from nas.spaces.architecture import Architecture


def make_request(
    number: int, fidelity: int = 1, directory: Path | None = None, **choices: object
) -> TrialRequest:
    """A request over a flat architecture; `choices` tell the evaluator of these tests what to do."""
    architecture = Architecture(None, (("number", number), *choices.items()))
    return TrialRequest(
        number, architecture, fidelity, seed=100 + number, directory=directory and str(directory)
    )


@dataclass
class ScriptedSource:
    """A trial source that hands out a list of requests and checks the order of what it is told.

    `stop` names the step at which a trial is to be stopped; `waits` is how often `next` first has nothing;
    `hear` is called with each report.
    """

    requests: list[TrialRequest]
    stop: Mapping[int, int] = field(default_factory=dict)
    waits: int = 0
    hear: Callable[[Report], None] | None = None
    reports: list[Report] = field(default_factory=list)
    running: dict[int, TrialRequest] = field(default_factory=dict)
    most_running: int = 0
    threads: set[int] = field(default_factory=set)
    process_kept: bool = False
    lock: Any = field(default_factory=threading.Lock)  # like a store's connection, it cannot be pickled

    def next(self) -> TrialRequest | None:
        self.threads.add(threading.get_ident())
        if self.waits:
            self.waits -= 1
            return None
        if not self.requests:
            return None
        request = self.requests.pop(0)
        self.running[request.number] = request
        self.most_running = max(self.most_running, len(self.running))
        return request

    @property
    def exhausted(self) -> bool:
        return not self.requests and not self.running

    def report(self, report: Report) -> Decision:
        self.threads.add(threading.get_ident())
        assert report.attempt == self.running[report.number].attempt, (
            "a report of a trial that is not running"
        )
        self.reports.append(report)
        if isinstance(report, Finished | Failed):
            del self.running[report.number]
        elif isinstance(report, Lost):
            lost = self.running.pop(report.number)
            self.requests.append(replace(lost, attempt=lost.attempt + 1))
        if self.hear is not None:
            self.hear(report)
        stops = isinstance(report, Progress) and self.stop.get(report.number) == report.step
        return Decision.STOP if stops else Decision.CONTINUE

    def of(self, number: int) -> list[Report]:
        """The reports of one trial, in the order they came."""
        return [report for report in self.reports if report.number == number]

    def metrics(self, number: int) -> Mapping[str, float]:
        """The metrics of a trial's last step."""
        return [report for report in self.of(number) if isinstance(report, Progress)][-1].metrics


class ToyEvaluator:
    """Does what the architecture's choices say; counts its steps on disk and notes there its closing."""

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        choices = request.architecture.values()
        folder = Path(request.directory) if request.directory else None
        done = _steps_done(folder)
        try:
            for step in range(done + 1, request.fidelity + 1):
                if folder is not None:
                    (folder / "step").write_text(str(step))
                yield {"step": step, "pid": os.getpid(), "seed": request.seed, **_metrics(choices)}
                _misbehave(choices)
        finally:
            if folder is not None:
                (folder / "closed").touch()


def _steps_done(folder: Path | None) -> int:
    if folder is None:
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "step"
    return int(checkpoint.read_text()) if checkpoint.exists() else 0


def _metrics(choices: Mapping[str, object]) -> dict[str, float]:
    return {"accuracy": "high"} if "word" in choices else {"accuracy": choices["number"]}  # type: ignore[dict-item]


def _misbehave(choices: Mapping[str, object]) -> None:
    if "raises" in choices:
        raise ValueError(f"no such kernel: {choices['raises']}")
    if "exits" in choices:
        sys.exit(3)


def plain_metrics(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """An evaluator that counts no steps itself."""
    for step in range(request.fidelity):
        yield {"loss": 1.0 / (step + 1)}


def refuses(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """Not a generator: it raises when it is called."""
    raise RuntimeError(f"trial {request.number} refused")


class RunnerContract:
    """The tests. `runner` is a class-scoped fixture; one run of it serves most of them."""

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls) -> Runner:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("trials")

    @pytest.fixture(scope="class")
    @classmethod
    def told(cls, runner: Runner, folder: Path) -> ScriptedSource:
        """A source after a run of well-behaved, stopped, failing and resumed trials."""
        (folder / "6").mkdir()
        (folder / "6" / "step").write_text("2")
        requests = [
            make_request(0, 3, folder / "0"),
            make_request(1, 5, folder / "1"),
            make_request(2, 3, folder / "2", raises="11"),
            make_request(3, 3, folder / "3", exits=True),
            make_request(4, 3, folder / "4", word=True),
            make_request(5, 1),
            make_request(6, 4, folder / "6"),
            *(make_request(number) for number in range(7, 10)),
        ]
        source = ScriptedSource(requests, stop={1: 2}, waits=1)
        before = (dict(os.environ), Path.cwd())
        runner.run(source, ToyEvaluator())
        source.process_kept = before == (dict(os.environ), Path.cwd())
        return source

    def test_returns_when_every_trial_has_ended(self, told: ScriptedSource) -> None:
        assert told.exhausted
        ends = [report.number for report in told.reports if isinstance(report, Finished | Failed)]
        assert sorted(ends) == list(range(10))

    def test_reports_a_start_every_step_and_the_end(self, told: ScriptedSource) -> None:
        assert [type(report) for report in told.of(0)] == [Started, Progress, Progress, Progress, Finished]
        assert [report.step for report in told.of(0) if isinstance(report, Progress)] == [1, 2, 3]

    def test_gives_the_evaluator_the_whole_request(self, told: ScriptedSource) -> None:
        for number in (0, 5, 6, 9):
            metrics = told.metrics(number)
            assert (metrics["accuracy"], metrics["seed"]) == (number, 100 + number)

    def test_names_the_host(self, told: ScriptedSource) -> None:
        assert all(report.host for report in told.reports if isinstance(report, Started))

    def test_measures_the_time(self, told: ScriptedSource) -> None:
        seconds = [report.seconds for report in told.reports if isinstance(report, Finished)]
        assert seconds
        assert all(math.isfinite(value) and value >= 0 for value in seconds)

    def test_stops_a_trial_on_request(self, told: ScriptedSource) -> None:
        assert [type(report) for report in told.of(1)] == [Started, Progress, Progress, Finished]
        end = told.of(1)[-1]
        assert isinstance(end, Finished)
        assert end.stopped

    def test_does_not_call_other_trials_stopped(self, told: ScriptedSource) -> None:
        stopped = [
            report.number for report in told.reports if isinstance(report, Finished) and report.stopped
        ]
        assert stopped == [1]

    @pytest.mark.parametrize("number", [0, 1, 2, 3])
    def test_closes_the_evaluator_however_the_trial_ends(
        self, told: ScriptedSource, folder: Path, number: int
    ) -> None:
        assert told.exhausted
        assert (folder / str(number) / "closed").exists()

    def test_reports_an_error_once_with_its_traceback(self, told: ScriptedSource) -> None:
        assert [type(report) for report in told.of(2)] == [Started, Progress, Failed]
        failure = told.of(2)[-1]
        assert isinstance(failure, Failed)
        assert failure.error == "ValueError: no such kernel: 11"
        assert "_misbehave" in failure.traceback

    def test_does_not_die_of_an_evaluator_that_exits(self, told: ScriptedSource) -> None:
        failure = told.of(3)[-1]
        assert isinstance(failure, Failed)
        assert failure.error == "SystemExit: 3"

    def test_fails_a_metric_that_is_no_number(self, told: ScriptedSource) -> None:
        failure = told.of(4)[-1]
        assert isinstance(failure, Failed)
        assert "high" in failure.error

    def test_keeps_the_step_of_a_resumed_trial(self, told: ScriptedSource) -> None:
        assert [report.step for report in told.of(6) if isinstance(report, Progress)] == [3, 4]

    def test_keeps_the_step_out_of_the_metrics(self, told: ScriptedSource) -> None:
        assert "step" not in told.metrics(0)

    def test_calls_the_source_from_one_thread(self, told: ScriptedSource) -> None:
        assert told.threads == {threading.get_ident()}

    def test_keeps_to_its_slots(self, told: ScriptedSource, runner: Runner) -> None:
        assert 1 <= told.most_running <= runner.slots

    def test_leaves_the_process_as_it_was(self, told: ScriptedSource) -> None:
        assert told.process_kept

    def test_has_nothing_to_do_for_an_exhausted_source(self, runner: Runner) -> None:
        source = ScriptedSource([])
        runner.run(source, ToyEvaluator())
        assert source.reports == []

    def test_counts_the_steps_of_an_evaluator_that_does_not(self, runner: Runner) -> None:
        source = ScriptedSource([make_request(0, 2)])
        runner.run(source, plain_metrics)
        assert [report.step for report in source.reports if isinstance(report, Progress)] == [1, 2]

    def test_passes_on_what_the_source_raises(self, runner: Runner) -> None:
        def hear(report: Report) -> None:
            if isinstance(report, Progress):
                raise OSError("the disk is full")

        source = ScriptedSource([make_request(number, 2) for number in range(4)], hear=hear)
        with pytest.raises(OSError, match="the disk is full"):
            runner.run(source, plain_metrics)

    def test_fails_what_the_evaluator_refuses_and_runs_again_after_an_error(self, runner: Runner) -> None:
        source = ScriptedSource([make_request(0), make_request(1)])
        runner.run(source, refuses)
        failures = [report for report in source.reports if isinstance(report, Failed)]
        assert sorted(failure.error for failure in failures) == [
            "RuntimeError: trial 0 refused",
            "RuntimeError: trial 1 refused",
        ]
