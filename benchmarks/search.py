"""How many trials a search needs: every searcher against plain Optuna on a table of trained networks.

NAS-Bench-Macro (Su et al., arXiv:2103.11922; github.com/xiusu/NAS-Bench-Macro) holds 6,561 networks with
their CIFAR-10 test accuracies, the mean of three trainings. Objectives are test error and FLOPs; FLOPs are
known beforehand. The gap is 1 - hypervolume / best possible, with the worst error and the largest FLOPs of
the table as reference point. Writes results/search.md and results/search.svg.

    python benchmarks/search.py --data nas_bench_macro.json [--seeds 10] [--searchers pareto,random]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from nas.search.api import search
from nas.search.dominated_volume import hypervolume, hypervolume_history
from nas.search.front import non_dominated
from nas.spaces.architecture import Architecture
from nas.spaces.space import Space

RESULTS = Path(__file__).parent / "results"
OPERATORS = ("identity", "mbconv3_k3", "mbconv6_k5")
LAYERS = 8
SHOWN = (10, 20, 50, 100, 200, 300)
WITHIN = 0.03
PACKAGES = ("nas", "optuna", "numpy", "scipy")


@dataclass(frozen=True)
class Table:
    """The benchmark: error (%) and FLOPs by key, one digit a layer."""

    error: dict[str, float]
    flops: dict[str, float]

    @classmethod
    def read(cls, path: Path) -> Table:
        """The table in a file of the published form."""
        rows = json.loads(path.read_text(encoding="utf-8"))
        return cls(
            {key: 100.0 - row["mean_acc"] for key, row in rows.items()},
            {key: float(row["flops"]) for key, row in rows.items()},
        )

    @property
    def reference(self) -> tuple[float, float]:
        """The worst of both."""
        return max(self.error.values()), max(self.flops.values())

    @property
    def best(self) -> float:
        """The hypervolume of all networks together."""
        points = [(error, self.flops[key]) for key, error in self.error.items()]
        return hypervolume(points, self.reference)

    def gaps(self, keys: Sequence[str]) -> list[float]:
        """The gap after each trial."""
        points = [(self.error[key], self.flops[key]) for key in keys]
        return [float(1 - value / self.best) for value in hypervolume_history(points, self.reference)]


@dataclass(frozen=True)
class Contender:
    """One way to search: `run(table, seed, trials)` gives the keys in the order they were tried."""

    name: str
    run: Callable[[Table, int, int], list[str]]
    trials: int = 300


@dataclass(frozen=True)
class Outcome:
    """The gaps of one contender, one list a seed, and the CPU seconds of a proposal."""

    contender: Contender
    gaps: list[list[float]]
    seconds: float

    def mean_gap(self, trials: int) -> float | None:
        """The mean over seeds after so many trials; None where it ran for fewer."""
        if any(len(gaps) < trials for gaps in self.gaps):
            return None
        return statistics.fmean(gaps[trials - 1] for gaps in self.gaps)

    @property
    def trials_needed(self) -> int | None:
        """The trials until the mean gap stays within 3 %."""
        count = min(map(len, self.gaps))
        return next((n for n in range(1, count + 1) if (self.mean_gap(n) or 0.0) <= WITHIN), None)


def ours(searcher: str, table: Table, seed: int, trials: int) -> list[str]:
    """One of our searchers, told the FLOPs."""
    space = Space.flat({f"layer{index}": OPERATORS for index in range(LAYERS)}, "nas-bench-macro")
    result = search(
        space,
        lambda architecture: {"error": table.error[key_of(architecture)]},
        {"error": "min", "flops": "min"},
        known={"flops": lambda architecture: table.flops[key_of(architecture)]},
        searcher=searcher,
        trials=trials,
        seed=seed,
    )
    return [key_of(trial.architecture) for trial in result.trials]


def key_of(architecture: Architecture) -> str:
    """The table's key of an architecture."""
    values = architecture.values()
    return "".join(str(OPERATORS.index(values[f"layer{index}"])) for index in range(LAYERS))


