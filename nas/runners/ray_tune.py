"""One run of Ray Tune over a trial source."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any

import ray
from ray import tune

from nas.errors import TrialError
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


def run_on_ray(source: TrialSource, evaluate: Evaluator, slots: int, resources: Mapping[str, float]) -> None:
    """Runs every trial of the source on the Ray cluster this process is connected to."""
    trainable = tune.with_resources(actor_class(ray.put(encode_evaluator(evaluate))), dict(resources))
    try:
        _run(trainable, Relay(source), slots)
    except SourceError as failure:
        raise failure.error from None


def _run(trainable: Any, relay: Relay, slots: int) -> None:
    """Runs Tune, and again where Tune itself breaks: its trials are then lost, not failed."""
    fruitless = 0
    while not relay.exhausted:
        before = relay.reports
        try:
            _fit(trainable, relay, slots)
        except Exception as error:
            fruitless = fruitless + 1 if relay.reports == before else 0
            if fruitless == MAX_FRUITLESS_RUNS:
                raise TrialError(
                    f"Ray Tune failed {fruitless} times in a row: {_last_line(error)}"
                ) from error
            relay.lose_all(f"Ray Tune failed: {_last_line(error)}")


def _fit(trainable: Any, relay: Relay, slots: int) -> None:
    """Runs Tune until the source is exhausted; what it writes lives in a folder that goes with it."""
    scheduler = ReportScheduler(relay)
    tune_config = tune.TuneConfig(
        search_alg=SourceSearcher(relay),
        scheduler=scheduler,
        num_samples=-1,
        max_concurrent_trials=slots,
        reuse_actors=True,
        trial_name_creator=_trial_id,
        trial_dirname_creator=_trial_id,
    )
    with tempfile.TemporaryDirectory(prefix="nas-tune-") as folder, environment(SETTINGS), quiet_ray():
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


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
