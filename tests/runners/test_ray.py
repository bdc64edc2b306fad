"""The Ray runner, on a local cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from nas.errors import MissingPluginError, UsageError
from nas.plugins import PluginNeeds, default_registry
from nas.plugins.needs import PluginFile
from nas.runners import RayRunner
from nas.search.loop import StudyLoop
from nas.search.objective import Objective
from nas.search.searcher import SearcherSetup
from nas.search.trial import Failed, Finished, Progress, Report, TrialRequest, TrialState
from nas.spaces import Space
from nas.store import Store, StudyRecord
from nas.testing import RunnerConformance
from nas.testing.evaluators import ToyEvaluator, lacks_a_plugin, make_request, plain_metrics
from nas.testing.runner import ScriptedSource

pytestmark = pytest.mark.ray


@pytest.mark.usefixtures("shared_ray")
class TestRayRunner(RunnerConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def runner(cls, shared_ray: None) -> RayRunner:
        return RayRunner(2)

    def test_workers_serve_many_trials(self, told: ScriptedSource) -> None:
        workers = {report.metrics["pid"] for report in told.reports if isinstance(report, Progress)}
        assert os.getpid() not in workers
        assert len(workers) < 6

    def test_prints_nothing(self, runner: RayRunner, capfd: pytest.CaptureFixture[str]) -> None:
        runner.run(ScriptedSource([make_request(0)]), plain_metrics)
        assert capfd.readouterr() == ("", "")

    def test_evaluator_of_a_function_is_sent_by_value(self, runner: RayRunner) -> None:
        offset = 40

        def local(request: TrialRequest) -> Iterator[Mapping[str, float]]:
            yield {"answer": offset + 2}

        source = ScriptedSource([make_request(0)])
        runner.run(source, local)
        assert source.metrics(0) == {"answer": 42.0}

    def test_workers_run_in_the_folder_of_the_driver(
        self, runner: RayRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        source = ScriptedSource([make_request(0, 1, Path("here"))])
        runner.run(source, ToyEvaluator())
        assert (tmp_path / "here" / "closed").exists()

    def test_evaluator_that_cannot_be_pickled_is_a_usage_error(self, runner: RayRunner) -> None:
        lock = threading.Lock()

        def holds_a_lock(request: TrialRequest) -> Iterator[Mapping[str, float]]:
            with lock:
                yield {"loss": 1.0}

        source = ScriptedSource([make_request(0)])
        with pytest.raises(UsageError, match=r"cannot be sent to Ray's workers .*run with one worker"):
            runner.run(source, holds_a_lock)
        assert source.reports == []

    def test_evaluator_that_cannot_be_loaded_fails_its_trials(self, runner: RayRunner) -> None:
        source = ScriptedSource([make_request(0), make_request(1)])
        runner.run(source, Unloadable())
        failures = [report for report in source.reports if isinstance(report, Failed)]
        assert [failure.error for failure in failures] == ["ImportError: no plugin of that name here"] * 2

    def test_what_a_host_cannot_run_stays_queued_and_runs_another_day(
        self, runner: RayRunner, tmp_path: Path
    ) -> None:
        space = Space.flat({"number": [0, 1, 2, 3]})
        with Store.open(str(tmp_path / "nas.db")) as store:
            store.create_study(StudyRecord("s", "{}", "2026-01-01T00:00:00+00:00", "0"))
            loop = study_loop(space, store)
            with pytest.raises(MissingPluginError, match=r"trial \d stays queued: on host .* nas-ghost 1\.4"):
                runner.run(loop, lacks_a_plugin)
            states = {trial.state for trial in store.trials("s")}
            assert TrialState.QUEUED in states
            assert states <= {TrialState.QUEUED, TrialState.RUNNING}

            again = study_loop(space, store)
            again.resume()
            runner.run(again, plain_metrics)
            assert [trial.state for trial in store.trials("s")] == [TrialState.FINISHED] * 3

    def test_a_plugin_file_travels_to_workers_that_do_not_have_it(self, runner: RayRunner) -> None:
        content = OFFER.encode()
        source = ScriptedSource([make_request(0), make_request(1)])
        runner.run(source, NeedsFile(PluginNeeds(files=(PluginFile("file_of_a_ray_test.py", content),))))
        assert "block_of_a_ray_test" not in default_registry().blocks
        assert source.metrics(0) == source.metrics(1) == {"found": 1.0}


OFFER = """
from nas import Block, hookimpl

