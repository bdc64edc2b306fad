"""How well a cost model ranks the networks of the FBNet space on 27 devices.

The networks (arXiv:1812.03443, Table 1, in the CIFAR form of HW-NAS-Bench, arXiv:2103.10584) are traced block
by block and priced on the target of each device; the measured latencies are those of HELP (arXiv:2106.08630).
For every device: Kendall tau inside the space, the median of predicted / measured, and the mean absolute
error in percent once that one constant is taken out. ``ceiling`` is the tau of a table of 22 x 9 blocks,
fitted to half of the measured networks, on the other half: what a sum over blocks can reach in this noise.
Networks that a model prices alike count as scipy's tau-b counts ties, which can lift a tau above it.

These are not all unseen devices: where a target file names these latencies as the source of a figure (the
eager figures of the GPUs, Xeons and phones) or a file of ``nas_hardware/fitted`` does, the row is one the
constants were fitted to. Those files tell what is left with a device held out.

Eyeriss and FPGA are simulators that no target describes; an edge accelerator stands in for them.

    python benchmarks/costs_fbnet.py --data DIR [--model NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nas.costs import resolve_target
from nas.costs.cost import DEFAULT_MODEL
from nas.costs.deployed import trace_deployed
from nas.costs.model import CostModel
from nas.costs.operators import Trace
from nas.costs.target import Target
from nas.costs.trace import trace
from nas.plugins import default_registry

FILE = Path("phones") / "fbnet_latency_27_devices.csv.gz"
CHANNELS = (16, 24, 32, 64, 112, 184, 352)
DEPTHS = (1, 4, 4, 4, 4, 4, 1)
STRIDES = (1, 1, 2, 2, 1, 2, 1)
STEM, HEAD, CLASSES, SIZE = 16, 1504, 100, 32
BATCHES = (1, 32, 64)
CANDIDATES = ("k3_e1", "k3_e1_g2", "k3_e3", "k3_e6", "k5_e1", "k5_e1_g2", "k5_e3", "k5_e6", "skip")


FIGURES = {
    "tau": "tau",
    "ceiling": "ceiling",
    "ratio": "predicted / measured",
    "mape": "MAPE after one constant, %",
}


@dataclass(frozen=True)
class Place:
    """A device of the file: its group, and the target that stands for it."""

    column: str
    group: str
    target: str
    runtime: str
    batch_size: int = 1
    precision: str = "fp32"


def _gpu(column: str, target: str) -> list[Place]:
    return [Place(f"{column}_{batch}", f"GPU, batch {batch}", target, "eager", batch) for batch in BATCHES]


PLACES = (
    *_gpu("1080ti", "gtx1080ti"),
    *_gpu("2080ti", "rtx2080ti"),
    *_gpu("titan_rtx", "titanrtx"),
    *_gpu("titanx", "titanx"),
    *_gpu("titanxp", "titanxp"),
    *(
        Place(name, "CPU", f"xeon-{name.replace('_', '-')}", "eager")
        for name in ("gold_6226", "gold_6240", "silver_4114", "silver_4210r")
    ),
    Place("essential_ph_1", "phone", "essential-ph-1-cpu", "eager"),
    Place("pixel2", "phone", "pixel2-cpu", "eager"),
    Place("samsung_a50", "phone", "samsung-a50-cpu", "eager"),
    Place("samsung_s7", "phone", "samsung-s7-cpu", "eager"),
    Place("pixel3", "sum of blocks", "pixel3-cpu", "tflite"),
    Place("raspi4", "sum of blocks", "rpi4", "tflite"),
    Place("eyeriss", "simulator", "coral-edgetpu", "tflite", precision="int8"),
    Place("fpga", "simulator", "coral-edgetpu", "tflite", precision="int8"),
)


class Shuffle(nn.Module):
    """Mixes the channels of two groups."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).permute(0, 2, 1, 3, 4).contiguous().view(n, c, h, w)


class Inverted(nn.Module):
    """An inverted residual of the space: expand, depthwise, project; a sum where shapes allow."""

    def __init__(
        self, before: int, after: int, stride: int, kernel: int, expansion: int, groups: int
    ) -> None:
        super().__init__()
        wide = before * expansion
        parts: list[nn.Module] = [*_normed(before, wide, 1, groups=groups), nn.ReLU(inplace=True)]
        parts += [Shuffle()] if groups > 1 else []
        parts += [*_normed(wide, wide, kernel, stride, wide), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*parts, *_normed(wide, after, 1, groups=groups))
        self.has_sum = before == after and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        if self.has_sum:
            y += x
        return y


def _normed(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(after)]


def candidate(name: str, before: int, after: int, stride: int) -> nn.Module:
    """The module of a candidate at one place; `skip` is a 1x1 convolution where shapes differ."""
    if name == "skip":
        same = stride == 1 and before == after
        return (
            nn.Identity()
            if same
            else nn.Sequential(*_normed(before, after, 1, stride), nn.ReLU(inplace=True))
        )
    kernel, expansion, *groups = name.split("_")
    return Inverted(before, after, stride, int(kernel[1:]), int(expansion[1:]), 2 if groups else 1)


def layers() -> Iterator[tuple[int, int, int, int]]:
    """(channels in, channels out, stride, input size) of the 22 layers."""
    before, size = STEM, SIZE
    for channels, depth, stride in zip(CHANNELS, DEPTHS, STRIDES, strict=True):
        for index in range(depth):
            yield before, channels, stride if index == 0 else 1, size
            before, size = channels, size // (stride if index == 0 else 1)


