"""What a trial costs beside its evaluation: nas against Optuna and plain Ray Tune, in one run.

Every row evaluates a function that only returns a number. The clock starts when Ray is up; opening the store
and starting the workers is part of a run, whose seconds are divided by its trials.

    python benchmarks/overhead.py [--trials 50] [--tune-trials 20] [--repeats 3]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.runners import InlineRunner, RayRunner
from nas.runners.quiet import environment
from nas.runners.ray_cluster import ray_cluster
from nas.search.api import search
from nas.search.contracts import Runner
from nas.spaces.architecture import Architecture
from nas.spaces.space import Space
from nas.store import Store

RESULTS = Path(__file__).parent / "results" / "overhead.md"
PACKAGES = ("nas", "ray", "optuna", "sqlalchemy", "numpy")
WORKERS = 2


@dataclass(frozen=True)
class Row:
    """One way of running trials: `run(folder, trials)` runs them, with all it writes in the folder."""

    name: str
    trials: int
    run: Callable[[Path, int], None]


@dataclass(frozen=True)
class Measurement:
    """Seconds per trial (the whole run by the number of trials) in each repeat."""

    row: Row
    seconds: tuple[float, ...]

    def line(self) -> str:
        """The row of the table."""
        cells = (
            f"{value:.4f}"
            for value in (statistics.median(self.seconds), min(self.seconds), max(self.seconds))
        )
        return f"| {self.row.name} | {self.row.trials} | {' | '.join(cells)} |"


def evaluate(architecture: Architecture) -> Mapping[str, float]:
    """The trivial evaluation."""
    return {"loss": float(sum(architecture.values().values()))}


def run_nas(runner: Runner, folder: Path, trials: int) -> None:
    """Random search into an SQLite store."""
    space = Space.flat({name: list(range(20)) for name in "abc"})
    with Store.open(f"sqlite:///{folder}/nas.db") as store:
        search(
            space,
            evaluate,
            {"loss": "min"},
            searcher="random",
            trials=trials,
            runner=runner,
            store=store,
            study="overhead",
        )


def run_optuna(folder: Path, trials: int) -> None:
    """Optuna's random sampler into its own SQLite storage, in this process."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=f"sqlite:///{folder}/optuna.db", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(
        lambda trial: float(sum(trial.suggest_int(name, 0, 19) for name in "abc")), n_trials=trials
    )


def run_tune(folder: Path, trials: int, *, reuse_actors: bool) -> None:
    """Plain Ray Tune, its defaults except for the number of trials at a time."""
    from ray import tune

    def trainable(config: dict[str, int]) -> None:
        tune.report({"loss": float(sum(config.values()))})

    tune.Tuner(
        trainable,
        param_space={name: tune.randint(0, 20) for name in "abc"},
        tune_config=tune.TuneConfig(
            num_samples=trials, max_concurrent_trials=WORKERS, reuse_actors=reuse_actors
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()


def rows(trials: int, tune_trials: int) -> list[Row]:
    """All ways, ours first."""
    return [
        Row("nas, inline, SQLite store", trials, lambda f, n: run_nas(InlineRunner(), f, n)),
        Row(
            f"nas, Ray, {WORKERS} workers, SQLite store",
            trials,
            lambda f, n: run_nas(RayRunner(WORKERS), f, n),
        ),
        Row("Optuna, in process, SQLite storage", trials, run_optuna),
        Row(
            f"Ray Tune, reuse_actors, {WORKERS} at a time",
            trials,
            lambda f, n: run_tune(f, n, reuse_actors=True),
        ),
        Row(
            f"Ray Tune, defaults, {WORKERS} at a time",
            tune_trials,
            lambda f, n: run_tune(f, n, reuse_actors=False),
        ),
    ]


def measure(row: Row, repeats: int) -> Measurement:
    """Runs the row `repeats` times, each in a fresh folder."""
    seconds = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            row.run(Path(folder), row.trials)
            seconds.append((time.perf_counter() - began) / row.trials)
    return Measurement(row, tuple(seconds))


def table(measurements: list[Measurement]) -> str:
    """The measurements as a Markdown table."""
    head = "| way | trials | median s per trial | fastest | slowest |\n|---|---:|---:|---:|---:|"
    return "\n".join([head, *(measurement.line() for measurement in measurements)])


def facts(command: str, load: tuple[float, float, float]) -> str:
    """What the figures depend on."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    loads = ", ".join(f"{value:.1f}" for value in load)
    return (
        f"Command: `{command}`.\n"
        f"Machine: {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}; "
        f"load average at the start {loads} (over 1, 5, 15 minutes).\n"
        f"Versions: Python {platform.python_version()}, {versions}."
    )


def main() -> None:
    """Measures, prints the table and writes it down."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--tune-trials", type=int, default=20, help="of Ray Tune with its defaults")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    load = os.getloadavg()

    with ray_cluster(cpus=WORKERS), environment({"RAY_AIR_NEW_OUTPUT": "0"}):  # Tune's tables between ours
        measurements = [measure(row, options.repeats) for row in rows(options.trials, options.tune_trials)]

    given = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in vars(options).items())
    text = f"{table(measurements)}\n\n{facts(f'python benchmarks/overhead.py {given}', load)}\n"
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    introduction = "\n".join((__doc__ or "").splitlines()[2:4])
    RESULTS.write_text(f"# What a trial costs beside its evaluation\n\n{introduction}\n\n{text}")


if __name__ == "__main__":
    main()
