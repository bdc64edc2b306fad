"""What every runner promises."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nas.errors import MissingPluginError
from nas.search.contracts import Runner
from nas.search.trial import (
    Decision,
    Failed,
    Finished,
    Lost,
    Progress,
    Refused,
    Report,
    Started,
    TrialRequest,
)
from nas.testing.evaluators import (
    ToyEvaluator,
    lacks_a_plugin,
    make_request,
    plain_metrics,
    refuses,
    whereabouts,
)


@dataclass
class ScriptedSource:
    """A trial source that hands out a list of requests and checks the order of what it is told.

    `stop` names the step at which a trial is to be stopped; `waits` is how often `next` first has nothing;
    `hear` is called with each report. `folder` is where the trials of the script have theirs.
    """

    requests: list[TrialRequest]
    stop: Mapping[int, int] = field(default_factory=dict)
    waits: int = 0
    hear: Callable[[Report], None] | None = None
    folder: Path | None = None
    reports: list[Report] = field(default_factory=list)
    running: dict[int, TrialRequest] = field(default_factory=dict)
    most_running: int = 0
    threads: set[int] = field(default_factory=set)
    process_kept: bool = False
    lock: Any = field(default_factory=threading.Lock)  # like a store's connection, it cannot be pickled

    def next(self) -> TrialRequest | None:
        """The next request, None where there is none or where the source waits."""
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
        """Whether all has been run."""
        return not self.requests and not self.running

    def report(self, report: Report) -> Decision:
        """Takes a report; it must be of the current attempt of a running trial."""
        self.threads.add(threading.get_ident())
        current = self.running.get(report.number)
        assert current is not None, f"reports {report}, but that trial is not running"
        assert report.attempt == current.attempt, (
            f"reports {report}, but attempt {current.attempt} is running"
        )
        self.reports.append(report)
        if isinstance(report, Finished | Failed):
            del self.running[report.number]
        elif isinstance(report, Lost):
            lost = self.running.pop(report.number)
            self.requests.append(replace(lost, attempt=lost.attempt + 1))
        if self.hear is not None:
            self.hear(report)
        if isinstance(report, Refused):
            raise MissingPluginError(report.reason)
        stops = isinstance(report, Progress) and self.stop.get(report.number) == report.step
        return Decision.STOP if stops else Decision.CONTINUE

    def of(self, number: int) -> list[Report]:
        """The reports of one trial, in the order they came."""
        return [report for report in self.reports if report.number == number]

    def metrics(self, number: int) -> Mapping[str, float]:
        """The metrics of a trial's last step."""
        return [report for report in self.of(number) if isinstance(report, Progress)][-1].metrics


