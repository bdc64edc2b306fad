"""`nas.search(confidence=...)`: limits on a known latency that are kept with some probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import nas
from nas.errors import UsageError
from nas.search.result import SearchResult
from nas.search.study import StudySpec
from nas.spaces.architecture import Architecture
from nas.store import Store

FACTORS = {"latency": 1.0, "latency_p90": 1.5}


@dataclass(frozen=True)
class Price:
    """The latency of a point and its quantile, as a price of a cost table gives them."""

    name: str = "latency"

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        return [FACTORS[self.name] * a.values()["x"] for a in architectures]

    def at(self, name: str) -> Price:
        return Price(name)


def search(known: object = None, constraint: str = "latency<=6", **options: object) -> SearchResult:
    return nas.search(
        {"x": list(range(1, 11))},
        lambda a: -a.values()["x"],
        {"error": "min", "latency": "min"},
        known={"latency": known or Price()},
        constraints=[constraint],
        trials=10,
        **options,
    )


def tried(result: SearchResult) -> set[int]:
    return {trial.architecture.values()["x"] for trial in result.trials}


def test_the_median_keeps_the_limit_by_default() -> None:
    assert tried(search()) == {1, 2, 3, 4, 5, 6}


def test_the_quantile_keeps_it_with_a_confidence() -> None:
    result = search(confidence=0.9)
    assert tried(result) == {1, 2, 3, 4}
    assert {trial.values["latency_p90"] for trial in result.trials} == {1.5, 3.0, 4.5, 6.0}
    assert tried(search(constraint="latency_p90<=6")) == {1, 2, 3, 4}


def test_a_number_alone_has_no_quantile() -> None:
    with pytest.raises(UsageError, match=r"needs its interval, and known\['latency'\] gives"):
        search(lambda a: a.values()["x"], confidence=0.9)


def test_a_limit_on_what_is_evaluated_stays() -> None:
    found = nas.search(
        {"x": [1, 2, 3]},
        lambda a: {"latency": a.values()["x"]},
        {"latency": "min"},
        constraints=["latency<=2"],
        confidence=0.9,
    )
    assert found.best.architecture.values() == {"x": 1}


@pytest.mark.parametrize("given", [0, 1, "0.9", float("nan")])
def test_a_confidence_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(UsageError, match=r"0\.001 to 0\.999"):
        search(confidence=given)


def test_a_study_goes_on_with_its_confidence_and_not_with_another(tmp_path: Path) -> None:
    path = tmp_path / "nas.db"
    assert len(search(confidence=0.9, store=path).trials) == len(search(confidence=0.9, store=path).trials)
    with Store.open(str(path)) as store:
        spec = StudySpec.from_json(store.study("search").spec)
    assert [str(limit) for limit in spec.constraints] == ["latency_p90<=6"]
    with pytest.raises(UsageError, match="constraints: latency_p90 → latency"):
        search(store=path)
