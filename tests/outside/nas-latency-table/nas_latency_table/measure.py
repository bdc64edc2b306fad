"""Writes the table: times torch operators on one thread of this CPU. Other programs disturb several far more.

python -m nas_latency_table.measure table.csv
python -m nas_latency_table.measure --check     # how a few whole networks compare with the prediction
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import nas

from .table import COLUMNS

SECONDS = 0.15  # for one operator


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Join(nn.Module):
    """A matrix product or an attention of the input with itself."""

    def __init__(self, attention: bool) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x) if self.attention else x @ x.transpose(-2, -1)


def cases() -> Iterator[tuple[nn.Module, tuple[int, ...]]]:
    """Modules of one operator each, with the shape of one sample."""
    sides = ((8, 112), (16, 56), (32, 28), (64, 14), (160, 7), (16, 8))
    for channels, side in sides:
        shape = (channels, side, side)
        for kernel in (1, 3):
            yield nn.Conv2d(channels, 2 * channels, kernel, padding=kernel // 2, bias=False), shape
        for kernel in (3, 7):
            yield (
                nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
                shape,
            )
        yield nn.Conv2d(channels, channels, 3, padding=1, groups=channels // 4, bias=False), shape
        yield nn.BatchNorm2d(channels), shape
        yield nn.ReLU6(), shape
        yield nn.GELU(), shape
        yield Call(lambda x: x + x), shape
        yield nn.AvgPool2d(3, 2, 1), shape
        yield Call(lambda x: x.mean((2, 3))), shape
        yield nn.Softmax(dim=-1), shape
        yield Call(lambda x: x.transpose(1, 2).contiguous()), shape
    yield nn.Conv2d(3, 32, 3, 2, 1), (3, 224, 224)
    yield nn.Conv2d(128, 256, 3, padding=1), (128, 28, 28)
    yield nn.Conv2d(96, 96, 5, padding=2, groups=96), (96, 112, 112)
    for width in (32, 128, 512, 2048):
        yield nn.Linear(width, width), (width,)
        yield nn.Linear(width, width), (64, width)
        yield nn.LayerNorm(width), (64, width)
    for tokens in (16, 64, 256):
        for attention in (False, True):
            yield Join(attention), (4, tokens, 32)
    yield Call(lambda x: x + x), (64, 224, 224)


def seconds(module: nn.Module, shape: tuple[int, ...]) -> float:
    """The lower quartile of the times of a forward pass of one sample: the rest waits for other programs."""
    x = torch.randn(1, *shape)
    with torch.inference_mode():
        for _ in range(3):
            module(x)
        times: list[float] = []
        until = time.perf_counter() + SECONDS
        while len(times) < 5 or time.perf_counter() < until:
            start = time.perf_counter()
            module(x)
            times.append(time.perf_counter() - start)
    return statistics.quantiles(times, n=4)[0]


def rows() -> Iterator[tuple[str, str, int, int, float]]:
    """One for each module whose trace is a single operator that nas knows."""
    for module, shape in cases():
        operators = nas.estimate(module, shape, target="cpu", runtime="eager").operators
        if len(operators) != 1 or not operators[0].known:
            names = ", ".join(operator.name for operator in operators)
            print(f"left out: {module} runs {names}", file=sys.stderr)
            continue
        operator = operators[0]
        latency = seconds(module.eval(), shape) * 1e6
        yield operator.kind, operator.name, operator.macs, operator.bytes_moved, round(latency, 2)


def check() -> None:
    """Prints measured and predicted latencies of networks that are not in the table."""
    torch.manual_seed(0)

    def inverted(channels: int, stride: int) -> nn.Module:
        hidden = 4 * channels
        return nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, 2 * channels, 1),
        )

    networks = {
        "stack": (nn.Sequential(*[nn.Conv2d(24, 24, 3, padding=1) for _ in range(6)]), (24, 40, 40)),
        "inverted": (nn.Sequential(inverted(12, 2), inverted(24, 2), inverted(48, 1)), (12, 80, 80)),
        "mlp": (nn.Sequential(nn.Linear(192, 768), nn.GELU(), nn.Linear(768, 192)), (49, 192)),
        "resolution": (nn.Sequential(nn.Conv2d(3, 20, 7, 4, 3), nn.ReLU(), nn.MaxPool2d(2)), (3, 160, 160)),
    }
    for name, (network, shape) in networks.items():
        cost = nas.estimate(network, shape, target="latency-table-host", model="latency_table")
        measured = seconds(network.eval(), shape) * 1e3
        inside = "inside" if cost.low_ms <= measured <= cost.high_ms else "OUTSIDE"
        print(
            f"{name}: {measured:.3f} ms measured, {cost.latency_ms:.3f} ms predicted, "
            f"{cost.low_ms:.3f} to {cost.high_ms:.3f}: {inside}"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Time torch operators on this CPU.")
    parser.add_argument("path", type=Path, nargs="?", help="CSV file to write")
    parser.add_argument("--check", action="store_true", help="compare whole networks with the prediction")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.path:
        lines = list(rows())
        with arguments.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(sorted(lines, key=lambda line: (line[0], line[2], line[3])))
        print(f"{arguments.path}: {len(lines)} rows")
    if arguments.check:
        check()


if __name__ == "__main__":
    main()