@cache
def traced(
    name: str, before: int, after: int, stride: int, size: int, batch: int, is_deployed: bool
) -> Trace:
    """The trace of one candidate at one place."""
    return traced_module(candidate(name, before, after, stride), (before, size, size), batch, is_deployed)


def traced_module(module: nn.Module, shape: tuple[int, ...], batch: int, is_deployed: bool) -> Trace:
    """The trace of a module as it is, or as it is deployed with its norms folded."""
    return (trace_deployed if is_deployed else trace)(module, shape, batch, "fp32")


def ends(batch: int, is_deployed: bool) -> list[Trace]:
    """The traces of what every network begins and ends with."""
    size = SIZE // int(np.prod(STRIDES))
    stem = nn.Sequential(*_normed(3, STEM, 3), nn.ReLU(inplace=True))
    head = nn.Sequential(*_normed(CHANNELS[-1], HEAD, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))
    tail = nn.Sequential(head, nn.Flatten(), nn.Linear(HEAD, CLASSES))
    return [
        traced_module(stem, (3, SIZE, SIZE), batch, is_deployed),
        traced_module(tail, (CHANNELS[-1], size, size), batch, is_deployed),
    ]


def table(batch: int, is_deployed: bool) -> list[list[Trace]]:
    """The trace of every candidate (columns) at every layer (rows)."""
    return [[traced(name, *place, batch, is_deployed) for name in CANDIDATES] for place in layers()]


def predicted(model: CostModel, target: Target, choices: NDArray[np.intp]) -> NDArray[np.float64]:
    """The latency in milliseconds of networks given as an (n, 22) array of candidates."""
    is_deployed = target.runtime != "eager"
    rows = table(target.batch_size, is_deployed)
    empty = replace(rows[0][-1], operators=(), params=0, weight_bytes=0)
    constant = _amounts(model, empty, target)
    amounts = np.tile(constant, (len(choices), 1))
    for part in ends(target.batch_size, is_deployed):
        amounts += _amounts(model, part, target) - constant
    priced: dict[int, NDArray[np.float64]] = {}
    for index, row in enumerate(rows):
        if id(row[0]) not in priced:
            priced[id(row[0])] = np.array([_amounts(model, part, target) - constant for part in row])
        amounts += priced[id(row[0])][choices[:, index]]
    return model.finished(amounts, target)[:, 0]


def _amounts(model: CostModel, part: Trace, target: Target) -> NDArray[np.float64]:
    cost = model.price(part, target)
    return np.array(cost.amounts or (cost.latency_ms,))


def ceiling(choices: NDArray[np.intp], measured: NDArray[np.float64]) -> float:
    """The tau of a table of blocks fitted to the even networks, on the odd ones."""
    from scipy.stats import kendalltau

    design = np.concatenate([np.eye(len(CANDIDATES))[column] for column in choices.T], axis=1)
    usual = measured < np.quantile(measured, 0.98)
    fitted = np.linalg.lstsq(design[::2][usual[::2]], measured[::2][usual[::2]], rcond=None)[0]
    return float(kendalltau(design[1::2] @ fitted, measured[1::2])[0])


def scores(latency: NDArray[np.float64], measured: NDArray[np.float64]) -> dict[str, float]:
    """Kendall tau, the median of predicted / measured, and the MAPE without it, in percent."""
    from scipy.stats import kendalltau

    ratio = float(np.median(latency / measured))
    error = 100 * float(np.mean(np.abs(latency / ratio / measured - 1)))
    return {"tau": float(kendalltau(latency, measured)[0]), "ratio": ratio, "mape": error}


def read(folder: Path) -> tuple[NDArray[np.intp], dict[str, NDArray[np.float64]]]:
    """The candidates of all networks, and what was measured on each device in milliseconds."""
    with gzip.open(folder / FILE, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    choices = np.array([json.loads(row.pop("arch"))["op_idx_list"] for row in rows])
    return choices, {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


def evaluate(folder: Path, model_name: str) -> list[dict[str, object]]:
    """One row of scores per device whose target there is."""
    choices, measured = read(folder)
    model = default_registry().cost_models[model_name]
    rows: list[dict[str, object]] = []
    for place in PLACES:
        target = resolve_target(
            place.target, precision=place.precision, batch_size=place.batch_size, runtime=place.runtime
        )
        latency = predicted(model, target, choices)
        found = measured[place.column]
        figures = scores(latency, found) | {"ceiling": ceiling(choices, found)}
        rows.append({"device": place.column, "group": place.group, "target": target.label, **figures})
    return rows


def shown(rows: list[dict[str, object]]) -> str:
    """The rows as a Markdown table with the mean of every group."""
    titles = " | ".join(FIGURES.values())
    lines = [f"| device | target | {titles} |", "|---|---|" + "---|" * len(FIGURES)]
    lines += [f"| {row['device']} | {row['target']} | {_cells(row)} |" for row in rows]
    groups = {str(row["group"]): [one for one in rows if one["group"] == row["group"]] for row in rows}
    known = {"GPUs and CPUs": [row for row in rows if str(row["group"]).startswith(("GPU", "CPU"))]}
    for group, part in (groups | known).items():
        means = {key: float(np.mean([float(str(row[key])) for row in part])) for key in FIGURES}
        lines.append(f"| mean of {group} | | {_cells(means)} |")
    return "\n".join(lines)


def _cells(figures: Mapping[str, object]) -> str:
    return " | ".join(f"{figures[name]:.{1 if name == 'mape' else 3}f}" for name in FIGURES)


def main() -> None:
    """Prints the table, and writes it as JSON where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the measured data")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not (options.data / FILE).exists():
        print(f"{options.data / FILE} is not there: no FBNet figures")
        return
    rows = evaluate(options.data, options.model)
    print(shown(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
