"""The driver side of the Ray runner, without a cluster."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray import cloudpickle
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from nas.errors import TrialError, UsageError
from nas.runners import ray_tune
from nas.runners.ray_driver import Relay, ReportScheduler, SourceError, SourceSearcher
from nas.runners.ray_tune import TuneSetup
from nas.runners.ray_worker import REPORT, REQUEST
from nas.runners.wire import decode_request
from nas.search.trial import Failed, Finished, Lost, Progress, Report, Started
from nas.testing.evaluators import make_request, plain_metrics
from nas.testing.runner import ScriptedSource


def tune_trial(trial_id: str, error_file: Path | None = None) -> Any:
    return SimpleNamespace(trial_id=trial_id, pickled_error_file=error_file and str(error_file))


def reported(scheduler: ReportScheduler, trial_id: str, report: Report) -> str:
    return scheduler.on_trial_result(None, tune_trial(trial_id), {REPORT: report, "time_total_s": 1.5})


@pytest.fixture
def source() -> ScriptedSource:
    return ScriptedSource([make_request(0, 3), make_request(1, 3)], stop={1: 2})


class TestSearcher:
    def test_suggests_each_request_and_then_the_end(self, source: ScriptedSource) -> None:
        relay = Relay(source)
        searcher, scheduler = SourceSearcher(relay), ReportScheduler(relay)
        numbers = [decode_request(searcher.suggest(trial_id)[REQUEST]).number for trial_id in "ab"]
        assert numbers == [0, 1]
        assert searcher.suggest("c") is None
        for trial_id, number in ("a", 0), ("b", 1):
            reported(scheduler, trial_id, Finished(number, 1, 0.1))
        assert searcher.suggest("c") == Searcher.FINISHED

    def test_does_not_end_while_a_trial_may_come_back(self) -> None:
        class Hasty(ScriptedSource):
            @property
            def exhausted(self) -> bool:
                return not self.requests

        source = Hasty([make_request(0)])
        relay = Relay(source)
        searcher = SourceSearcher(relay)
        searcher.suggest("a")
        assert source.exhausted
        assert searcher.suggest("b") is None
        relay.broken("a", None)
        assert decode_request(searcher.suggest("c")[REQUEST]).attempt == 2

    def test_writes_nothing(self, source: ScriptedSource, tmp_path: Path) -> None:
        searcher = SourceSearcher(Relay(source))
        searcher.save_to_dir(str(tmp_path), "session")
        searcher.save(str(tmp_path / "state"))
        assert list(tmp_path.iterdir()) == []


class TestScheduler:
    @pytest.fixture
    def scheduler(self, source: ScriptedSource) -> ReportScheduler:
        relay = Relay(source)
        for trial_id in "ab":
            relay.next(trial_id)
        return ReportScheduler(relay)

    def test_goes_on_after_a_start_and_a_step(self, scheduler: ReportScheduler) -> None:
        for report in (Started(0, 1, "host"), Progress(0, 1, 1, {"loss": 1.0})):
            assert reported(scheduler, "a", report) == TrialScheduler.CONTINUE

    @pytest.mark.parametrize("end", [Finished(0, 1, 2.0), Failed(0, 1, "ValueError: no")])
    def test_ends_with_the_last_report(
        self, scheduler: ReportScheduler, source: ScriptedSource, end: Report
    ) -> None:
        assert reported(scheduler, "a", end) == TrialScheduler.STOP
        assert source.reports == [end]

    def test_carries_out_the_decision_to_stop(
        self, scheduler: ReportScheduler, source: ScriptedSource
    ) -> None:
        step = Progress(1, 1, 2, {"loss": 1.0})
        assert reported(scheduler, "b", step) == TrialScheduler.STOP
        assert source.reports == [step, Finished(1, 1, 1.5, stopped=True)]

    def test_calls_a_dead_worker_lost(
        self, scheduler: ReportScheduler, source: ScriptedSource, tmp_path: Path
    ) -> None:
        error = tmp_path / "error.pkl"
        error.write_bytes(cloudpickle.dumps(RayActorError()))  # type: ignore[no-untyped-call]
        scheduler.on_trial_error(None, tune_trial("a", error))
        (lost,) = source.reports
        assert isinstance(lost, Lost)
        assert "actor" in lost.reason

    def test_calls_a_dead_worker_lost_though_tune_says_nothing(
        self, scheduler: ReportScheduler, source: ScriptedSource, tmp_path: Path
    ) -> None:
        scheduler.on_trial_error(None, tune_trial("a", tmp_path / "missing"))
        scheduler.on_trial_error(None, tune_trial("b"))
        assert [type(report) for report in source.reports] == [Lost, Lost]

    def test_calls_an_error_in_the_worker_failed(
        self, scheduler: ReportScheduler, source: ScriptedSource, tmp_path: Path
    ) -> None:
        error = tmp_path / "error.pkl"
        raised = RayTaskError("step", "Traceback: KeyError", KeyError("width"))
        error.write_bytes(cloudpickle.dumps(raised))  # type: ignore[no-untyped-call]
        scheduler.on_trial_error(None, tune_trial("a", error))
        (failed,) = source.reports
        assert isinstance(failed, Failed)
        assert failed.error == "KeyError: 'width'"
        assert "Traceback: KeyError" in failed.traceback

    def test_says_nothing_of_a_trial_that_has_ended(
        self, scheduler: ReportScheduler, source: ScriptedSource
    ) -> None:
        reported(scheduler, "a", Finished(0, 1, 2.0))
        scheduler.on_trial_error(None, tune_trial("a"))
        assert source.reports == [Finished(0, 1, 2.0)]

    def test_kills_no_worker_where_there_is_none(self, scheduler: ReportScheduler) -> None:
        scheduler.kill_workers()


class TestSourceError:
    def test_is_no_exception_that_tune_could_catch(self) -> None:
        def hear(report: Report) -> None:
            raise OSError("the disk is full")

        relay = Relay(ScriptedSource([make_request(0)], hear=hear))
        relay.next("a")
        with pytest.raises(SourceError) as caught:
            relay.report("a", Started(0, 1, "host"))
        assert not isinstance(caught.value, Exception)
        assert isinstance(caught.value.error, OSError)


class TestBrokenTune:
    """Tune itself breaks now and then: an idle worker that dies is an error of Tune's own."""

    def test_loses_its_trials_and_is_run_again(
        self, monkeypatch: pytest.MonkeyPatch, source: ScriptedSource
    ) -> None:
        runs = []

        def fit(trainable: Any, relay: Relay, setup: TuneSetup) -> None:
            runs.append(setup.slots)
            relay.next(f"trial {len(runs)}")
            if len(runs) < 3:
                raise KeyError("tune broke")
            while not relay.exhausted:
                relay.next("another")
                for request in list(source.running.values()):
                    relay.report("another", Finished(request.number, request.attempt, 0.1))

        monkeypatch.setattr(ray_tune, "_fit", fit)
        ray_tune._run(None, Relay(source), TuneSetup(2))
        assert runs == [2, 2, 2]
        assert [type(report) for report in source.reports] == [Lost, Lost, Finished, Finished]
        assert "tune broke" in source.reports[0].reason  # type: ignore[union-attr]

    def test_gives_up_when_nothing_ever_comes_of_it(
        self, monkeypatch: pytest.MonkeyPatch, source: ScriptedSource
    ) -> None:
        def fit(trainable: Any, relay: Relay, setup: TuneSetup) -> None:
            raise RuntimeError("first line\nno space left on device")

        monkeypatch.setattr(ray_tune, "_fit", fit)
        with pytest.raises(TrialError, match="3 times in a row: no space left on device"):
            ray_tune._run(None, Relay(source), TuneSetup(2))

    def test_an_error_of_the_source_comes_out_as_it_is(
        self, monkeypatch: pytest.MonkeyPatch, source: ScriptedSource
    ) -> None:
        def fit(trainable: Any, relay: Relay, setup: TuneSetup) -> None:
            raise SourceError(OSError("the disk is full"))

        monkeypatch.setattr(ray_tune, "_fit", fit)
        monkeypatch.setattr(ray_tune.ray, "put", lambda value: value)
        monkeypatch.setattr(ray_tune.ray, "cluster_resources", lambda: {"CPU": 2.0})
        with pytest.raises(OSError, match="the disk is full"):
            ray_tune.run_on_ray(source, plain_metrics, TuneSetup(2))


@pytest.mark.parametrize(
    ("cpus", "gpus", "missing"), [(4, 0, "4 CPUs, but Ray has 2"), (1, 1, "1 GPUs, but Ray has 0")]
)
def test_resources_that_ray_never_has_are_refused(
    monkeypatch: pytest.MonkeyPatch, source: ScriptedSource, cpus: float, gpus: float, missing: str
) -> None:
    monkeypatch.setattr(ray_tune.ray, "cluster_resources", lambda: {"CPU": 2.0})
    with pytest.raises(UsageError, match=missing):
        ray_tune.run_on_ray(source, plain_metrics, TuneSetup(2, cpus, gpus))
