"""What the store costs: milliseconds a trial, and reading the objectives of 100,000 finished trials.

Usage: python benchmarks/store.py [TRIALS]
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from nas.costs.cost import Cost
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

STEPS, KNOWN = 3, ("latency", "params", "macs", "energy", "peak_memory", "bytes_moved", "activation_bytes")
COST = Cost("a100", "predicted", "T0", "roofline 1", 1.0, 0.8, 1.3, 2**20, 3.0, 10**6, 10**8, 10**7, 10**6)


def write_trials(store: Store, study: str, first: int, count: int) -> float:
    """Milliseconds for add + start + one step + finish."""
    begin = time.perf_counter()
    for index in range(first, first + count):
        candidate = Architecture(None, (("index", index),))
        number = store.add_trial(
            study, candidate, fidelity=1, seed=0, known=dict.fromkeys(KNOWN, 1.0), costs=(COST,)
        )
        store.start_trial(study, number, attempt=1, host="here")
        store.record_step(study, number, attempt=1, step=1, metrics={"accuracy": 0.5, "loss": 1.0})
        store.finish_trial(study, number, attempt=1, seconds=0.1)
    return (time.perf_counter() - begin) / count * 1e3


def fill(store: Store, study: str, trials: int) -> None:
    """Finished trials with steps, known values and an architecture of some 3 kB each, written in bulk."""
    layer = {
        "use": "inverted_residual",
        "knobs": {"kernel": 3, "expansion": 6},
        "width": 32,
        "slot": "stages.1.layers.2",
    }
    body = json.dumps({"layers": [layer] * 25})
    with store._write() as connection:
        cursor = connection.connection.cursor()
        rows = range(trials)
        cursor.executemany(
            "INSERT INTO architecture (hash, content, created) VALUES (?, ?, '')",
            (
                (f"{i:064x}", json.dumps({"format": 1, "network": None, "choices": {"i": i, "body": body}}))
                for i in rows
            ),
        )
        cursor.executemany(
            "INSERT INTO trial (id, study_id, number, state, architecture_hash, fidelity, seed, attempt,"
            f" last_step, created) VALUES (?, 1, ?, 'finished', ?, {STEPS}, 0, 1, {STEPS}, '')",
            ((i + 1, i, f"{i:064x}") for i in rows),
        )
        cursor.executemany(
            "INSERT INTO metric (trial_id, step, name, value) VALUES (?, ?, ?, ?)", _metrics(trials)
        )


def _metrics(trials: int) -> Iterator[tuple[int, int, str, float]]:
    for i in range(trials):
        yield from ((i + 1, 0, name, (i * 7919 % trials) / trials) for name in KNOWN)
        for step in range(1, STEPS + 1):
            yield from ((i + 1, step, name, i * step / trials) for name in ("accuracy", "loss", "train_loss"))


def read_front(path: str) -> SimpleNamespace:
    """In this process: import, open, and read the objectives; seconds each, and peak memory in MB."""
    begin = time.perf_counter()
    from nas.store import Store as Fresh

    with Fresh.open(path, read_only=True) as store:
        opened = time.perf_counter()
        numbers, values = store.objective_values("large", ["accuracy", "latency"])
        read = time.perf_counter()
        store.trials("large", numbers=numbers[:20].tolist())
        records = time.perf_counter()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return SimpleNamespace(
            trials=len(values),
            open=opened - begin,
            objectives=read - opened,
            front=records - read,
            peak_mb=peak,
        )


def main(arguments: list[str]) -> None:
    """Prints the figures."""
    if arguments[:1] == ["--read"]:
        print(json.dumps(vars(read_front(arguments[1]))))
        return
    trials = int(arguments[0]) if arguments else 100_000
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "nas.db")
        with Store.open(path) as store:
            store.create_study(StudyRecord("large", "{}"))
            fill(store, "large", trials)
            store.create_study(StudyRecord("small", "{}"))
            write_trials(store, "small", 0, 50)
            print(f"one trial (add, start, step, finish): {write_trials(store, 'small', 50, 500):.2f} ms")
            begin = time.perf_counter()
            count = sum(1 for _ in store.iterate_trials("large"))
            print(f"all {count} records streamed: {time.perf_counter() - begin:.2f} s")
        print(f"file: {Path(path).stat().st_size / 2**20:.0f} MB")
        command = [sys.executable, __file__, "--read", path]
        figures: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        print(
            f"{figures['trials']} finished trials: open {figures['open']:.2f} s, objectives"
            f" {figures['objectives']:.2f} s, 20 records"
            f" {figures['front']:.3f} s, peak {figures['peak_mb']:.0f} MB"
        )


if __name__ == "__main__":
    main(sys.argv[1:])
