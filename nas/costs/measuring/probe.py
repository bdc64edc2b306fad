"""The figures of a device, measured: its peak, its bandwidth, and the least an operator takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from nas.costs.measuring.clocks import clock_for
from nas.costs.measuring.latency import DTYPES
from nas.costs.measuring.timing import time_call
from nas.costs.target import Figure
from nas.costs.target_file import PEAKS

GEMM_SIZES = {"cpu": (256, 384, 512, 768), "cuda": (2048, 4096, 8192)}
STREAM_BYTES = {"cpu": 1 << 26, "cuda": 1 << 29}
EVICTING_BYTES = {"cpu": 1 << 22, "cuda": 1 << 27}
"""What is read before each run of a network, so that nothing of it lies in the nearest cache."""
TINY_OPERATORS = 40
SECONDS = 0.1
ROUNDS = 3
"""How often each figure is measured: the best one counts, which no busy host made worse."""
SOURCE = "measured by nas calibrate: "


def probe(device: torch.device, precision: str) -> Mapping[str, Figure]:
    """The figures of a device by a few short measurements: those that its datasheet may miss."""
    rounds = [(_peak(device, precision), _bandwidth(device), _operator_us(device)) for _ in range(ROUNDS)]
    peaks, bandwidths, operators = zip(*rounds, strict=True)
    found = {
        PEAKS[precision]: _figure(max(peaks), "the fastest square matrix product"),
        "memory_bandwidth_gbs": _figure(max(bandwidths), "reading and writing a large array"),
        "eager_operator_us": _figure(min(operators), "the least time of an eager operator of a network"),
    }
    if device.type == "cpu":
        least = found["eager_operator_us"].value
        found["launch_floor_us"] = _figure(least, "the least time of an operator, which nothing hides")
    else:
        found["launch_floor_us"] = _figure(_launch_us(device), "the least time of a kernel in a graph")
    return found


def _figure(value: float, how: str) -> Figure:
    return Figure(float(f"{value:.4g}"), SOURCE + how, "measured")


def _seconds(run: Callable[[], Any], device: torch.device) -> float:
    return time_call(run, clock_for(device), SECONDS).latency_ms / 1e3


def _peak(device: torch.device, precision: str) -> float:
    """Operations a second, in 1e12."""
    dtype = DTYPES.get(precision, torch.float16 if precision == "amp-fp16" else torch.float32)
    best = 0.0
    for size in GEMM_SIZES[device.type]:
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        best = max(best, 2 * size**3 / _seconds(lambda a=a, b=b: torch.mm(a, b), device))  # type: ignore[misc]
    return best / 1e12


def _bandwidth(device: torch.device) -> float:
    """Bytes a second, read and written, in 1e9."""
    source = torch.ones(STREAM_BYTES[device.type] // 4, device=device)
    sink = torch.empty_like(source)
    return 2 * STREAM_BYTES[device.type] / _seconds(lambda: sink.copy_(source), device) / 1e9


def _operator_us(device: torch.device) -> float:
    """The time of one of many operators that have next to nothing to do, on the way through a network."""
    layers = [
        nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8), nn.Sequential(nn.GELU()))
        for _ in range(TINY_OPERATORS // 4)
    ]
    module, one = nn.Sequential(*layers).eval().to(device), torch.ones(1, 8, device=device)
    ballast = torch.ones(EVICTING_BYTES[device.type] // 4, device=device)
    found = time_call(lambda: module(one), clock_for(device), SECONDS, prepare=ballast.sum)
    return 1e3 * found.latency_ms / TINY_OPERATORS


def _launch_us(device: torch.device) -> float:
    """The time of one of many empty kernels of a graph."""
    one, number = torch.ones(1, device=device), 100
    one.relu_()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(number):
            one.relu_()
    return 1e6 * _seconds(graph.replay, device) / number
