"""`nas.search(warm_start=...)`: results at hand, results of studies in the store."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from search_toys import flat_space

import nas
from nas.errors import StoreError, UnknownNameError, UsageError
from nas.search.events import LoopEvent, Notice
from nas.search.result import SearchResult
from nas.search.sources import counted_now, read_source
from nas.search.study import StudySpec
from nas.search.trial import TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store

SPACE = {"x": [0, 1, 2, 3, 4, 5], "y": [0, 1, 2, 3, 4, 5]}
ERROR = {"error": "min"}
BOTH = {"error": "min", "cost": "min"}


class Bowl:
    """Its lowest point is at (2, 3); remembers what it was asked."""

    def __init__(self, stop_at: int = -1) -> None:
        self.asked: list[str] = []
        self._stop_at = stop_at

    def __call__(self, architecture: Architecture) -> dict[str, float]:
        if len(self.asked) == self._stop_at:
            raise KeyboardInterrupt
        self.asked.append(architecture.hash)
        values = architecture.values()
        return {"error": float((values["x"] - 2) ** 2 + (values["y"] - 3) ** 2)}


def cost(architecture: Architecture) -> float:
    return 1.0 + float(sum(architecture.values().values()))


def first(trials: int = 12, **settings: Any) -> SearchResult:
    return nas.search(SPACE, Bowl(), ERROR, searcher="random", trials=trials, seed=5, **settings)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that holds a study called ``first`` of 12 trials."""
    path = tmp_path / "nas.db"
    first(store=path, study="first")
    return path


def proposed(result: SearchResult) -> list[str]:
    return [trial.architecture.hash for trial in result.trials]


def test_results_at_hand_are_not_evaluated_again() -> None:
    before, bowl = first(), Bowl()
    result = nas.search(SPACE, bowl, ERROR, trials=100, warm_start=before)
    assert len(bowl.asked) == 36 - 12
    assert not set(bowl.asked) & set(proposed(before))
    assert result.message == "space exhausted: 36 of 36"
    assert {trial.source for trial in result.trials} == {""}


@pytest.mark.parametrize("form", ["result", "trials", "mixed", "generator"])
def test_results_come_in_many_forms(form: str) -> None:
    before = first()
    given: Any = {
        "result": before,
        "trials": before.trials,
        "mixed": [before.trials[0], before],
        "generator": (trial for trial in before.trials),
    }[form]
    bowl = Bowl()
    nas.search(SPACE, bowl, ERROR, trials=3, warm_start=given)
    assert len(bowl.asked) == 3
    assert not set(bowl.asked) & set(proposed(before))


def test_the_best_may_be_one_that_was_known() -> None:
    space = nas.search(SPACE, Bowl(), ERROR, trials=36)
    best = space.best
    result = nas.search(SPACE, Bowl(), ERROR, trials=2, warm_start=[best])
    assert (result.best.architecture, result.best.source) == (best.architecture, "earlier")
    assert len(result.trials) == 2


def test_known_objectives_are_priced_afresh() -> None:
    result = nas.search(SPACE, Bowl(), BOTH, known={"cost": cost}, trials=2, warm_start=first())
    assert any(trial.source for trial in result.front)
    for trial in result.front:
        assert trial.values["cost"] == cost(trial.architecture)


def test_a_study_of_the_store_by_name(path: Path) -> None:
    heard: list[LoopEvent] = []
    bowl = Bowl()
    result = nas.search(
        SPACE, bowl, ERROR, trials=4, store=path, study="next", warm_start="first", listener=heard.append
    )
    assert [e.text for e in heard if isinstance(e, Notice)] == ["reuses 12 results of study 'first'"]
    with Store.open(path) as store:
        assert not {trial.architecture.hash for trial in store.trials("first")} & set(bowl.asked)
        assert len(store.trials("next")) == 4
    assert {trial.source for trial in result.front} <= {"", "first"}


def test_several_sources(path: Path) -> None:
    nas.search(SPACE, Bowl(), ERROR, trials=6, seed=9, store=path, study="second")
    heard: list[LoopEvent] = []
    bowl = Bowl()
    nas.search(
        SPACE,
        bowl,
        ERROR,
        trials=40,
        store=path,
        study="third",
        warm_start=["first", "second", "first"],
        listener=heard.append,
    )
    assert len([event for event in heard if isinstance(event, Notice)]) == 2
    with Store.open(path) as store:
        known = {t.architecture.hash for name in ("first", "second") for t in store.trials(name)}
    assert len(bowl.asked) == 36 - len(known)


def test_an_interrupted_search_proposes_what_it_would_have_proposed(path: Path) -> None:
    """Though its source grew meanwhile."""
    settings: dict[str, Any] = {"trials": 10, "store": path, "warm_start": "first"}
    straight = nas.search(SPACE, Bowl(), ERROR, study="straight", **settings)
    with pytest.raises(KeyboardInterrupt):
        nas.search(SPACE, Bowl(stop_at=4), ERROR, study="broken", **settings)
    first(trials=30, store=path, study="first")
    resumed = nas.search(SPACE, Bowl(), ERROR, study="broken", **settings)
    assert proposed(resumed) == proposed(straight)
    bowl = Bowl()
    nas.search(SPACE, bowl, ERROR, study="new", **{**settings, "trials": 40})
    assert len(bowl.asked) == 6


def test_a_study_that_began_with_others_is_refused(path: Path) -> None:
    nas.search(SPACE, Bowl(), ERROR, trials=2, store=path, study="next", warm_start="first")
    with pytest.raises(UsageError, match="exists with other settings"):
        nas.search(SPACE, Bowl(), ERROR, trials=2, store=path, study="next")