def plain_optuna(sampler: str, table: Table, seed: int, trials: int) -> list[str]:
    """Optuna as its users run it: both objectives a black box, duplicates and all."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    makers = {
        "TPE": lambda: optuna.samplers.TPESampler(seed=seed),
        "GP": lambda: optuna.samplers.GPSampler(seed=seed),
        "NSGA-II": lambda: optuna.samplers.NSGAIISampler(population_size=20, seed=seed),
    }
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=makers[sampler]())
    keys = []
    for _ in range(trials):
        trial = study.ask()
        key = "".join(
            str(OPERATORS.index(trial.suggest_categorical(f"layer{index}", OPERATORS)))
            for index in range(LAYERS)
        )
        study.tell(trial, [table.error[key], table.flops[key]])
        keys.append(key)
    return keys


CONTENDERS = (
    Contender("pareto", partial(ours, "pareto"), trials=200),
    Contender("evolution", partial(ours, "evolution")),
    Contender("local", partial(ours, "local")),
    Contender("random", partial(ours, "random")),
    Contender("optuna-nsga2", partial(ours, "optuna-nsga2")),
    Contender("optuna-tpe", partial(ours, "optuna-tpe"), trials=200),
    Contender("optuna-gp", partial(ours, "optuna-gp"), trials=50),
    Contender("Optuna NSGA-II (population 20)", partial(plain_optuna, "NSGA-II")),
    Contender("Optuna TPE", partial(plain_optuna, "TPE"), trials=200),
    Contender("Optuna GP", partial(plain_optuna, "GP"), trials=50),
)


@cache
def read_table(path: Path) -> Table:
    """The table, read once by each process."""
    return Table.read(path)


def run_once(path: Path, name: str, seed: int) -> tuple[list[float], float]:
    """The gaps of one run, and the CPU seconds of one trial."""
    warnings.simplefilter("ignore")
    contender = next(c for c in CONTENDERS if c.name == name)
    table = read_table(path)
    began = time.process_time()
    keys = contender.run(table, seed, contender.trials)
    seconds = time.process_time() - began
    return table.gaps(keys), seconds / max(1, len(keys))


def measure(path: Path, contender: Contender, seeds: int, pool: ProcessPoolExecutor) -> Outcome:
    """All seeds of one contender."""
    runs = list(pool.map(run_once, [path] * seeds, [contender.name] * seeds, range(seeds)))
    outcome = Outcome(contender, [gaps for gaps, _ in runs], statistics.median(s for _, s in runs))
    print(row_of(outcome), flush=True)
    return outcome


def row_of(outcome: Outcome) -> str:
    """A line of the table."""
    gaps = [outcome.mean_gap(trials) for trials in SHOWN]
    cells = ["–" if gap is None else f"{100 * gap:.2f}" for gap in gaps]
    needed = outcome.trials_needed
    most = outcome.contender.trials
    cells += [f"> {most}" if needed is None else str(needed), f"{1000 * outcome.seconds:.1f}"]
    return f"| {outcome.contender.name} | " + " | ".join(cells) + " |"


def text_of(outcomes: Sequence[Outcome], seeds: int, table: Table) -> str:
    """The page."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    head = " | ".join(f"{trials} trials" for trials in SHOWN)
    lines = [
        "# Trials a search needs: NAS-Bench-Macro",
        "",
        "`python benchmarks/search.py --data nas_bench_macro.json`",
        "",
        "6,561 networks, CIFAR-10 test error (mean of three trainings) and FLOPs, known beforehand. Gap",
        "in % = 1 − hypervolume / best possible; reference point: the worst error and the largest FLOPs of",
        f"the table; mean of {seeds} seeds. The last columns: trials until the mean gap is at most 3 %, and",
        "CPU milliseconds of one thread for a trial (proposing, and everything around it).",
        "",
        f"| searcher | {head} | trials to 3 % | ms a trial |",
        f"|---|{'---:|' * (len(SHOWN) + 2)}",
        *map(row_of, outcomes),
        f"| *the best networks, known in advance* | {' | '.join(_oracle_cells(table))} | – |",
        "",
        *_verdict(outcomes),
        "",
        "![gap against trials](search.svg)",
        "",
        "The rows that begin with Optuna are plain Optuna, both objectives a black box, duplicates included;",
        "the rows `optuna-…` are the same samplers as searchers of nas, which propose nothing twice.",
        "",
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}.",
        "",
    ]
    return "\n".join(lines)


def _oracle_cells(table: Table) -> list[str]:
    """The gap of the best so many networks that could be chosen, and how many come within 3 %."""
    gaps = oracle_gaps(table, max(SHOWN))
    needed = next(count for count, gap in enumerate(gaps, start=1) if gap <= WITHIN)
    return [*(f"{100 * gaps[min(count, len(gaps)) - 1]:.2f}" for count in SHOWN), str(needed)]


