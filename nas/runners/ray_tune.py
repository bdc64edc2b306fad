"""One run of Ray Tune over a trial source."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from nas.errors import TrialError, UsageError
from nas.runners.quiet import environment, quiet_ray
from nas.runners.ray_driver import Relay, ReportScheduler, SourceError, SourceSearcher
from nas.runners.ray_worker import actor_class
from nas.runners.wire import encode_evaluator
from nas.search.contracts import Evaluator, TrialSource

SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # CSV, JSON and TensorBoard files for every trial
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Tune's own takes 15 s to come back
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the store is the only truth
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "1000000000",
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints a table even where verbose is 0
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # a data set may be named by a relative path
}
MAX_FRUITLESS_RUNS = 3


@dataclass(frozen=True)
class TuneSetup:
    """How many trials run at a time, what each of them takes, and where Tune may write its own files."""

    slots: int
    cpus: float = 1
    gpus: float = 0
    folder: Path | None = None


def run_on_ray(source: TrialSource, evaluate: Evaluator, setup: TuneSetup) -> None:
    """Runs every trial of the source on the Ray cluster this process is connected to.

    Raises UsageError where the cluster has not even the CPUs and GPUs of one trial: Tune would wait for ever.
    """
    _check_resources({"CPU": setup.cpus, "GPU": setup.gpus})
    actor = actor_class(ray.put(encode_evaluator(evaluate)))
    trainable = tune.with_resources(actor, {"cpu": setup.cpus, "gpu": setup.gpus})
    try:
        _run(trainable, Relay(source), setup)
    except SourceError as failure:
        raise failure.error from None


def _run(trainable: Any, relay: Relay, setup: TuneSetup) -> None:
    """Runs Tune, and again where Tune itself breaks: its trials are then lost, not failed."""
    fruitless = 0
    while not relay.exhausted:
        before = relay.reports
        try:
            _fit(trainable, relay, setup)
        except Exception as error:
            fruitless = fruitless + 1 if relay.reports == before else 0
            if fruitless == MAX_FRUITLESS_RUNS:
                raise TrialError(
                    f"Ray Tune failed {fruitless} times in a row: {_last_line(error)}"
                ) from error
            relay.lose_all(f"Ray Tune failed: {_last_line(error)}")


def _fit(trainable: Any, relay: Relay, setup: TuneSetup) -> None:
    """Runs Tune until the source is exhausted; what it writes lives in a folder that goes with it."""
    scheduler = ReportScheduler(relay)
    tune_config = tune.TuneConfig(
        search_alg=SourceSearcher(relay),
        scheduler=scheduler,
        num_samples=-1,
        max_concurrent_trials=setup.slots,
        reuse_actors=True,
        trial_name_creator=_trial_id,
        trial_dirname_creator=_trial_id,
    )
    files = tempfile.TemporaryDirectory(prefix="nas-tune-", dir=setup.folder)
    with files as folder, environment(SETTINGS), quiet_ray():
        run_config = tune.RunConfig(
            name="nas",
            storage_path=folder,
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        )
        try:
            tune.Tuner(trainable, tune_config=tune_config, run_config=run_config).fit()
        except BaseException:
            scheduler.kill_workers()
            raise


def _check_resources(needed: Mapping[str, float]) -> None:
    available = ray.cluster_resources()  # type: ignore[no-untyped-call]
    for name, amount in needed.items():
        if amount > available.get(name, 0):
            raise UsageError(f"a trial asks for {amount:g} {name}s, but Ray has {available.get(name, 0):g}")


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
