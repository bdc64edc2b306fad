"""How much slower a process is for the networks that it ran before: ``python benchmarks/ageing.py``.

Times some operators and modules with one thread in a process that has run nothing, and again each time that
it has run sixty more of the networks that a calibration measures: the quickest of five medians each, as the
host may be shared. ``ONEDNN_PRIMITIVE_CACHE_CAPACITY`` says how many kernels oneDNN keeps, 1024 by default.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Mapping
from statistics import median

import torch
from calibration_networks import MODULES
from torch.nn import functional

from nas.costs.measuring.clocks import ThreadClock
from nas.costs.measuring.conditions import pinned
from nas.costs.measuring.designed_networks import designed_networks
from nas.costs.measuring.latency import ready
from nas.costs.measuring.reference import Reference

CPU = torch.device("cpu")
STEP = 60
ROUNDS, REPEATS, WARM = 5, 40, 15
SOME = ("mlp", "depthwise 3x3", "bottlenecks", "transformer")


def main() -> None:
    """Prints a table: what each takes after so many networks, in microseconds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", type=int, default=240)
    options = parser.parse_args()
    with pinned(1):
        subjects = _subjects()
        columns = [_looked_at(subjects)]
        networks = designed_networks(options.networks)
        for begin in range(0, options.networks, STEP):
            for network in networks[begin : begin + STEP]:
                run = ready(network.make(), network.shapes, CPU, "fp32")
                for _ in range(2):
                    run()
            columns.append(_looked_at(subjects))
    kept = os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "1024")
    print(f"torch {torch.__version__}, one thread, oneDNN keeps {kept} kernels; microseconds\n")
    print(
        "| after so many networks | "
        + " | ".join(str(STEP * place) for place in range(len(columns)))
        + " | change |"
    )
    print("|---|" + "---|" * (len(columns) + 1))
    for name in subjects:
        times = [column[name] for column in columns]
        shown = " | ".join(f"{time:.1f}" for time in times)
        print(f"| {name} | {shown} | {100 * (times[-1] / times[0] - 1):+.0f} % |")


def _subjects() -> Mapping[str, Callable[[], object]]:
    picture, map_ = torch.randn(1, 48, 16, 16), torch.randn(1, 64, 56, 56)
    depthwise, pointwise = torch.randn(64, 1, 3, 3), torch.randn(64, 64, 1, 1)
    vector, matrix = torch.randn(1, 256), torch.randn(256, 256)
    operators: dict[str, Callable[[], object]] = {
        "depthwise 5x5, the reference": Reference(ThreadClock())._convolve,
        "depthwise 3x3, 56 x 56": lambda: functional.conv2d(map_, depthwise, padding=1, groups=64),
        "pointwise, 56 x 56": lambda: functional.conv2d(map_, pointwise),
        "gelu": lambda: functional.gelu(picture),
        "relu": lambda: torch.relu(picture),
        "linear": lambda: functional.linear(vector, matrix),
        "layer norm": lambda: functional.layer_norm(picture, (16,)),
    }
    modules = {
        f"module: {name}": ready(make(), [(1, *shape)], CPU, "fp32")
        for name, (make, shape) in MODULES.items()
        if name in SOME
    }
    return {**operators, **modules}


def _looked_at(subjects: Mapping[str, Callable[[], object]]) -> Mapping[str, float]:
    """What each takes now, warm."""
    clock, found = ThreadClock(), dict.fromkeys(subjects, math.inf)
    for _ in range(ROUNDS):
        for name, run in subjects.items():
            for _ in range(WARM):
                run()
            found[name] = min(found[name], 1e6 * median(clock.seconds(run, 1) for _ in range(REPEATS)))
    return found


if __name__ == "__main__":
    main()
