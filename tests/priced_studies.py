"""Stored studies with made-up accuracies and true costs: nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nas.costs import CostTable
from nas.plugins import default_registry
from nas.search.prices import Pricing
from nas.search.study import StudySpec
from nas.spaces import Space
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord
from nas.studies import SearchOptions, check_options
from nas.studies.costing import StudyCosts, known_prices, study_table

RUNNING = "running"
Point = Sequence[float]
_TABLES: dict[tuple[str, tuple[str, ...]], CostTable] = {}
"""Those that were made, so that no layer is traced again in every test."""


def priced_study(
    folder: Path, outcomes: Sequence[float | str], changes: Mapping[str, Any] | None = None, **options: Any
) -> StudySpec:
    """A study in ``nas.db`` of a folder; an outcome is an accuracy, an error, or ``running``.

    `changes` are laid over the checked settings.
    """
    registry = default_registry()
    spec, space = check_options(SearchOptions(**{"space": "tiny", "epochs": 1, **options}), registry)
    spec = replace(spec, **(changes or {}))
    table = _TABLES.setdefault((spec.space, spec.targets), study_table(spec, space, registry))
    networks = different_networks(space, len(outcomes))
    known = Pricing(known_prices(spec, table)).values(networks)
    costs = StudyCosts(table)(networks)
    with Store.open(str(folder / "nas.db")) as store:
        store.create_study(StudyRecord(spec.name, spec.to_json()))
        for network, values, priced, outcome in zip(networks, known, costs, outcomes, strict=True):
            number = store.add_trial(spec.name, network, fidelity=1, seed=0, known=values, costs=priced)
            store.start_trial(spec.name, number, attempt=1, host="here")
            end_trial(store, spec.name, number, outcome)
    return spec


def end_trial(store: Store, study: str, number: int, outcome: float | str) -> None:
    """Ends a running trial as its outcome says."""
    if isinstance(outcome, float):
        metrics = {"accuracy": outcome, "loss": 1 - outcome}
        store.record_step(study, number, attempt=1, step=1, metrics=metrics)
        store.finish_trial(study, number, attempt=1, seconds=1.0)
    elif outcome != RUNNING:
        store.fail_trial(study, number, attempt=1, error=outcome)


def different_networks(space: Space, number: int) -> list[Architecture]:
    """So many different networks of a space, always the same ones."""
    rng = np.random.default_rng(0)
    found: dict[str, Architecture] = {}
    while len(found) < number:
        sample = space.sample(rng)
        found.setdefault(sample.hash, sample)
    return list(found.values())


def unbeaten(points: dict[int, Point]) -> set[int]:
    """The numbers of the points, all to be minimised, that no other one beats: every pair is looked at."""
    return {
        number
        for number, own in points.items()
        if not any(
            tuple(other) != tuple(own) and all(a <= b for a, b in zip(other, own, strict=True))
            for other in points.values()
        )
    }


def accuracies(number: int = 12, seed: int = 7) -> list[float]:
    """Made-up accuracies; the default ones give ``tiny`` another front on a100 than on pixel6."""
    return [round(float(value), 4) for value in np.random.default_rng(seed).uniform(0.3, 0.99, number)]
