"""Small stores with made-up results, as the report meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.costs.cost import Cost
from nas.plugins import default_registry
from nas.search.objective import Constraint, Objective
from nas.search.study import StudySpec
from nas.search.trial import TrialState
from nas.spaces import load_space
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

LABEL = "a100-sxm4-80gb/compiled/fp16/b1/nchw"


def make_spec(name: str = "mobile-a100", **changes: Any) -> StudySpec:
    spec = StudySpec(
        name=name,
        space="mobile",
        space_text="",
        targets=("a100",),
        target_names=("a100",),
        target_labels=(LABEL,),
        objectives=(Objective("accuracy", "max"), Objective("latency", "min")),
        data_fingerprint="ab" * 32,
        trials=24,
    )
    return replace(spec, **changes)


def make_cost(latency: float, target: str = LABEL, params: int = 1_234_567) -> Cost:
    return Cost(
        target=target,
        kind="predicted",
        tier="T0",
        model="roofline",
        latency_ms=latency,
        low_ms=0.8 * latency,
        high_ms=1.3 * latency,
        peak_memory_bytes=12_000_000,
        energy_mj=latency * 100,
        params=params,
        macs=43_000_000,
        bytes_moved=5_000_000,
        activation_bytes=3_000_000,
    )


def architectures(number: int, space: str = "mobile", seed: int = 0) -> list[Architecture]:
    """Different networks of a space."""
    opened = load_space(space, default_registry())
    rng = np.random.default_rng(seed)
    found: dict[str, Architecture] = {}
    while len(found) < number:
        sample = opened.sample(rng)
        found.setdefault(sample.hash, sample)
    return list(found.values())


def make_store(
    path: Path,
    results: Sequence[tuple[float, float] | str],
    spec: StudySpec | None = None,
    networks: Sequence[Architecture] | None = None,
) -> Store:
    """A store with one study; a result is (accuracy, latency in ms), or the error a trial failed with."""
    spec = make_spec() if spec is None else spec
    networks = architectures(len(results)) if networks is None else networks
    store = Store.open(path / "nas.db")
    store.create_study(StudyRecord(spec.name, spec.to_json()))
    for architecture, result in zip(networks, results, strict=True):
        latency = 0.1 if isinstance(result, str) else result[1]
        number = store.add_trial(
            spec.name,
            architecture,
            fidelity=spec.epochs,
            seed=spec.seed,
            known={"latency": latency},
            costs=[make_cost(latency)],
        )
        store.start_trial(spec.name, number, attempt=1, host="here")
        if isinstance(result, str):
            store.fail_trial(spec.name, number, attempt=1, error=result, state=TrialState.FAILED)
            continue
        store.record_step(spec.name, number, attempt=1, step=1, metrics={"accuracy": result[0], "loss": 0.1})
        store.finish_trial(spec.name, number, attempt=1, seconds=7.5)
    return store


def random_results(number: int, seed: int = 0) -> list[tuple[float, float]]:
    """Accuracies that grow with the latency, with noise."""
    rng = np.random.default_rng(seed)
    latency = np.exp(rng.normal(-2.0, 0.5, number))
    accuracy = 0.985 - 0.02 * np.exp(-5 * latency) * rng.uniform(0.3, 2.5, number)
    return [(float(a), float(b)) for a, b in zip(accuracy, latency, strict=True)]


__all__ = ["LABEL", "Constraint", "architectures", "make_cost", "make_spec", "make_store", "random_results"]
