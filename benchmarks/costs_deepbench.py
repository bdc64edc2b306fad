"""How near predictions of single layers come to those of DeepBench (Apache-2.0).

    git clone https://github.com/baidu-research/DeepBench
    python benchmarks/costs_deepbench.py --data DeepBench/results [--fit]

Products, convolutions and recurrent layers as wide as their inputs, on GPUs; of the training tables the
forward pass. `--fit` looks for two of the constants of ``nas_hardware/fitted/recurrent.json`` again, on all
GPUs of the inference tables and without each of them. Recurrent layers on a V100 in single precision are left
out: they exceed the peak of its vector units.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import nn
from workbooks import Cells, number, sheets

from nas.costs import resolve_target
from nas.costs.cost import DEFAULT_MODEL
from nas.costs.estimation import trace_module
from nas.costs.operators import Trace
from nas.costs.target import Target
from nas.plugins import default_registry
from nas_hardware import recurrence
from nas_hardware.gpu_speed import gpu_speed

MODEL = default_registry().cost_models[DEFAULT_MODEL]
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
HEADINGS = {
    "Dense Matrix": ("product", (2, 3, 4), 8),
    "Convolution": ("convolution", tuple(range(2, 13)), 13),
    "Vanilla": ("vanilla", (2, 3, 4), 6),
    "LSTM": ("lstm", (2, 3, 4), 6),
    "GRU": ("gru", (2, 3, 4), 6),
}
"""What the heading of a table holds -> its sort, and the columns of sizes and of milliseconds."""
STEPS_US = (8.0, 10.0, 11.0, 12.2, 13.0, 14.0, 16.0)
MEMORY_SHARES = (0.65, 0.7, 0.74, 0.77, 0.8, 0.85)


@dataclass(frozen=True)
class Row:
    """A measured layer: the target that stands for its GPU, precision, sort, sizes as its table has them, and
    the milliseconds of its forward pass."""

    target: str
    precision: str
    sort: str
    sizes: tuple[int, ...]
    latency_ms: float

    @property
    def batch(self) -> int:
        """The batch of its input."""
        return self.sizes[3 if self.sort == "convolution" else 1]

    def built(self) -> tuple[nn.Module, tuple[int, ...]]:
        """The layer, and the shape of its input without the batch."""
        if self.sort == "product":
            rows, _, inner = self.sizes
            return nn.Linear(inner, rows, bias=False), (inner,)
        if self.sort == "convolution":
            width, height, inputs, _, outputs, *kernel = self.sizes
            size, padding, stride = (tuple(kernel[place : place + 2]) for place in (0, 2, 4))
            return nn.Conv2d(inputs, outputs, size, stride, padding, bias=False), (inputs, width, height)
        width, _, steps = self.sizes
        return LAYERS[self.sort](width, width, batch_first=True), (steps, width)

    def log_error(self) -> float:
        """The logarithm of predicted over measured, without what a network takes between two layers."""
        target, found = traced(self)
        cost = MODEL.price(found, target)
        longest = max(one.latency_ms for one in cost.operators)
        return float(np.log((longest - gpu_speed(target).step) / self.latency_ms))


@cache
def traced(row: Row) -> tuple[Target, Trace]:
    """The target of a row, and the trace of its layer on it."""
    target = resolve_target(row.target, precision=row.precision, batch_size=row.batch, runtime="compiled")
    with torch.device("meta"):
        module, shape = row.built()
    return target, trace_module(module, shape, target)


def rows(folder: Path, files: Mapping[str, str]) -> Iterator[Row]:
    """The layers of all files."""
    for name, target in files.items():
        for title, cells in sheets(folder / name):
            precision = "fp16" if "FP16" in title else "fp32"
            if title == "Specs" or "Psuedo" in title:
                continue
            for row in of_sheet(target, precision, cells):
                if (row.target, row.precision) != ("v100", "fp32") or row.sort not in LAYERS:
                    yield row


def of_sheet(target: str, precision: str, cells: Sequence[Cells]) -> Iterator[Row]:
    """The layers of a sheet: tables stand below their headings, other tables between them. What was
    multiplied in 8 bits has a unit that nothing here has."""
    table = None
    is_eight = any("Int8" in text for text in cells[0].values())
    for row in cells:
        if row.get(0) and not number(row.get(2, "")):
            table = next((found for part, found in HEADINGS.items() if part in row[0]), None)
        if table is None or (is_eight and table[0] not in LAYERS):
            continue
        sort, columns, column = table
        sizes = tuple(int(number(row.get(place, ""))) for place in columns)
        latency = number(row.get(column, ""))
        if latency and all(sizes[:3]):
            yield Row(target, precision, sort, sizes, latency)


def fitted(measured: Sequence[Row]) -> tuple[float, float]:
    """The step and the share of the bandwidth with the least mean absolute log error."""
    return min(product(STEPS_US, MEMORY_SHARES), key=lambda pair: error(measured, *pair))


def error(measured: Sequence[Row], step_us: float, share: float) -> float:
    """The mean absolute log error of recurrent layers with these two constants."""
    constants = recurrence.fitted()["gpu"]
    before = dict(constants)
    constants.update(step_us=step_us, memory_share=share)
    try:
        return float(np.abs([row.log_error() for row in measured]).mean())
    finally:
        constants.update(before)


def printed(title: str, measured: Sequence[Row]) -> None:
    """Prints how far off predictions are, by sort and GPU."""
    found = defaultdict(list)
    for row in measured:
        sort = "recurrent" if row.sort in LAYERS else row.sort
        found[sort, row.target, row.precision].append(row.log_error())
    for (sort, target, precision), logs in sorted(found.items()):
        errors = np.abs(logs)
        print(
            f"| {sort}, {title} | {target}, {precision} | {len(logs)} | {np.exp(np.median(logs)):.2f} |"
            f" {errors.mean():.2f} | {np.quantile(errors, 0.9):.2f} |"
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
    print("|---|---|---:|---:|---:|---:|")
    printed("batch 1 to 4", small)
    printed("tables of training", large)
    for target in ("", *INFERENCE.values()) if options.fit else ():
        kept = [row for row in small if row.target != target]
        step_us, share = fitted(kept)
        others = [row for row in small if row.target == target] or kept
        print(f"without {target or 'none'}: {step_us} us, {share}: {error(others, step_us, share):.3f}")


if __name__ == "__main__":
    main()
