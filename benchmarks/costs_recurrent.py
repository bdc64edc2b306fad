"""How near predictions of recurrent layers come to those of DeepBench (Apache-2.0), and what fits them.

    git clone https://github.com/baidu-research/DeepBench
    python benchmarks/costs_recurrent.py --data DeepBench/results

Layers are as wide as their inputs. Two of the constants of ``nas_hardware/fitted/recurrent.json`` are looked
for again, on all GPUs of the inference tables and without each of them. The training tables have the forward
pass of larger batches; V100 in single precision is left out, where products exceed the peak of the vector
units.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from torch import nn

from nas.costs import resolve_target
from nas.costs.cost import DEFAULT_MODEL
from nas.costs.estimation import trace_module
from nas.costs.operators import Trace
from nas.costs.target import Target
from nas.plugins import default_registry
from nas_hardware import recurrence

INFERENCE = {
    "inference/server/DeepBench_NV_1080Ti.xlsx": "gtx1080ti",
    "inference/server/DeepBench_NV_TitanX_Pascal.xlsx": "titanx",
    "inference/server/DeepBench_NV_TitanXp.xlsx": "titanxp",
}
TRAINING = {
    "train/DeepBench_NV_1080Ti.xlsx": "gtx1080ti",
    "train/DeepBench_NV_TitanX_Pascal.xlsx": "titanx",
    "train/DeepBench_NV_TitanXp.xlsx": "titanxp",
    "train/DeepBench_NV_P100.xlsx": "p100",
    "train/DeepBench_NV_V100.xlsx": "v100",
}
LAYERS = {"vanilla": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
WIDTH, BATCH, STEPS, FORWARD_MS = 2, 3, 4, 6
"""The columns of a table."""
MODEL = default_registry().cost_models[DEFAULT_MODEL]
STEPS_US = (8.0, 10.0, 11.0, 12.2, 13.0, 14.0, 16.0)
MEMORY_SHARES = (0.65, 0.7, 0.74, 0.77, 0.8, 0.85)


@dataclass(frozen=True)
class Row:
    """A measured layer: the target that stands for its GPU, precision, sort, sizes, and its forward pass."""

    target: str
    precision: str
    layer: str
    width: int
    batch: int
    steps: int
    latency_ms: float

    def log_error(self) -> float:
        """The logarithm of predicted over measured, for one layer that does not stand in a network."""
        target, found = traced(self)
        operators = MODEL.price(found, target).operators
        own = sum(one.latency_ms for one in operators if one.kind == recurrence.KIND)
        return float(np.log(own / self.latency_ms))


@cache
def traced(row: Row) -> tuple[Target, Trace]:
    """The target of a row, and the trace of its layer on it."""
    target = resolve_target(row.target, precision=row.precision, batch_size=row.batch, runtime="compiled")
    with torch.device("meta"):
        module = LAYERS[row.layer](row.width, row.width, batch_first=True)
    return target, trace_module(module, (row.steps, row.width), target)


def rows(folder: Path, files: Mapping[str, str]) -> Iterator[Row]:
    """The layers of all files."""
    for name, target in files.items():
        for title, cells in sheets(folder / name):
            is_half = "FP16" in title
            if title != "Specs" and not (target == "v100" and not is_half) and "Psuedo" not in title:
                yield from layers(target, "fp16" if is_half else "fp32", cells)


def layers(target: str, precision: str, cells: Sequence[Mapping[int, str]]) -> Iterator[Row]:
    """The recurrent layers of a sheet, which stand below their headings."""
    layer = ""
    for row in cells:
        heading = row.get(0, "")
        if "Recurrent Layers" in heading:
            layer = heading.rpartition(" ")[2].lower()
            continue
        numbers = [_number(row.get(column, "")) for column in (WIDTH, BATCH, STEPS, FORWARD_MS)]
        if row.get(WIDTH) and not numbers[0]:
            layer = ""  # the heading of another table
        if layer and all(numbers):
            yield Row(target, precision, layer, *map(int, numbers[:3]), latency_ms=numbers[3])


def _number(text: str) -> float:
    """A number, 0 for what is none."""
    try:
        return float(text)
    except ValueError:
        return 0.0


def sheets(path: Path) -> Iterator[tuple[str, list[dict[int, str]]]]:
    """The title of each sheet of a workbook, and its rows: column -> text."""
    with zipfile.ZipFile(path) as book:
        shared = [
            "".join(each.itertext()) for each in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))
        ]
        titles = [each.get("name", "") for each in _all(book, "xl/workbook.xml", "sheet")]
        for number, title in enumerate(titles, start=1):
            yield title, [_row(row, shared) for row in _all(book, f"xl/worksheets/sheet{number}.xml", "row")]


def _all(book: zipfile.ZipFile, name: str, tag: str) -> list[ElementTree.Element]:
    return [each for each in ElementTree.fromstring(book.read(name)).iter() if each.tag.endswith(f"}}{tag}")]


def _row(row: ElementTree.Element, shared: Sequence[str]) -> dict[int, str]:
    found = {}
    for cell in row:
        value = next((each.text or "" for each in cell if each.tag.endswith("}v")), "")
        letters = re.sub(r"\d", "", cell.get("r", ""))
        column = sum(26**place * (ord(letter) - 64) for place, letter in enumerate(reversed(letters))) - 1
        found[column] = shared[int(value)] if cell.get("t") == "s" and value else value
    return found


def fitted(measured: Sequence[Row]) -> tuple[float, float]:
    """The step and the share of the bandwidth with the least mean absolute log error."""
    return min(product(STEPS_US, MEMORY_SHARES), key=lambda pair: error(measured, *pair))


def error(measured: Sequence[Row], step_us: float, share: float) -> float:
    """The mean absolute log error with these two constants."""
    constants = recurrence.fitted()["gpu"]
    before = dict(constants)
    constants.update(step_us=step_us, memory_share=share)
    try:
        return float(np.abs([row.log_error() for row in measured]).mean())
    finally:
        constants.update(before)


def printed(title: str, measured: Sequence[Row]) -> None:
    """Prints how far off predictions are, by GPU."""
    found = defaultdict(list)
    for row in measured:
        found[row.target, row.precision].append(row.log_error())
    for (target, precision), logs in found.items():
        errors = np.abs(logs)
        print(
            f"| {title} | {target}, {precision} | {len(logs)} | {np.exp(np.median(logs)):.2f} |"
            f" {errors.mean():.3f} | {np.quantile(errors, 0.9):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder results of DeepBench")
    parser.add_argument("--fit", action="store_true", help="look for the constants of small batches again")
    options = parser.parse_args()
    small, large = list(rows(options.data, INFERENCE)), list(rows(options.data, TRAINING))
    print(
        "| layers | GPU | rows | median of predicted / measured | mean absolute log error | 90th percentile |"
    )
    print("|---|---|---|---|---|---|")
    printed("batch 1 to 4", small)
    printed("batch 8 to 128, forward pass of training", large)
    for target in ("", *INFERENCE.values()) if options.fit else ():
        kept = [row for row in small if row.target != target]
        step_us, share = fitted(kept)
        others = [row for row in small if row.target == target] or kept
        print(f"without {target or 'none'}: {step_us} us, {share}: {error(others, step_us, share):.3f}")


if __name__ == "__main__":
    main()
