"""How near predictions come to latencies that others published, on hardware and runtimes of theirs.

Most of it is batch 1, which the fit of the model knows nothing of. The pages are read from checkouts of the
repositories of `published_tables` in one folder; networks are those of timm, which `nas` does not need, and
YOLOv8. Writes results/costs_published.md.

    python benchmarks/costs_published.py --sources DIR
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from published_tables import SEEN, TABLES, Table, build, group_of, rows_of
from scipy.stats import kendalltau
from torch import nn

from nas.costs import Cost, estimate

RESULTS = Path(__file__).parent / "results" / "costs_published.md"


@dataclass(frozen=True)
class Result:
    """A table, or a group of its networks: how many, the median of predicted / measured, the mean absolute
    error of the logarithm, Kendall tau, and the share in the interval."""

    title: str
    page: str
    networks: int
    ratio: float
    error: float
    tau: float
    inside: float
    use: str


def main() -> None:
    """Prints the table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, required=True, help="folder of checkouts of the repositories")
    folder = parser.parse_args().sources
    if find_spec("timm") is None:
        raise SystemExit("timm is not here, whose networks were measured: pip install timm")
    found = []
    for result in evaluate(folder):
        print(_line(result), flush=True)
        found.append(result)
    if not found:
        pages = ", ".join(sorted({table.page for table in TABLES}))
        raise SystemExit(f"{folder} has none of {pages}: clone the repositories into it")
    RESULTS.write_text(_page(found), encoding="utf-8")
    print(f"wrote {RESULTS}")


def evaluate(folder: Path) -> Iterator[Result]:
    """Every table whose page is there, by group of networks."""
    for table in TABLES:
        groups = defaultdict(list)
        for row in rows_of(table, folder):
            group = group_of(row.network) if table.apart else ""
            groups[group].append((row.milliseconds, _cost(row.network, table)))
        for group, pairs in groups.items():
            yield _result(table, group, pairs)


@cache
def _built(network: str) -> tuple[nn.Module, tuple[int, int, int]]:
    return build(network)


def _cost(network: str, table: Table) -> Cost:
    module, shape = _built(network)
    return estimate(module, shape, table.target, **table.options)


def _result(table: Table, group: str, pairs: Sequence[tuple[float, Cost]]) -> Result:
    measured = np.array([milliseconds for milliseconds, _ in pairs])
    predicted = np.array([cost.latency_ms for _, cost in pairs])
    inside = [cost.low_ms <= milliseconds <= cost.high_ms for milliseconds, cost in pairs]
    return Result(
        f"{table.title}: {group}" if group else table.title,
        table.page,
        len(pairs),
        float(np.median(predicted / measured)),
        float(np.abs(np.log(predicted / measured)).mean()),
        float(kendalltau(predicted, measured).statistic),
        float(np.mean(inside)),
        SEEN if group else table.use,
    )


def _line(result: Result) -> str:
    repository = result.page.partition("/")[0]
    return (
        f"| {result.title} ({repository}) | {result.networks} | {result.ratio:.2f} | {result.error:.2f} | "
        f"{result.tau:.3f} | {100 * result.inside:.0f} % | {result.use} |"
    )


def _page(results: Sequence[Result]) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("nas", "torch", "timm"))
    return "\n".join(
        [
            "# Predictions beside latencies that others published",
            "",
            "`python benchmarks/costs_published.py --sources DIR`, checkouts of the repositories in DIR. "
            f"Python {platform.python_version()}, {versions}.",
            "",
            "Tier T0: nothing was measured by us. What was measured there, with which version and how warm, "
            "is as the pages say, and some include copies to the device. The last column tells what was "
            "rounded by hand on a table, which ones were in sight meanwhile, and which were looked at only "
            "afterwards (none).",
            "",
            "| measured | networks | predicted / measured | mean absolute log error | Kendall tau | in the "
            "90 % interval | figures that owe to it |",
            "|---|---:|---:|---:|---:|---:|---|",
            *map(_line, results),
            "",
        ]
    )


if __name__ == "__main__":
    main()
