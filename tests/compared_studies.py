"""Small stores with results that a hypervolume can be computed of by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.search.objective import Objective
from nas.search.study import StudySpec
from nas.search.trial import TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

ERROR, LATENCY = Objective("error", "min"), Objective("latency", "min")
Result = tuple[float, float] | str
"""(error, latency) of a finished trial, or the state of one that has no result."""

FIRST: tuple[Result, ...] = ((4.0, 4.0), (2.0, 2.0), "failed", (0.0, 3.0))
SECOND: tuple[Result, ...] = ("stopped", (3.0, 1.0), (1.0, 4.0))
"""Below (4, 4): 0, 4, 4, 6 and 0, 3, 3; the front of both covers 7 of the 12 between (0, 1) and (4, 4)."""


def spec_of(name: str, **changes: Any) -> StudySpec:
    settings: dict[str, Any] = {
        "space": "mine",
        "space_text": "",
        "targets": ("a100",),
        "target_names": ("a100",),
        "target_labels": ("a100/eager",),
        "objectives": (ERROR, LATENCY),
        "data_fingerprint": "ab",
        "searcher": "evolution",
        "trials": 4,
    }
    return StudySpec(name=name, **{**settings, **changes})


def add_study(store: Store, name: str, results: Sequence[Result] = FIRST, **changes: Any) -> StudySpec:
    """A study whose trials gave `results`."""
    spec = spec_of(name, **changes)
    store.create_study(StudyRecord(name, spec.to_json()))
    for index, result in enumerate(results):
        add_trial(store, spec, index, result)
    return spec


def add_trial(store: Store, spec: StudySpec, index: int, result: Result) -> None:
    architecture = Architecture(None, (("index", index),))
    error, latency = (9.0, 9.0) if isinstance(result, str) else result
    known = {"latency": latency}
    number = store.add_trial(spec.name, architecture, fidelity=spec.epochs, seed=spec.seed, known=known)
    if result == "queued":
        return
    store.start_trial(spec.name, number, attempt=1, host="here")
    if result == "running":
        return
    if result in ("failed", "infeasible"):
        state = TrialState(str(result))
        store.fail_trial(spec.name, number, attempt=1, error="because", state=state)
        return
    store.record_step(spec.name, number, attempt=1, step=1, metrics={"error": error})
    store.finish_trial(spec.name, number, attempt=1, seconds=1.0, stopped=result == "stopped")


def compared_store(folder: Path) -> Store:
    """A store with two studies, ``first`` by evolution and ``second`` by random, of known hypervolumes."""
    store = Store.open(folder / "nas.db")
    add_study(store, "first", FIRST, searcher="evolution")
    add_study(store, "second", SECOND, searcher="random")
    return store