class RunnerConformance:
    """Tests of one runner; a subclass gives it by the fixture `runner`: anything with `slots` and `run`.

    One run of ten trials serves most of the tests; a fixture with ``scope="class"`` keeps it at one. Trials
    are those of `nas.testing.evaluators`, which workers must be able to import. A runner that cannot lose a
    worker, or whose workers are elsewhere, skips that test.

    >>> class TestInline(RunnerConformance):
    ...     @pytest.fixture(scope="class")
    ...     def runner(self):
    ...         return InlineRunner()
    """

    _runs: ClassVar[dict[int, tuple[Runner, ScriptedSource]]] = {}

    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls) -> Runner:
        """The runner to test."""
        raise NotImplementedError("give the runner to test by a fixture named 'runner'")

    @pytest.fixture
    def told(self, runner: Runner, tmp_path_factory: pytest.TempPathFactory) -> ScriptedSource:
        """A source after a run of well-behaved, stopped, failing and resumed trials."""
        kept, source = self._runs.get(id(runner), (None, None))
        if kept is not runner or source is None:
            source = run_script(runner, tmp_path_factory.mktemp("trials"))
            self._runs[id(runner)] = (runner, source)
        return source

    def test_returns_when_every_trial_has_ended(self, told: ScriptedSource) -> None:
        """Nothing is left, and every trial ended once."""
        assert told.exhausted, "returns before every trial has ended"
        ends = [report.number for report in told.reports if isinstance(report, Finished | Failed)]
        assert sorted(ends) == list(range(10)), f"the trials that ended are {sorted(ends)}"

    def test_reports_a_start_every_step_and_the_end(self, told: ScriptedSource) -> None:
        """One report for each thing that happens, in its order."""
        assert kinds(told.of(0)) == ["Started", "Progress", "Progress", "Progress", "Finished"]
        assert steps(told.of(0)) == [1, 2, 3], f"the steps are {steps(told.of(0))}"

    def test_gives_the_evaluator_the_whole_request(self, told: ScriptedSource) -> None:
        """Architecture, seed and the rest arrive as they were."""
        for number in (0, 5, 6, 9):
            metrics = told.metrics(number)
            found = (metrics["accuracy"], metrics["seed"])
            assert found == (number, 100 + number), f"trial {number} was run with {found}"

    def test_names_the_host(self, told: ScriptedSource) -> None:
        """Every start says where."""
        unnamed = [report for report in told.reports if isinstance(report, Started) and not report.host]
        assert not unnamed, f"{unnamed} name no host"

    def test_measures_the_time(self, told: ScriptedSource) -> None:
        """Every end says how long it took."""
        seconds = [report.seconds for report in told.reports if isinstance(report, Finished)]
        assert seconds, "no trial finished"
        assert all(math.isfinite(value) and value >= 0 for value in seconds), f"durations are {seconds}"

    def test_stops_a_trial_on_request(self, told: ScriptedSource) -> None:
        """After the answer STOP no further step comes, and the end says so."""
        assert kinds(told.of(1)) == ["Started", "Progress", "Progress", "Finished"]
        end = told.of(1)[-1]
        assert isinstance(end, Finished)
        assert end.stopped, "a trial that was stopped is not reported as stopped"

    def test_does_not_call_other_trials_stopped(self, told: ScriptedSource) -> None:
        """Only the one that was."""
        stopped = [
            report.number for report in told.reports if isinstance(report, Finished) and report.stopped
        ]
        assert stopped == [1], f"reports trials {stopped} as stopped"

    @pytest.mark.parametrize("number", [0, 1, 2, 3])
    def test_closes_the_evaluator_however_the_trial_ends(self, told: ScriptedSource, number: int) -> None:
        """Finished, stopped, failed or left by sys.exit: the generator is closed."""
        assert told.folder is not None
        assert (told.folder / str(number) / "closed").exists(), "the evaluator was not closed"

    def test_reports_an_error_once_with_its_traceback(self, told: ScriptedSource) -> None:
        """An exception of the evaluator is a failed trial, and says where it came from."""
        assert kinds(told.of(2)) == ["Started", "Progress", "Failed"]
        failure = told.of(2)[-1]
        assert isinstance(failure, Failed)
        assert failure.error == "ValueError: no such kernel: 11", f"the error is {failure.error!r}"
        assert "_misbehave" in failure.traceback, "the traceback does not lead to the evaluator"

    def test_does_not_die_of_an_evaluator_that_exits(self, told: ScriptedSource) -> None:
        """sys.exit in an evaluator is a failed trial."""
        failure = told.of(3)[-1]
        assert isinstance(failure, Failed), f"the trial ends with {failure}"
        assert failure.error == "SystemExit: 3", f"the error is {failure.error!r}"

    def test_fails_a_metric_that_is_no_number(self, told: ScriptedSource) -> None:
        """Metrics are numbers; anything else is a failed trial that shows it."""
        failure = told.of(4)[-1]
        assert isinstance(failure, Failed), f"the trial ends with {failure}"
        assert "high" in failure.error, f"the error is {failure.error!r}"

    def test_keeps_the_step_of_a_resumed_trial(self, told: ScriptedSource) -> None:
        """The metric ``step`` says which step it is where the evaluator goes on from a checkpoint."""
        assert steps(told.of(6)) == [3, 4], f"the steps are {steps(told.of(6))}"

    def test_keeps_the_step_out_of_the_metrics(self, told: ScriptedSource) -> None:
        """It is no metric."""
        assert "step" not in told.metrics(0), "`step` is among the metrics"

    def test_calls_the_source_from_one_thread(self, told: ScriptedSource) -> None:
        """That of `run`: a source, like a connection to a store, belongs to one thread."""
        assert told.threads == {threading.get_ident()}, "calls the source from another thread than its own"

    def test_keeps_to_its_slots(self, told: ScriptedSource, runner: Runner) -> None:
        """Never more trials at a time than `slots`."""
        assert 1 <= told.most_running <= runner.slots, (
            f"{told.most_running} trials ran at a time, and there are {runner.slots} slots"
        )

    def test_leaves_the_process_as_it_was(self, told: ScriptedSource) -> None:
        """Environment and working folder are other people's too."""
        assert told.process_kept, "changes the environment or the working folder of the process"

    def test_has_nothing_to_do_for_an_exhausted_source(self, runner: Runner) -> None:
        """It returns at once."""
        source = ScriptedSource([])
        runner.run(source, ToyEvaluator())
        assert source.reports == [], f"reports {source.reports} of no trial"

    def test_counts_the_steps_of_an_evaluator_that_does_not(self, runner: Runner) -> None:
        """From 1."""
        source = ScriptedSource([make_request(0, 2)])
        runner.run(source, plain_metrics)
        assert steps(source.reports) == [1, 2], f"the steps are {steps(source.reports)}"

    @pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
    def test_passes_on_what_the_source_raises(self, runner: Runner, error: type[BaseException]) -> None:
        """A full disk ends the run, and so does Ctrl-C; afterwards the runner runs again."""

        def hear(report: Report) -> None:
            if isinstance(report, Progress):
                raise error("the disk is full")

        source = ScriptedSource([make_request(number, 2) for number in range(4)], hear=hear)
        with pytest.raises(error, match="the disk is full"):
            runner.run(source, plain_metrics)
        again = ScriptedSource([make_request(0, 2)])
        runner.run(again, plain_metrics)
        assert steps(again.reports) == [1, 2], "does not run again after an error"

    def test_fails_what_the_evaluator_refuses_and_runs_again_after_an_error(self, runner: Runner) -> None:
        """An evaluator that raises when it is called is a failed trial too."""
        source = ScriptedSource([make_request(0), make_request(1)])
        runner.run(source, refuses)
        failures = [report.error for report in source.reports if isinstance(report, Failed)]
        assert sorted(failures) == [
            "RuntimeError: trial 0 refused",
            "RuntimeError: trial 1 refused",
        ], f"the errors are {failures}"

    def test_passes_on_that_a_host_lacks_a_plugin(self, runner: Runner) -> None:
        """The trial is refused, neither failed nor lost, and the source's answer ends the run."""
        source = ScriptedSource([make_request(0)])
        with pytest.raises(MissingPluginError, match=r"on host \S+ the package nas-ghost 1\.4"):
            runner.run(source, lacks_a_plugin)
        ends = [report for report in source.reports if isinstance(report, Failed | Lost | Finished)]
        assert not ends, f"reports {ends}"

    def test_a_lost_worker_costs_no_trial(self, runner: Runner, told: ScriptedSource, tmp_path: Path) -> None:
        """A trial whose worker is killed is reported as lost, and goes on from its checkpoint."""
        here = whereabouts()
        elsewhere = [told.metrics(number)["host"] != here["host"] for number in (0, 5)]
        if any(elsewhere) or told.metrics(0)["pid"] == here["pid"]:
            pytest.skip("its trials run in this process, or on other machines")

        def hear(report: Report) -> None:
            if isinstance(report, Progress) and (report.number, report.attempt, report.step) == (1, 1, 2):
                os.kill(int(report.metrics["pid"]), signal.SIGKILL)

        requests = [make_request(number, 60, tmp_path / str(number)) for number in range(3)]
        source = ScriptedSource(requests, hear=hear)
        runner.run(source, ToyEvaluator())
        lost = [report for report in source.reports if isinstance(report, Lost)]
        assert [(report.number, report.attempt) for report in lost] == [(1, 1)], f"reports {lost} as lost"
        assert lost[0].reason, "does not say why the trial was lost"
        again = [report for report in source.of(1) if report.attempt == 2]
        first = steps(again)[0]
        assert isinstance(again[0], Started), "the second attempt does not begin with Started"
        assert steps(again) == list(range(first, 61)), "the second attempt leaves out steps"
        assert first > 2, "the second attempt begins afresh, not from the checkpoint"
        ended = sorted(report.number for report in source.reports if isinstance(report, Finished))
        assert ended == [0, 1, 2], f"the trials that finished are {ended}"


def run_script(runner: Runner, folder: Path) -> ScriptedSource:
    """The source after ten trials: one stopped, three failing, one that goes on from its checkpoint."""
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
    source = ScriptedSource(requests, stop={1: 2}, waits=1, folder=folder)
    before = (dict(os.environ), Path.cwd())
    runner.run(source, ToyEvaluator())
    source.process_kept = before == (dict(os.environ), Path.cwd())
    return source


def kinds(reports: Sequence[Report]) -> list[str]:
    """What kinds of reports these are."""
    return [type(report).__name__ for report in reports]


def steps(reports: Sequence[Report]) -> list[int]:
    """The steps that are reported."""
    return [report.step for report in reports if isinstance(report, Progress)]