def steps(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    for step in range(1, request.fidelity + 1):
        yield {"error": float(request.architecture.values()["x"]) + 1 / step}


def test_another_fidelity_only_guides(path: Path) -> None:
    heard: list[LoopEvent] = []
    result = nas.search(
        SPACE,
        steps,
        ERROR,
        fidelity=3,
        trials=36,
        store=path,
        study="next",
        warm_start="first",
        listener=heard.append,
    )
    assert len(result.trials) == 36
    assert all(not trial.source for trial in result.front)
    assert "reuses 0 results of study 'first'; 12 of another fidelity" in str(heard[0])


# -- stopped trials of the source -------------------------------------------------------------------------


def stopped_study(store: Store, at: int) -> Architecture:
    """A study ``rungs`` with one trial of 9 steps, stopped at a step."""
    from nas.search.objective import Objective
    from nas.search.study import StudySpec
    from nas.store import StudyRecord

    spec = StudySpec("rungs", "flat", "{}", (), (Objective("error", "min"),), epochs=9)
    store.create_study(StudyRecord("rungs", spec.to_json()))
    architecture = flat_space(6, 6).decode([1, 1])
    number = store.add_trial("rungs", architecture, fidelity=9, seed=0, known={"cost": 3.0})
    store.start_trial("rungs", number, attempt=1, host="here")
    for step in range(1, at + 1):
        store.record_step("rungs", number, attempt=1, step=step, metrics={"error": 10.0 - step})
    store.finish_trial("rungs", number, attempt=1, seconds=1.0, stopped=True)
    return architecture


def test_a_stopped_trial_counts_at_the_step_it_had_come_to(tmp_path: Path) -> None:
    """Also after it was promoted and went on."""
    with Store.open(tmp_path / "nas.db") as store:
        architecture = stopped_study(store, at=3)
        counted = counted_now(store, "rungs")
        assert counted == ";0@3"
        (result,) = read_source(store, "rungs", counted, 9)
        assert (result.state, result.fidelity, result.architecture) == (TrialState.STOPPED, 3, architecture)
        assert result.values == {"error": 7.0, "cost": 3.0}
        attempt = store.promote_trial("rungs", 0)
        store.start_trial("rungs", 0, attempt=attempt, host="here")
        for step in range(4, 10):
            store.record_step("rungs", 0, attempt=attempt, step=step, metrics={"error": 10.0 - step})
        store.finish_trial("rungs", 0, attempt=attempt, seconds=1.0)
        assert read_source(store, "rungs", counted, 9) == [result]
        assert counted_now(store, "rungs") == "0"


# -- what is refused --------------------------------------------------------------------------------------


def test_a_name_needs_a_store() -> None:
    with pytest.raises(UsageError, match="give the store that holds it"):
        nas.search(SPACE, Bowl(), ERROR, warm_start="first")


def test_an_unknown_study_leaves_nothing_behind(path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'first'"):
        nas.search(SPACE, Bowl(), ERROR, store=path, study="next", warm_start="frist")
    with Store.open(path) as store:
        assert [record.name for record in store.studies()] == ["first"]


def test_a_store_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no store"):
        nas.search(SPACE, Bowl(), ERROR, store=tmp_path / "no.db", warm_start="first")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [3, [3], [None], [{"x": 1}], None])
def test_what_is_no_result_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match="warm_start takes results and names"):
        nas.search(SPACE, Bowl(), ERROR, warm_start=wrong)


def test_results_of_another_space_are_refused(path: Path) -> None:
    with pytest.raises(UsageError, match=r"12 are of another space.*no decision 'x'"):
        nas.search({"z": [0, 1]}, Bowl(), ERROR, store=path, study="next", warm_start="first")
    with Store.open(path) as store:
        assert [record.name for record in store.studies()] == ["first"]


def test_results_without_an_objective_are_refused() -> None:
    with pytest.raises(UsageError, match="12 lack an objective of this study"):
        nas.search(SPACE, Bowl(), {"loss": "min"}, warm_start=first())


def test_failed_results_are_nothing_to_begin_with() -> None:
    failed = TrialResult(flat_space(2).decode([0]), TrialState.FAILED)
    with pytest.raises(UsageError, match="reuses 0 results"):
        nas.search({"a": [0, 1]}, Bowl(), ERROR, warm_start=failed)


def test_only_what_fits_is_taken_from_a_larger_space() -> None:
    before, bowl = first(trials=36), Bowl()
    smaller = {"x": [1, 2], "y": [3, 4, 99]}
    result = nas.search(smaller, bowl, ERROR, warm_start=before)
    assert len(bowl.asked) == 2
    assert result.best.values["error"] == 0.0
    assert result.best.architecture.values() == {"x": 2, "y": 3}


# -- in the settings of a study ----------------------------------------------------------------------------


def test_the_settings_of_an_older_study_have_no_sources(path: Path) -> None:
    with Store.open(path) as store:
        content = json.loads(store.study("first").spec)
    del content["warm_start"]
    assert StudySpec.from_json(json.dumps(content)).warm_start == ()


def test_the_settings_say_which_trials_count(path: Path) -> None:
    nas.search(SPACE, Bowl(), ERROR, trials=2, store=path, study="next", warm_start="first")
    with Store.open(path) as store:
        spec = StudySpec.from_json(store.study("next").spec)
    assert spec.warm_start == (("first", "0-11"),)
    assert StudySpec.from_json(spec.to_json()) == spec
