"""How near predictions come to language models and their products in single precision, on GPUs not fitted to.

Measured by NeuSight (ASPLOS 2025, github.com/sitar-lab/NeuSight, MIT): its kernels for *training* are what
the constants of vector units are fitted to, on five GPUs; the networks and the kernels for testing here are
not, and what was rounded by hand on them the page says. Writes results/costs_language.md.

    python benchmarks/costs_language.py --sources DIR
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import platform
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from cost_fits import Kernels, log_errors
from cost_networks import fp32_speed, product_sizes
from fit_costs import with_overhead
from language_models import language_model
from torch import nn

from nas.costs import estimate
from nas_hardware.gpu_kernels import fitted_constants
from nas_hardware.gpu_products import Products

RESULTS = Path(__file__).parent / "results" / "costs_language.md"
FOLDER = Path("NeuSight") / "scripts" / "asplos"
TARGETS = {
    "Tesla_P4": "p4",
    "Tesla_P100-PCIE-16GB": "p100-pcie-16gb",
    "Tesla_V100-PCIE-32GB": "v100-pcie-32gb",
    "Tesla_T4": "t4",
    "NVIDIA_A100-PCIE-40GB": "a100-pcie-40gb",
    "NVIDIA_H100_80GB_HBM3": "h100-sxm",
    "NVIDIA_L4": "l4",
    "AMD_Instinct_MI100": "mi100",
    "AMD_Instinct_MI210": "mi210",
}
LABEL = re.compile(r"(?P<model>.+)-inf-(?P<length>\d+)-(?P<batch>\d+)(?P<fusion>-fusion)?")
MODELS = frozenset({"bert_large", "gpt2_large", "gpt3_xl", "gpt3_27", "opt_13"})
"""Those of dense layers."""


@dataclass(frozen=True)
class Run:
    """A network on a GPU: milliseconds measured, predicted with the ends of the interval, and as NeuSight's
    authors predicted it."""

    measured: float
    predicted: float
    low: float
    high: float
    theirs: float


def main() -> None:
    """Prints the tables and writes them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, required=True, help="folder with a checkout of NeuSight")
    folder = parser.parse_args().sources / FOLDER
    if not folder.is_dir():
        raise SystemExit(f"{folder} is not there: clone github.com/sitar-lab/NeuSight into the folder")
    lines = [*network_lines(folder), "", *kernel_lines(folder)]
    page = _page(lines)
    print(page)
    RESULTS.write_text(page, encoding="utf-8")
    print(f"wrote {RESULTS}")


