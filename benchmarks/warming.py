"""How much slower a young process is than an old one: ``python benchmarks/warming.py``.

Runs each of some networks that a calibration measures in a process that was just forked, one thread, over and
over, and reads the reference behind each run. The middle of all processes is told by how old they were. With
``--one-core`` all of them run on one core, which is never idle.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from nas.costs.measuring.clocks import ThreadClock
from nas.costs.measuring.conditions import keep_memory, on_cores
from nas.costs.measuring.designed_networks import designed_networks
from nas.costs.measuring.fresh import forked
from nas.costs.measuring.kernels import MicroKernel
from nas.costs.measuring.latency import ready
from nas.costs.measuring.reference import Reference
from nas.costs.trace import trace

NETWORKS = 60
AGES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6)
"""Seconds since the network was there."""
Life = Sequence[tuple[float, float, float, float]]


def main() -> None:
    """Prints a table: what a network and both kernels of the reference take, by the age of the process."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--one-core", action="store_true")
    torch.set_num_threads(1)
    trace(torch.nn.ReLU(), (8,))
    with on_cores(1 if parser.parse_args().one_core else None):
        lives = [_lived(network) for network in designed_networks(NETWORKS)]
    print(f"torch {torch.__version__}, {NETWORKS} processes, one thread: the median of their medians\n")
    print("| age, ms | processes | network, beside that of its last 300 ms | product, µs | convolution, µs |")
    print("|---|---|---|---|---|")
    for begin, end in pairwise(AGES):
        found = [row for life in lives if (row := _at(life, begin, end)) is not None]
        network, product, convolution = np.median(found, axis=0)
        ages = f"{1e3 * begin:.0f}-{1e3 * end:.0f}"
        print(f"| {ages} | {len(found)} | {network:.3f} | {1e3 * product:.1f} | {1e3 * convolution:.1f} |")


def _lived(network: MicroKernel) -> np.ndarray:
    works, found = pickle.loads(forked(_life, (network,)))
    if not works:
        raise RuntimeError(found)
    return np.array(found)


def _life(network: MicroKernel) -> Life:
    """The age, what a run took, and what both kernels of the reference took behind it."""
    keep_memory()
    with torch.inference_mode():
        clock = ThreadClock()
        reference = Reference(clock)
        run = ready(network.make(), network.shapes, torch.device("cpu"), "fp32")
        begin, found = time.perf_counter(), []
        while (age := time.perf_counter() - begin) < AGES[-1]:
            taken, reading = clock.seconds(run, 1), reference.read()
            found.append((age, taken, reading.product_ms, reading.convolution_ms))
    return found


def _at(life: np.ndarray, begin: float, end: float) -> np.ndarray | None:
    """The medians of a process of this age; None where no run began then."""
    now = life[(life[:, 0] >= begin) & (life[:, 0] < end), 1:]
    if not len(now):
        return None
    found: np.ndarray = np.median(now, axis=0)
    found[0] /= np.median(life[life[:, 0] >= AGES[-2], 1])
    return found


if __name__ == "__main__":
    main()
