# ruff: noqa: E501 - lines of a table
"""What rungs save: the epochs and the front of a search with and without them, on digits.

python benchmarks/rungs.py [--trials 24] [--epochs 12] [--rungs 3] [--seeds 5] [--curves FILE]

Both searches of a seed begin the same number of architectures of the space `tiny`, priced for a phone and
trained on digits by the default recipe, in this process. A training depends on its architecture, its seed and
its epochs alone, so one that both searches ask for is done once and counted for each; with `--curves` its
metrics are kept in a file and a second run takes seconds. Writes benchmarks/results/rungs.md.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas.plugins import default_registry
from nas.search import SearcherSetup, StudyLoop, TrialRequest, TrialState, run_in_process
from nas.search.dominated_volume import hypervolume
from nas.search.front import Front, minimised_values
from nas.search.rungs import rung_steps
from nas.studies.costing import known_prices, study_table
from nas.studies.options import SearchOptions, check_options
from nas.training import Recipe, TrainingEvaluator

RESULTS = Path(__file__).parent / "results" / "rungs.md"
GUESSING = 0.1
"""The accuracy of guessing one digit of ten."""

PAGE = """# What rungs save

`python benchmarks/rungs.py --trials {trials} --epochs {epochs} --rungs {rungs} --seeds {seeds} --searcher {searcher}`

Space `tiny` on digits, accuracy against latency on `pixel6`, {trials} trials of {epochs} epochs; rungs after epochs {steps}.
A *volume* is the hypervolume of the front with rungs over that of the front without, below the largest latency of any trial
trained to the end and the accuracy of guessing (10 %). The *strict volume* begins at the lowest accuracy of any such trial,
so that the last tenths of a per cent decide it.

| seed | epochs without | epochs with | saved | trained to the end | front without | front with | volume | strict volume | best without | best with |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
{rows}

Mean and standard error of {seeds} seeds: {saved} % of the epochs saved, volume {volume}, strict volume {strict}, best accuracy
{gained} percentage points.
"""


@dataclass
class Trainer:
    """Trains, counts the epochs each search spends, and never trains the same epoch twice."""

    evaluator: TrainingEvaluator
    kept: Path | None = None
    epochs: int = 0
    curves: dict[str, list[float]] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    running: dict[str, Iterator[Mapping[str, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kept is not None and self.kept.is_file():
            self.curves = json.loads(self.kept.read_text())

    def begin(self) -> None:
        """Before a search: nothing is spent."""
        self.epochs = 0
        self.done = {}

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        """Yields the accuracy after each epoch that is left."""
        for epoch in range(self.done.get(request.number, 0), request.fidelity):
            accuracy = self._accuracy(request, epoch)
            self.epochs += 1
            self.done[request.number] = epoch + 1
            yield {"accuracy": accuracy, "step": epoch + 1}

    def _accuracy(self, request: TrialRequest, epoch: int) -> float:
        """The accuracy after an epoch, counted from 0; a training waits where nobody asked for more yet."""
        name = f"{request.architecture.hash}/{request.seed}/{request.fidelity}"
        curve = self.curves.setdefault(name, [])
        if epoch >= len(curve):
            fresh = name not in self.running
            steps = self.running.setdefault(name, self.evaluator(request))
            for _ in curve if fresh else ():
                next(steps)
            while epoch >= len(curve):
                curve.append(next(steps)["accuracy"])
        return curve[epoch]

    def end(self) -> None:
        """After the searches of a seed: no other asks for the same trainings."""
        self.running.clear()
        if self.kept is not None:
            self.kept.write_text(json.dumps(self.curves))


@dataclass(frozen=True)
class Outcome:
    """One search: its front, the worst of its finished trials in each objective (less is better), the epochs
    it spent, and how many trials it trained to the end."""

    front: Front
    worst: tuple[float, ...]
    epochs: int
    finished: int


def run_search(trainer: Trainer, given: argparse.Namespace, seed: int, rungs: int) -> Outcome:
    """One search to its end."""
    registry = default_registry()
    options = SearchOptions(
        space="tiny", targets=("pixel6",), trials=given.trials, epochs=given.epochs, seed=seed
    )
    spec, space = check_options(options, registry)
    known = known_prices(spec, study_table(spec, space, registry))
    setup = SearcherSetup(space, spec.objectives, known, (), seed, given.trials)
    loop = StudyLoop(
        space=space,
        searcher=registry.searchers[given.searcher].create(setup),
        objectives=spec.objectives,
        known=known,
        trials=given.trials,
        fidelity=given.epochs,
        seed=seed,
        rungs=rungs,
    )
    trainer.begin()
    run_in_process(loop, trainer)
    finished = [result for result in loop.results if result.state is TrialState.FINISHED]
    worst = tuple(minimised_values(finished, spec.objectives).max(axis=0).tolist())
    return Outcome(loop.front(), worst, trainer.epochs, len(finished))


def volume_ratio(some: Outcome, whole: Outcome, worst_accuracy: float | None = None) -> float:
    """The hypervolume of one front over that of another.

    The reference point is the largest latency of any trial that either search trained to the end, and
    `worst_accuracy`, or else the lowest accuracy of any of them.
    """
    accuracy, latency = (max(pair) for pair in zip(some.worst, whole.worst, strict=True))
    reference = [accuracy if worst_accuracy is None else -worst_accuracy, latency]
    return hypervolume(some.front.minimised, reference) / hypervolume(whole.front.minimised, reference)


def best_accuracy(outcome: Outcome) -> float:
    """The accuracy of the most accurate network of a front, in per cent."""
    return 100 * float(outcome.front.values[:, 0].max())


def mean(values: Sequence[float], digits: int = 3) -> str:
    """A mean with its standard error."""
    error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {error:.{digits}f}"


def report(pairs: Sequence[tuple[Outcome, Outcome]], given: argparse.Namespace) -> str:
    """The page of results."""
    volumes = [volume_ratio(some, whole, GUESSING) for whole, some in pairs]
    strict = [volume_ratio(some, whole) for whole, some in pairs]
    saved = [100 * (1.0 - some.epochs / whole.epochs) for whole, some in pairs]
    gained = [best_accuracy(some) - best_accuracy(whole) for whole, some in pairs]
    rows = [
        f"| {seed} | {whole.epochs} | {some.epochs} | {saved[seed]:.0f} % | {some.finished} "
        f"| {len(whole.front)} | {len(some.front)} | {volumes[seed]:.3f} | {strict[seed]:.3f} "
        f"| {best_accuracy(whole):.1f} % | {best_accuracy(some):.1f} % |"
        for seed, (whole, some) in enumerate(pairs)
    ]
    return PAGE.format(
        steps=", ".join(map(str, rung_steps(given.epochs, given.rungs))),
        rows="\n".join(rows),
        saved=mean(saved, 0),
        volume=mean(volumes),
        strict=mean(strict),
        gained=mean(gained, 1),
        **vars(given),
    )


def main() -> None:
    """Runs both searches for each seed and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("trials", 24), ("epochs", 12), ("rungs", 3), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--searcher", default="pareto")
    parser.add_argument("--curves", type=Path, help="keep the learning curves in this file")
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    trainer = Trainer(TrainingEvaluator("digits", Recipe()), given.curves)
    pairs = []
    for seed in range(given.seeds):
        pairs.append((run_search(trainer, given, seed, 1), run_search(trainer, given, seed, given.rungs)))
        trainer.end()
    text = report(pairs, given)
    given.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
