"""From another program's study to one of ours: its space, its trials, what is left out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nas
from nas.errors import StoreError, UsageError
from nas.search.objective import Objective
from nas.search.study import StudySpec
from nas.search.trial import TrialState
from nas.spaces import Space
from nas.store import Store
from nas.studies.foreign import ForeignStudy, ForeignTrial
from nas.studies.import_study import Import, plan_import, write_import

OPTIONS = {"depth": (1, 2, 3), "kind": ("a", "b")}
FINISHED, STOPPED, FAILED = TrialState.FINISHED, TrialState.STOPPED, TrialState.FAILED


def trial(number: int, depth: Any = 1, kind: Any = "a", **settings: Any) -> ForeignTrial:
    given = {"depth": depth, "kind": kind}
    params = {name: value for name, value in given.items() if value is not None}
    return ForeignTrial(
        number,
        **{"state": FINISHED, "params": params, "values": (float(number),), "seconds": 2.0, **settings},
    )


def foreign(*trials: ForeignTrial, **settings: Any) -> ForeignStudy:
    return ForeignStudy(
        **{
            "program": "optuna",
            "name": "My Study",
            "source": "x.db",
            "directions": ("min",),
            "options": OPTIONS,
            "trials": trials,
            **settings,
        }
    )


def plan(*trials: ForeignTrial, objectives: Sequence[str] = (), **settings: Any) -> Import:
    return plan_import(foreign(*trials, **settings), name=None, objectives=objectives)


def test_a_study_with_its_settings() -> None:
    planned = plan(trial(0), trial(1, 2, "b"))
    spec = planned.spec
    assert (spec.name, spec.data, spec.searcher, spec.trials, spec.epochs) == (
        "my-study",
        "optuna:My Study",
        "optuna",
        2,
        1,
    )
    assert spec.objectives == (Objective("value", "min"),)
    assert [t.architecture.values() for t in planned.trials] == [
        {"depth": 1, "kind": "a"},
        {"depth": 2, "kind": "b"},
    ]
    assert planned.states == {"finished": 2}


@pytest.mark.parametrize(
    ("names", "given", "expected"),
    [
        ((), (), ("value_0", "value_1")),
        (("error", "f1"), (), ("error", "f1")),
        (("error", "f1"), ("e", "f"), ("e", "f")),
        ((), ("min:e", "max:f"), ("e", "f")),
        ((), ("e:min", "f:max"), ("e", "f")),
    ],
)
def test_the_names_of_objectives(
    names: tuple[str, ...], given: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    planned = plan(
        trial(0, values=(1.0, 2.0)), directions=("min", "max"), metric_names=names, objectives=given
    )
    assert planned.spec.objectives == (Objective(expected[0], "min"), Objective(expected[1], "max"))
    assert planned.trials[0].steps == ((1, {expected[0]: 1.0, expected[1]: 2.0}),)


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        (("one",), "has 2 objectives, 1 --objective is given"),
        (("one", "two", "three"), "3 --objective are given"),
        (("max:one", "two"), "has this objective as 'min'"),
        (("one", "one"), "two objectives of study"),
        (("min:", "two"), "not of the form"),
        (("a:b", "two"), "not of the form"),
    ],
)
def test_objectives_that_do_not_fit_are_refused(given: tuple[str, ...], fragment: str) -> None:
    with pytest.raises(UsageError, match=fragment):
        plan(trial(0, values=(1.0, 2.0)), directions=("min", "max"), objectives=given)


@pytest.mark.parametrize("first", [0, 1, -2])
def test_steps_are_counted_from_one(first: int) -> None:
    steps = tuple((first + i, 5.0 - i) for i in range(3))
    shift = 1 - min(first, 1)
    planned = plan(
        trial(0, steps=steps, values=(0.5,)),
        trial(1, 2, state=STOPPED, values=(), steps=steps[:2]),
    )
    assert planned.trials[0].steps == (
        (first + shift, {"value": 5.0}),
        (first + 1 + shift, {"value": 4.0}),
        (first + 2 + shift, {"value": 0.5}),
    )
    assert planned.trials[1].state is STOPPED
    assert planned.trials[1].steps[-1] == (first + 1 + shift, {"value": 4.0})
    assert planned.spec.epochs == first + 2 + shift


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_value_that_is_no_number_makes_a_failed_trial(value: float) -> None:
    planned = plan(trial(0), trial(1, 2, values=(value,)), trial(2, 3, steps=((1, value), (2, 1.0))))
    assert [t.state for t in planned.trials] == [FINISHED, FAILED, FINISHED]
    assert planned.trials[1].error == f"its value is {value}"
    assert [step for step, _ in planned.trials[2].steps] == [2]


def test_failed_trials_and_those_pruned_before_a_step() -> None:
    planned = plan(
        trial(0),
        trial(1, 2, state=FAILED, values=(), error="boom"),
        trial(2, 3, state=FAILED, values=()),
        trial(3, 1, "b", state=STOPPED, values=()),
    )
    assert [t.error for t in planned.trials] == [
        "",
        "boom",
        "failed there without a reason",
        "pruned before its first step",
    ]


def test_repeats_have_seeds_of_their_own() -> None:
    planned = plan(trial(0), trial(1), trial(2, 2), trial(3))
    assert [t.seed for t in planned.trials] == [0, 1, 0, 2]
    assert planned.repeats == 2


def test_a_conditional_parameter_may_be_absent() -> None:
    planned = plan(trial(0), trial(1, kind=None), trial(2, 2))
    assert [t.architecture.values()["kind"] for t in planned.trials] == ["a", "absent", "a"]
    assert planned.notes == ("kind: trials without it have the option 'absent'",)


def test_a_trial_that_failed_before_its_parameters_is_left_out() -> None:
    """It does not make a parameter conditional."""
    planned = plan(trial(0), trial(1, kind=None, state=FAILED, values=()), waiting=3)
    assert len(planned.trials) == 1
    assert planned.skipped == {"have not ended": 3, "lack a parameter that every finished one has": 1}
    assert planned.notes == ()


@pytest.mark.parametrize("trials", [(), (trial(1, kind=None, depth=None, state=FAILED, values=()),)])
def test_nothing_to_import_is_refused(trials: tuple[ForeignTrial, ...]) -> None:
    with pytest.raises(UsageError, match=r"x\.db"):
        plan(*trials, waiting=2)


def test_a_study_without_parameters_is_refused() -> None:
    with pytest.raises(UsageError, match="no trial with parameters"):
        plan(trial(0, None, None), options={})


def test_more_values_than_a_decision_may_have_are_refused() -> None:
    with pytest.raises(UsageError, match=r"x\.db: decision 'depth': .*at most 10,000"):
        plan(trial(0), options={**OPTIONS, "depth": tuple(range(10_001))})


@pytest.mark.parametrize(
    ("name", "expected"), [("a b/C", "a-b-c"), ("...", "imported"), ("Ä", "imported"), ("x" * 99, "x" * 56)]
)
def test_any_name_becomes_one_of_ours(name: str, expected: str) -> None:
    assert plan(trial(0), name=name).spec.name == expected


# -- into a space ---------------------------------------------------------------------------------------


def into(space: Space, *trials: ForeignTrial) -> Import:
    return plan_import(foreign(*trials), name="mine", objectives=(), space=space)


def test_parameters_are_decisions_of_a_space() -> None:
    space = Space.flat({"kind": ["b", "a"], "depth": [1, 2]}, name="small")
    planned = into(space, trial(0), trial(1, 3), trial(2, 2, "b"), trial(3, kind=None))
    assert [t.number for t in planned.trials] == [0, 2]
    assert planned.trials[0].architecture == space.decode([1, 0])
    assert planned.spec.space == "small"
    assert planned.skipped == {
        "have values that are no options of space 'small'": 1,
        "lack decisions of space 'small'": 1,
    }


def test_a_space_that_nothing_fits_is_refused() -> None:
    with pytest.raises(UsageError, match="1 have parameters that are no decisions of space 'small'"):
        into(Space.flat({"kind": ["a"]}, name="small"), trial(0))


# -- into the store -------------------------------------------------------------------------------------


@pytest.fixture
def planned() -> Import:
    steps = ((1, 5.0), (2, 4.0))
    return plan(
        trial(0, steps=steps, values=(3.0,)),
        trial(1, 2, state=STOPPED, values=(), steps=steps[:1]),
        trial(2, 3, state=FAILED, values=(), error="boom"),
        trial(5, values=(2.0,)),
    )


def test_what_is_written(planned: Import, tmp_path: Path) -> None:
    with Store.open(tmp_path / "nas.db") as store:
        assert write_import(store, planned) == 4
        stored = store.trials("my-study")
        assert StudySpec.from_json(store.study("my-study").spec) == planned.spec
        assert [t.state for t in stored] == [FINISHED, STOPPED, FAILED, FINISHED]
        assert [t.metrics for t in stored] == [{"value": 3.0}, {"value": 5.0}, {}, {"value": 2.0}]
        assert [t.seed for t in stored] == [0, 0, 0, 1]
        assert (stored[0].seconds, stored[0].fidelity) == (2.0, 2)
        assert (stored[2].error, stored[3].host) == ("boom", "optuna trial 5")
        assert store.steps("my-study", 0) == [(1, {"value": 5.0}), (2, {"value": 3.0})]


def test_the_same_import_again_does_nothing(planned: Import, tmp_path: Path) -> None:
    with Store.open(tmp_path / "nas.db") as store:
        write_import(store, planned)
        before = store.trials("my-study")
        assert write_import(store, planned) == 0
        assert store.trials("my-study") == before


@pytest.mark.parametrize("calls", range(1, 8))
def test_an_interrupted_import_goes_on(
    planned: Import, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it was stopped: before the n-th start or end of a trial."""
    left = [calls]

    def stopping(name: str) -> Any:
        real = getattr(Store, name)

        def call(*arguments: Any, **settings: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
            return real(*arguments, **settings)

        return call

    for name in ("start_trial", "finish_trial", "fail_trial"):
        monkeypatch.setattr(Store, name, stopping(name))
    with Store.open(tmp_path / "nas.db") as store:
        with pytest.raises(KeyboardInterrupt):
            write_import(store, planned)
        assert write_import(store, planned) > 0
        assert [t.state for t in store.trials("my-study")] == [FINISHED, STOPPED, FAILED, FINISHED]
        assert store.trial("my-study", 0).metrics == {"value": 3.0}


def test_another_study_of_the_name_is_refused(planned: Import, tmp_path: Path) -> None:
    grown = plan(*(trial(i, 1 + i % 3) for i in range(5)))
    with Store.open(tmp_path / "nas.db") as store:
        write_import(store, planned)
        with pytest.raises(StoreError, match="choose another name by --study"):
            write_import(store, grown)
        write_import(store, replace(grown, spec=replace(grown.spec, name="other")))
        assert len(store.trials("my-study")) == 4


# -- going on from it -----------------------------------------------------------------------------------


def test_a_search_goes_on_from_it(planned: Import, tmp_path: Path) -> None:
    """The finished trial is a result, though it counted its steps in its own way."""
    asked: list[dict[str, Any]] = []

    def evaluate(architecture: Any) -> float:
        asked.append(architecture.values())
        return float(len(asked))

    with Store.open(tmp_path / "nas.db") as store:
        write_import(store, planned)
        space = {name: list(values) for name, values in OPTIONS.items()}
        result = nas.search(
            space, evaluate, {"value": "min"}, trials=10, store=store, study="on", warm_start="my-study"
        )
    assert len(asked) == 5
    assert {"depth": 1, "kind": "a"} not in asked
    assert [(t.source, t.values["value"]) for t in result.trials if t.source] == []
    assert result.best.values["value"] == 1.0
