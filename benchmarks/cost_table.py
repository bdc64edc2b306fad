"""What a cost table takes: to fill, to fill again from a store, and for each architecture once it is filled.

    python benchmarks/cost_table.py [--space mobile] [--target a100] [--architectures 100000] [--models 8]

One core is used, but for the line that says otherwise. Times of this process are those of its CPU, so that
other programs of the machine do not count. The last lines compare the table with `nas.estimate` on the built
network of random architectures. Needs no data.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

import nas
from nas.blocks import build
from nas.costs import CostTable, Target, resolve_target, tracing
from nas.plugins import default_registry
from nas.spaces import Space, load_space
from nas.store import Store
from nas.studies.traces import StoredTraces

COSTS = ("latency", "energy", "peak_memory", "params", "macs", "bytes_moved", "activation_bytes")
FIELDS = {"latency": "latency_ms", "energy": "energy_mj", "peak_memory": "peak_memory_bytes"}
PRECISIONS = ("fp16", "amp-fp16", "int8")
REPEATS = 7
REGISTRY = default_registry()


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """What a call takes."""
    start = clock()
    work()
    return clock() - start


def filling(space: Space, target: Target, vectors: np.ndarray, folder: Path) -> None:
    """Prints what it takes to meet layers, to meet them again with a store, and to share them."""
    count = len(vectors)
    whole = tracing.worker_count
    tracing.worker_count = lambda layers: 0
    CostTable(space, [target], REGISTRY).costs(vectors[:20])  # imports, and what torch prepares
    with Store.open(folder / "nas.db") as store:
        traces = StoredTraces.of(store)
        for title in ("new layers", "layers from the store of an earlier command"):
            table = CostTable(space, [target], REGISTRY, cache=traces)
            taken = seconds(partial(table.costs, vectors))
            each = 1e3 * taken / len(table)
            print(f"{count:,} architectures, {len(table):,} {title}: {taken:.2f} s, {each:.2f} ms a layer")
    tracing.worker_count = whole
    workers = whole(len(table))
    taken = seconds(partial(CostTable(space, [target], REGISTRY).costs, vectors), time.perf_counter)
    print(f"new layers shared with other processes, {workers} of them: {taken:.2f} s by the clock")


def filled(table: CostTable, vectors: np.ndarray) -> None:
    """Prints what architectures take of which every layer is known."""
    table.costs(vectors)
    times = sorted(seconds(lambda: table.costs(vectors)) for _ in range(REPEATS))
    each = 1e6 * times[REPEATS // 2] / len(vectors)
    print(
        f"{len(vectors):,} architectures of {len(table):,} known layers: median {times[REPEATS // 2]:.3f} s, "
        f"best {times[0]:.3f} s, {each:.2f} µs an architecture"
    )


def compared(space: Space, name: str, models: int) -> None:
    """Prints the largest difference of any cost between the table and the built network, in its deployed
    form; at other precisions too, unless the target was calibrated for one."""
    given = resolve_target(name, REGISTRY)
    for precision in PRECISIONS if given.calibration is None else (given.precision,):
        target = resolve_target(name, REGISTRY, precision=precision)
        vectors = space.sample_vectors(models, np.random.default_rng(1))
        columns = CostTable(space, [target], REGISTRY).costs(vectors)
        worst = dict.fromkeys(COSTS, 0.0)
        for place, vector in enumerate(vectors):
            with torch.device("meta"):
                module = build(space.decode(vector).network, REGISTRY.blocks)
            whole = nas.estimate(module, space.input.shape, target, fused=True, registry=REGISTRY)
            for cost in COSTS:
                expected = getattr(whole, FIELDS.get(cost, cost))
                worst[cost] = max(worst[cost], abs(columns.column(cost)[place] / expected - 1))
        shown = ", ".join(f"{cost} {difference:.1e}" for cost, difference in worst.items())
        print(f"{space.name}, {precision}, {models} built networks: {shown}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--target", default="a100")
    parser.add_argument("--architectures", type=int, default=100_000)
    parser.add_argument("--fill", type=int, default=1_000, help="architectures to meet layers in")
    parser.add_argument("--models", type=int, default=8, help="built networks to compare with, of each space")
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = load_space(options.space, REGISTRY)
    target = resolve_target(options.target, REGISTRY)
    print(f"{space.name} on {target.label}, torch {torch.__version__}, nas {nas.__version__}")
    vectors = space.sample_vectors(options.architectures, np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAS_CACHE"] = folder  # what this user has met before would be no new layer
        filling(space, target, vectors[: options.fill], Path(folder))
        stored = StoredTraces(str(Path(folder) / "nas.db"))
        filled(CostTable(space, [target], REGISTRY, cache=stored), vectors)
    for name in dict.fromkeys((options.space, "hybrid", "series", "cell")):
        compared(load_space(name, REGISTRY), options.target, options.models)


if __name__ == "__main__":
    main()