def oracle_gaps(table: Table, most: int) -> list[float]:
    """By dynamic programming along the front: the smallest gap that 1, 2, ... networks can leave."""
    points = np.array([(error, table.flops[key]) for key, error in table.error.items()])
    front = points[non_dominated(points)]
    errors, flops = front[np.argsort(front[:, 1])].T
    worst, dearest = table.reference
    volume = (dearest - flops) * (worst - errors)
    gaps = [1 - volume.max() / table.best]
    for _ in range(1, min(most, len(front))):
        steps = (dearest - flops)[None, :] * np.maximum(errors[:, None] - errors[None, :], 0.0)
        volume = np.maximum(volume, np.triu(volume[:, None] + steps, 1).max(axis=0))
        gaps.append(float(1 - volume.max() / table.best))
    return gaps


def _verdict(outcomes: Sequence[Outcome]) -> list[str]:
    """How many times fewer trials pareto needs than each sampler of Optuna."""
    mine = next((o.trials_needed for o in outcomes if o.contender.name == "pareto"), None)
    peers = [o for o in outcomes if "optuna" in o.contender.name.lower()]
    if mine is None:
        return []
    lines = [f"`pareto` comes within 3 % after {mine} trials. Of the samplers of Optuna:", ""]
    for peer in peers:
        trials, most = peer.trials_needed, peer.contender.trials
        times = f"after {trials}: {trials / mine:.1f} times as many" if trials else f"not within {most}"
        lines.append(f"- {peer.contender.name} {times}")
    return lines


WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 760, 420, 60, 20, 220, 50
COLOURS = ("#0b6e4f", "#c8553d", "#8a6fb0", "#888888", "#d4a017", "#2f6db3", "#b0486f", "#e0a96d", "#7fb3d5")
LEAST_GAP, MOST_GAP = 1e-4, 0.5


def picture(outcomes: Sequence[Outcome]) -> str:
    """Mean gap against trials, both axes logarithmic."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        *_grid(),
    ]
    for place, outcome in enumerate(outcomes):
        parts += _curve(outcome, COLOURS[place % len(COLOURS)], place)
    return "\n".join([*parts, "</svg>", ""])


def _x(trials: float) -> float:
    share = np.log(trials / 5) / np.log(300 / 5)
    return float(round(LEFT + share * (WIDTH - LEFT - RIGHT), 1))


def _y(gap: float) -> float:
    share = np.log(max(gap, LEAST_GAP) / LEAST_GAP) / np.log(MOST_GAP / LEAST_GAP)
    return float(round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1))


def _grid() -> list[str]:
    lines = []
    for gap in (0.0001, 0.001, 0.01, 0.03, 0.1, 0.5):
        y = _y(gap)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{100 * gap:g} %</text>')
    for trials in (5, 10, 20, 50, 100, 200, 300):
        x = _x(trials)
        lines.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{trials}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">trials</text>')
    lines.append(f'<text x="{LEFT}" y="{TOP - 6}">gap to the best possible hypervolume</text>')
    return lines


def _curve(outcome: Outcome, colour: str, place: int) -> list[str]:
    means = [(n, outcome.mean_gap(n)) for n in range(5, outcome.contender.trials + 1)]
    points = " ".join(f"{_x(n)},{_y(gap)}" for n, gap in means if gap is not None)
    y = TOP + 16 + 18 * place
    wide = 3 if outcome.contender.name == "pareto" else 1.5
    return [
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{wide}"/>',
        f'<line x1="{WIDTH - RIGHT + 14}" x2="{WIDTH - RIGHT + 34}" y1="{y}" y2="{y}" stroke="{colour}" '
        f'stroke-width="{wide}"/>',
        f'<text x="{WIDTH - RIGHT + 40}" y="{y + 4}">{outcome.contender.name}</text>',
    ]


def main() -> None:
    """Measures, prints the rows as they come, and writes the page and the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="nas_bench_macro.json")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--searchers", default=",".join(c.name for c in CONTENDERS))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    given = parser.parse_args()
    if not given.data.is_file():
        parser.error(f"{given.data} is not there: get it from github.com/xiusu/NAS-Bench-Macro")
    wanted = given.searchers.split(",")
    chosen = [contender for contender in CONTENDERS if contender.name in wanted]
    if len(chosen) < len(wanted):
        parser.error(f"--searchers knows {'; '.join(c.name for c in CONTENDERS)}")
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = "1"
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        outcomes = [measure(given.data, contender, given.seeds, pool) for contender in chosen]
    if len(chosen) == len(CONTENDERS):
        RESULTS.joinpath("search.md").write_text(
            text_of(outcomes, given.seeds, read_table(given.data)), encoding="utf-8"
        )
        RESULTS.joinpath("search.svg").write_text(picture(outcomes), encoding="utf-8")


if __name__ == "__main__":
    main()
