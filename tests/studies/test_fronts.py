"""The front of each target of a study, from the same trials."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
from priced_studies import accuracies, priced_study, unbeaten

from nas.errors import UnknownNameError, UsageError
from nas.search.objective import Constraint, Objective
from nas.search.per_target import objectives_on, target_of
from nas.search.study import StudySpec
from nas.store import Store, TrialRecord
from nas.studies.front import on_target, study_front, target_fronts

BOTH = ("a100", "pixel6")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "nas.db")) as opened:
        yield opened


def points_of(trials: list[TrialRecord], *names: str) -> dict[int, list[float]]:
    """The values of finished trials, accuracy turned so that less is better."""
    return {
        trial.number: [-trial.metrics[name] if name == "accuracy" else trial.metrics[name] for name in names]
        for trial in trials
        if trial.state == "finished"
    }


@pytest.mark.parametrize(
    ("names", "target", "expected"),
    [
        ("accuracy latency@a100 latency@pixel6", "a100", "accuracy latency@a100"),
        ("accuracy latency@a100 latency@pixel6", "pixel6", "accuracy latency@pixel6"),
        ("accuracy latency latency@pixel6", "a100", "accuracy latency"),
        ("accuracy latency latency@pixel6", "pixel6", "accuracy latency@pixel6"),
        ("accuracy params latency@pixel6 macs", "a100", "accuracy params macs"),
        ("loss energy@a100 peak_memory@a100 latency@pixel6", "a100", "loss energy@a100 peak_memory@a100"),
        ("latency@a100", "pixel6", ""),
    ],
)
def test_what_counts_on_a_target(names: str, target: str, expected: str) -> None:
    objectives = [Objective.parse(name) for name in names.split()]
    assert [o.name for o in objectives_on(objectives, BOTH, target)] == expected.split()


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("accuracy", None),
        ("params", None),
        ("macs@pixel6", None),
        ("latency", "a100"),
        ("energy@pixel6", "pixel6"),
    ],
)
def test_whose_a_name_is(name: str, target: str | None) -> None:
    assert target_of(name, BOTH) == target


def test_each_target_has_the_front_of_its_own_latency(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, [*accuracies(), "no memory", "running"], targets=BOTH)
    trials = store.trials(spec.name)
    fronts = {name: [t.number for t in found] for name, found in target_fronts(store, spec).items()}
    assert list(fronts) == list(BOTH)
    for target in BOTH:
        name = f"latency@{target}"
        points = points_of(trials, "accuracy", name)
        assert set(fronts[target]) == unbeaten(points)
        assert fronts[target] == sorted(fronts[target], key=lambda number: points[number][1])
    assert fronts["a100"] != fronts["pixel6"]
    together = unbeaten(points_of(trials, "accuracy", "latency@a100", "latency@pixel6"))
    assert {trial.number for trial in study_front(store, spec)} == together
    assert set(fronts["a100"]) | set(fronts["pixel6"]) <= together


def test_one_target_has_the_front_of_the_study(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies())
    assert target_fronts(store, spec) == {"a100": study_front(store, spec)}
    assert on_target(spec, "a100") == spec


def test_parameters_count_on_every_target(tmp_path: Path, store: Store) -> None:
    names = ("accuracy", "params", "latency@pixel6")
    spec = priced_study(tmp_path, accuracies(), targets=BOTH, objectives=names)
    trials = store.trials(spec.name)
    fronts = target_fronts(store, spec)
    assert {t.number for t in fronts["a100"]} == unbeaten(points_of(trials, "accuracy", "params"))
    assert {t.number for t in fronts["pixel6"]} == unbeaten(points_of(trials, *names))


def test_the_constraints_of_a_study_hold_on_every_front(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies(), targets=BOTH)
    limit = median(trial.metrics["latency@a100"] for trial in store.trials(spec.name))
    limits = (Constraint("latency@a100", "<=", limit), Constraint("accuracy", ">=", 0.5))
    fronts = target_fronts(store, replace(spec, constraints=limits))
    assert all(fronts.values())
    for trial in (trial for front in fronts.values() for trial in front):
        assert trial.metrics["latency@a100"] <= limit
        assert trial.metrics["accuracy"] >= 0.5


def test_a_target_without_an_objective_has_no_front(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies(), targets=BOTH, objectives=("latency@a100",))
    assert list(target_fronts(store, spec)) == ["a100"]
    with pytest.raises(UsageError, match=f"study '{spec.name}' has no objective on pixel6: see 'nas front"):
        on_target(spec, "pixel6")


def test_another_target_is_refused_with_the_nearest(tmp_path: Path) -> None:
    spec = priced_study(tmp_path, [], targets=BOTH)
    with pytest.raises(UnknownNameError, match=r"unknown target 'pixel7'.*'pixel6'"):
        on_target(spec, "pixel7")


def test_nothing_finished_gives_empty_fronts(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, ["no memory", "running"], targets=BOTH)
    assert target_fronts(store, spec) == {"a100": [], "pixel6": []}


def test_a_study_of_no_target_has_no_fronts(store: Store) -> None:
    spec = StudySpec("bare", "tiny", "", (), (Objective("accuracy", "max"),))
    assert target_fronts(store, spec) == {}