@hookimpl
def nas_blocks():
    return [Block(name="block_of_a_ray_test", role="mixer", domain="image", build="nowhere:Nothing")]
"""


def study_loop(space: Space, store: Store) -> StudyLoop:
    objectives = (Objective("loss", "min"),)
    searcher = default_registry().searchers["random"].create(SearcherSetup(space, objectives))
    return StudyLoop(
        space=space, searcher=searcher, objectives=objectives, trials=3, fidelity=1, store=store, study="s"
    )


@dataclass(frozen=True)
class NeedsFile:
    """An evaluator that looks for a block of a plugin file."""

    needs: PluginNeeds

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        self.needs.meet()
        yield {"found": float("block_of_a_ray_test" in default_registry().blocks)}


class Unloadable:
    """An evaluator whose plugin is missing on the worker."""

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        yield {}

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _missing_plugin, ()


def _missing_plugin() -> None:
    raise ImportError("no plugin of that name here")


@pytest.mark.usefixtures("shared_ray")
class TestLostWorker:
    def test_killed_between_trials_costs_no_trial(self) -> None:
        def hear(report: Report) -> None:
            if isinstance(report, Finished) and report.number == 0:
                os.kill(int(source.metrics(0)["pid"]), signal.SIGKILL)
                source.waits = 3

        source = ScriptedSource([make_request(number) for number in range(3)], hear=hear)
        RayRunner(1).run(source, ToyEvaluator())
        assert sorted(report.number for report in source.reports if isinstance(report, Finished)) == [0, 1, 2]


JOINING = """
import sys
from nas.testing.evaluators import ToyEvaluator, make_request
from nas.testing.runner import ScriptedSource
from nas.runners import make_runner

runner = make_runner("auto", address=sys.argv[1])
source = ScriptedSource([make_request(0), make_request(1)])
runner.run(source, ToyEvaluator())
print(type(runner).__name__, runner.slots, sorted(source.metrics(n)["accuracy"] for n in (0, 1)))
"""


@pytest.mark.usefixtures("shared_ray")
def test_joins_a_cluster_by_its_address_and_leaves_it_running(tmp_path: Path) -> None:
    import ray

    script = tmp_path / "joining.py"
    script.write_text(JOINING)
    address = ray.get_runtime_context().gcs_address
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    joined = subprocess.run(
        [sys.executable, str(script), address],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env=environment,
    )
    assert (joined.stdout, joined.stderr) == ("RayRunner 2 [0.0, 1.0]\n", "")
    assert ray.cluster_resources()["CPU"] == 2  # type: ignore[no-untyped-call]


class TestArguments:
    @pytest.mark.parametrize("slots", [0, -1])
    def test_at_least_one_slot(self, slots: int) -> None:
        with pytest.raises(UsageError, match="at least 1"):
            RayRunner(slots)

    @pytest.mark.parametrize(
        ("slots", "per_trial", "gpus"),
        [(4, 0, 0), (4, 0.5, 2), (5, 0.4, 3), (3, 1, 3), (2, 4, 8), (3, 0.7, 3)],
    )
    def test_a_cluster_of_its_own_has_the_gpus_of_all_slots(
        self, slots: int, per_trial: float, gpus: float
    ) -> None:
        assert RayRunner(slots, gpus_per_trial=per_trial)._gpus() == gpus

    def test_no_negative_resources(self) -> None:
        with pytest.raises(UsageError, match="negative"):
            RayRunner(2, gpus_per_trial=-1)

    def test_making_one_needs_no_ray(self) -> None:
        code = (
            "import sys, nas.runners as r; r.RayRunner(2); r.make_runner(1); sys.exit('ray' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