def network_lines(folder: Path) -> Iterator[str]:
    """The networks by GPU, and by runtime."""
    yield (
        "| GPU | runtime | networks | predicted / measured | MAPE | within 10 % | in the 90 % interval "
        "| NeuSight's MAPE | its within 10 % |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    eager: dict[str, list[Run]] = {}
    for device, target in TARGETS.items():
        for runtime in ("eager", "compiled"):
            found = list(networks(folder, device, target, runtime))
            if found:
                yield f"| {target} | {runtime} | {_cells(found)} |"
            if runtime == "eager":
                eager[device] = found
    for vendor in ("NVIDIA", "AMD"):
        chosen = [one for device in TARGETS if _vendor(device) == vendor for one in eager[device]]
        yield f"| all of {vendor} | eager | {_cells(chosen)} |"


def _vendor(device: str) -> str:
    return "AMD" if device.startswith("AMD") else "NVIDIA"


def networks(folder: Path, device: str, target: str, runtime: str) -> Iterator[Run]:
    """The networks measured on a GPU in a runtime."""
    for path in sorted((folder / "label" / device).glob("*-inf-*.json")):
        label = LABEL.fullmatch(path.stem)
        if not label or label["model"] not in MODELS or bool(label["fusion"]) != (runtime == "compiled"):
            continue
        module, width = _built(folder, label["model"])
        measured = json.loads(path.read_text(encoding="utf-8"))["e2e_latency"]
        shape, batch = (int(label["length"]), width), int(label["batch"])
        cost = estimate(module, shape, target, precision="fp32", runtime=runtime, batch_size=batch)
        theirs = folder / "results" / "prediction" / device / "neusight" / path.name
        other = json.loads(theirs.read_text(encoding="utf-8"))["e2e_latency"] if theirs.is_file() else np.nan
        yield Run(measured, cost.latency_ms, cost.low_ms, cost.high_ms, other)


@cache
def _built(folder: Path, model: str) -> tuple[nn.Module, int]:
    return language_model(folder / "data" / "DLmodel_configs" / f"{model}.json")


def kernel_lines(folder: Path) -> Iterator[str]:
    """The products for testing, by GPU."""
    kinds = " | ".join(f"{kind} | predicted / measured | MAPE" for kind in ("linear layers", "batched"))
    yield f"| GPU | {kinds} |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for device, target in TARGETS.items():
        parts = [kernels(folder, device, target, kind) for kind in ("linear", "bmm")]
        if all(len(part.milliseconds) > 0 for part in parts):
            errors = [log_errors(part, fitted_constants().vector) for part in parts]
            shown = " | ".join(f"{len(one)} | {_ratio(one):.2f} | {_mape(one):.1%}" for one in errors)
            yield f"| {target} | {shown} |"


def kernels(folder: Path, device: str, target: str, kind: str) -> Kernels:
    """The products of one kind on a GPU."""
    sizes, milliseconds = [], []
    for row in _rows(folder / "data" / "dataset" / "test" / f"{kind}.csv")[device]:
        sizes.append(product_sizes(row, kind))
        milliseconds.append(float(row["Latency"]))
    products = Products(*np.array(sizes, dtype=float).reshape(-1, 5).T)
    found = Kernels(target, products, np.array(milliseconds), fp32_speed(target))
    return with_overhead(found) if milliseconds else found


@cache
def _rows(path: Path) -> dict[str, list[dict[str, str]]]:
    found = defaultdict(list)
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[row["Device"].replace(" ", "_")].append(row)
    return found


def _cells(found: Sequence[Run]) -> str:
    errors = np.log([one.predicted / one.measured for one in found])
    inside = np.mean([one.low <= one.measured <= one.high for one in found])
    theirs = np.log([one.theirs / one.measured for one in found])
    ours = f"{len(found)} | {_ratio(errors):.2f} | {_mape(errors):.1%} | {_near(errors):.0%} | {inside:.0%}"
    return f"{ours} | {_mape(theirs):.1%} | {_near(theirs):.0%}"


def _near(errors: np.ndarray) -> float:
    return float(np.mean(np.abs(np.expm1(errors)) <= 0.1))


def _ratio(errors: np.ndarray) -> float:
    return float(np.exp(np.median(errors)))


def _mape(errors: np.ndarray) -> float:
    return float(np.abs(np.expm1(errors)).mean())


def _page(lines: Sequence[str]) -> str:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("nas", "torch"))
    return "\n".join(
        [
            "# Language models in single precision",
            "",
            "`python benchmarks/costs_language.py --sources DIR`, with a checkout of "
            f"github.com/sitar-lab/NeuSight in DIR. Python {platform.python_version()}, {versions}.",
            "",
            "Tier T0. Constants of vector units are fitted to that repository's kernels for *training*, on "
            "P4, P100, V100, T4 and A100. The power of vector units on L4 was rounded by hand with the "
            "kernels below in sight, that the clock binds H100 was decided on them, and what libraries reach "
            "on AMD's matrix units was rounded on the networks there; all of these figures were looked at. "
            "NeuSight's own predictions of the networks are those in the repository, by models that were "
            "trained on the same kernels, and for AMD's GPUs on kernels of these.",
            "",
            *lines,
            "",
        ]
    )


if __name__ == "__main__":
    main()
