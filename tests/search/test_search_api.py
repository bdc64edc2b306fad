"""`nas.search` as a user calls it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from search_toys import flat_space

import nas
from nas.errors import NasError, TrialError, UnknownNameError, UsageError
from nas.search.contracts import Evaluator, TrialSource
from nas.search.events import LoopEvent, TrialEnded
from nas.search.functions import FunctionEvaluator, make_evaluator
from nas.search.inprocess import run_in_process
from nas.search.objective import Constraint
from nas.search.trial import TrialRequest, TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store

SPACE = {"x": list(range(-3, 4)), "y": [0, 1, 2, 3]}


def bowl(architecture: Architecture) -> dict[str, float]:
    values = architecture.values()
    return {"error": float(values["x"] ** 2 + values["y"])}


def cost(architecture: Architecture) -> float:
    values = architecture.values()
    return 10.0 - 2 * values["y"] + abs(values["x"])


@pytest.mark.parametrize(
    "code", ["import nas", "import nas.search.api", "import nas.search", "import nas.search.events"]
)
def test_importing_it_imports_nothing_heavy(code: str) -> None:
    heavy = ("numpy", "torch", "ray", "sqlalchemy", "optuna", "pydantic")
    script = f"{code}\nimport sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_one_objective() -> None:
    result = nas.search(SPACE, bowl, {"error": "min"})
    assert len(result.trials) == 28
    assert result.message == "space exhausted: 28 of 28"
    assert result.best.architecture.values() == {"x": 0, "y": 0}
    assert [member.values for member in result.front] == [{"error": 0.0}]
    assert result.errors == {}


def test_a_number_is_the_objective_that_waits_for_one() -> None:
    plain = nas.search(SPACE, lambda a: bowl(a)["error"], {"error": "min"}, seed=3)
    assert plain.best.values == {"error": 0.0}
    known = nas.search(
        SPACE, lambda a: bowl(a)["error"], {"error": "min", "cost": "min"}, known={"cost": cost}, trials=28
    )
    assert {member.architecture.values()["y"] for member in known.front} == {0, 1, 2, 3}


def test_known_objectives_may_take_many_architectures() -> None:
    def costs(architectures: Any) -> list[float]:
        return [cost(architecture) for architecture in architectures]

    settings: dict[str, Any] = {"trials": 12, "seed": 1}
    objectives = {"error": "min", "cost": "min"}
    one = nas.search(SPACE, bowl, objectives, known={"cost": cost}, **settings)
    many = nas.search(SPACE, bowl, objectives, known={"cost": costs}, **settings)
    assert one.trials == many.trials


def test_constraints_as_text_and_as_objects() -> None:
    objectives = {"error": "min"}
    for constraint in (
        "cost<=6",
        ["cost<=6"],
        Constraint("cost", "<=", 6.0),
        (Constraint("cost", "<=", 6.0),),
    ):
        result = nas.search(SPACE, bowl, objectives, known={"cost": cost}, constraints=constraint)  # type: ignore[arg-type]
        assert all(trial.values["cost"] <= 6 for trial in result.trials)
        assert result.best.values == {"error": 2.0, "cost": 6.0}


def test_an_impossible_constraint_is_a_usage_error_before_any_evaluation() -> None:
    calls: list[Architecture] = []
    with pytest.raises(UsageError, match=r"0 of 28 architectures meet cost <= 3; smallest seen 4"):
        nas.search(SPACE, calls.append, {"error": "min"}, known={"cost": cost}, constraints=["cost<=3"])
    assert calls == []


def test_steps_are_yielded() -> None:
    def evaluate(architecture: Architecture) -> Iterator[Mapping[str, float]]:
        for step in range(3):
            yield {"error": bowl(architecture)["error"] + 3 - step}

    result = nas.search(SPACE, evaluate, {"error": "min"}, fidelity=3, trials=5)
    assert [trial.values["error"] for trial in result.trials] == [
        bowl(trial.architecture)["error"] + 1 for trial in result.trials
    ]


def test_a_function_of_the_request_gets_all_of_it(tmp_path: Path) -> None:
    requests: list[TrialRequest] = []

    def evaluate(request: TrialRequest) -> float:
        requests.append(request)
        return 1.0

    nas.search(SPACE, evaluate, {"error": "min"}, trials=2, fidelity=4, directory=tmp_path)
    assert [request.number for request in requests] == [0, 1]
    assert {request.fidelity for request in requests} == {4}
    assert requests[1].directory == str(tmp_path / "1")
    assert requests[0].seed != requests[1].seed


def test_failures_are_recorded_and_the_search_goes_on() -> None:
    def evaluate(architecture: Architecture) -> float:
        if architecture.values()["y"] == 0:
            raise ValueError("y must not be 0")
        return bowl(architecture)["error"]

    result = nas.search(SPACE, evaluate, {"error": "min"})
    assert len(result.trials) == 28
    assert len(result.errors) == 7
    assert set(result.errors.values()) == {"ValueError: y must not be 0"}
    assert result.best.values == {"error": 1.0}


def test_where_nothing_finished_the_first_error_is_named() -> None:
    def evaluate(architecture: Architecture) -> float:
        raise ValueError("always")

    result = nas.search(SPACE, evaluate, {"error": "min"}, trials=3)
    assert result.front == ()
    with pytest.raises(TrialError, match="no trial is on the front: ValueError: always"):
        result.best  # noqa: B018


def test_where_no_trial_keeps_a_constraint_it_is_said() -> None:
    result = nas.search(SPACE, bowl, {"error": "min"}, constraints=["error>=1000"], trials=3)
    assert len(result.trials) == 3
    with pytest.raises(TrialError, match="no finished trial keeps the constraints"):
        result.best  # noqa: B018


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (None, "evaluate returned NoneType"),
        ("0.5", "evaluate returned str"),
        ([0.5], "evaluate returned list"),
        ({"eror": 0.5}, "metric 'error' is missing after step 1. Did you mean 'eror'?"),
        ({"error": float("nan")}, "metric 'error' is nan at step 1"),
        ({"error": "low"}, "could not convert string to float"),
        ({}, "metric 'error' is missing after step 1."),
    ],
)
def test_what_evaluate_may_not_return(outcome: Any, message: str) -> None:
    result = nas.search(SPACE, lambda a: outcome, {"error": "min"}, trials=1)
    assert message in result.errors[0]


def test_a_number_is_not_enough_for_two_objectives() -> None:
    result = nas.search(SPACE, lambda a: 1.0, {"error": "min", "size": "min"}, trials=1)
    assert "several objectives wait for one" in result.errors[0]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"objectives": {}}, UsageError, "at least one objective"),
        ({"objectives": {"error": "up"}}, UsageError, "'min' or 'max', not 'up'"),
        ({"objectives": ["error"]}, UsageError, "objectives maps names to directions"),
        ({"trials": 0}, UsageError, "trials must be"),
        ({"trials": "9", "store": "x.db"}, UsageError, "trials must be a whole number"),
        (
            {"constraints": ["c<=0"], "known": {"c": cost}, "store": "x.db"},
            UsageError,
            "0 of 28 architectures",
        ),
        ({"seed": -1}, UsageError, "seed must be a whole number of at least 0"),
        ({"seed": 1.5}, UsageError, "seed must be"),
        ({"fidelity": 0}, UsageError, "fidelity must be"),
        ({"searcher": "evolutio"}, UnknownNameError, "Did you mean 'evolution'?"),
        ({"constraints": ["cost<<3"]}, UsageError, "constraint 'cost<<3'"),
        ({"known": {"cost": 3}}, UsageError, "known objective 'cost' must be a function"),
        ({"evaluate": 3}, UsageError, "evaluate must be a function"),
        ({"space": 3}, UsageError, "space must be"),
        ({"space": {"x": []}}, NasError, "x"),
        ({"space": "no-such-space"}, NasError, "no-such-space"),
        ({"study": "../up", "store": "x.db"}, UsageError, "study name '../up' is not allowed"),
    ],
)
def test_bad_settings_are_input_errors(
    change: dict[str, Any],
    error: type[NasError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    settings: dict[str, Any] = {"space": SPACE, "evaluate": bowl, "objectives": {"error": "min"}, **change}
    with pytest.raises(error) as caught:
        nas.search(settings.pop("space"), settings.pop("evaluate"), settings.pop("objectives"), **settings)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_known_objective_that_raises_is_one_line() -> None:
    with pytest.raises(TrialError, match="known objective 'cost' failed: ZeroDivisionError"):
        nas.search(SPACE, bowl, {"error": "min", "cost": "min"}, known={"cost": lambda a: 1 / 0})


def test_the_seed_repeats_the_search() -> None:
    runs = [nas.search(SPACE, bowl, {"error": "min"}, trials=9, seed=seed).trials for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_the_listener_hears_every_end() -> None:
    events: list[LoopEvent] = []
    nas.search(SPACE, bowl, {"error": "min"}, trials=4, listener=events.append)
    assert sum(isinstance(event, TrialEnded) for event in events) == 4


def test_any_runner_will_do() -> None:
    class Counting:
        slots = 1
        runs = 0

        def run(self, source: TrialSource, evaluate: Evaluator) -> None:
            self.runs += 1
            run_in_process(source, evaluate)

    runner = Counting()
    assert len(nas.search(SPACE, bowl, {"error": "min"}, trials=4, runner=runner).trials) == 4
    assert runner.runs == 1


def test_a_space_may_be_given_as_one() -> None:
    result = nas.search(flat_space(2, 2), lambda a: a.values()["a"], {"error": "min"})
    assert len(result.trials) == 4


# -- with a store ----------------------------------------------------------------------------------------


def test_the_same_call_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    calls: list[str] = []

    def evaluate(architecture: Architecture) -> float:
        calls.append(architecture.hash)
        return bowl(architecture)["error"]

    path = tmp_path / "nas.db"
    nas.search(SPACE, evaluate, {"error": "min"}, trials=5, store=path)
    result = nas.search(SPACE, evaluate, {"error": "min"}, trials=9, store=path)
    assert len(calls) == len(set(calls)) == 9
    assert [trial.architecture.hash for trial in result.trials] == calls
    straight = nas.search(SPACE, bowl, {"error": "min"}, trials=9)
    assert [trial.architecture.hash for trial in straight.trials] == calls


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    calls: list[str] = []

    def evaluate(architecture: Architecture) -> float:
        calls.append(architecture.hash)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return bowl(architecture)["error"]

    path = str(tmp_path / "nas.db")
    with pytest.raises(KeyboardInterrupt):
        nas.search(SPACE, evaluate, {"error": "min"}, trials=6, store=path, study="mine")
    nas.search(SPACE, evaluate, {"error": "min"}, trials=6, store=path, study="mine")
    assert calls[3] == calls[4]
    assert len(set(calls)) == 6
    with Store.open(path) as store:
        trials = store.trials("mine")
        assert [trial.state for trial in trials] == [TrialState.FINISHED] * 6
        assert [trial.attempt for trial in trials] == [1, 1, 1, 2, 1, 1]


def test_known_values_and_results_are_stored(tmp_path: Path) -> None:
    with Store.open(tmp_path / "nas.db") as store:
        result = nas.search(
            SPACE, bowl, {"error": "min", "cost": "min"}, known={"cost": cost}, trials=3, store=store
        )
        for trial, record in zip(result.trials, store.trials("search"), strict=True):
            assert trial.values == dict(record.metrics)
            assert trial.architecture == record.architecture
        assert store.study("search").version != ""


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"seed": 5}, "seed: 0 → 5"),
        ({"searcher": "random"}, "searcher: pareto → random"),
        ({"fidelity": 3}, "epochs: 1 → 3"),
        ({"constraints": ["error<=9"]}, "constraints"),
    ],
)
def test_a_study_of_other_settings_is_refused(change: dict[str, Any], shown: str, tmp_path: Path) -> None:
    path = tmp_path / "nas.db"
    nas.search(SPACE, bowl, {"error": "min"}, trials=2, store=path)
    with pytest.raises(UsageError, match="exists with other settings") as caught:
        nas.search(SPACE, bowl, {"error": "min"}, trials=2, store=path, **change)
    assert shown in str(caught.value)
    nas.search(SPACE, bowl, {"error": "min"}, trials=2, store=path, study="other", **change)


def test_another_space_of_the_same_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nas.db"
    nas.search({"x": [0, 1]}, lambda a: 1.0, {"error": "min"}, store=path)
    with pytest.raises(UsageError, match="space_text: changed"):
        nas.search({"x": [0, 1, 2]}, lambda a: 1.0, {"error": "min"}, store=path)


# -- users' functions as evaluators ----------------------------------------------------------------------


def request() -> TrialRequest:
    return TrialRequest(0, flat_space(2).decode([1]), 1, 0)


def test_an_evaluator_can_be_sent_to_another_process() -> None:
    import pickle

    evaluator = pickle.loads(pickle.dumps(make_evaluator(bowl, ("error",))))
    architecture = Architecture(None, (("x", 2), ("y", 1)))
    assert list(evaluator(TrialRequest(0, architecture, 1, 0))) == [{"error": 5.0}]


def test_a_stopped_evaluation_is_closed() -> None:
    closed: list[bool] = []

    def evaluate(architecture: Architecture) -> Iterator[float]:
        try:
            yield 1.0
            yield 2.0
        finally:
            closed.append(True)

    steps = make_evaluator(evaluate, ("error",))(request())
    assert next(steps) == {"error": 1.0}  # type: ignore[call-overload]
    steps.close()  # type: ignore[attr-defined]
    assert closed == [True]


def test_numbers_of_other_libraries_are_numbers() -> None:
    import numpy as np

    for number in (np.float32(0.5), np.array(0.5), 1, True):
        [metrics] = FunctionEvaluator(lambda a, n=number: n, "error")(request())
        assert metrics == {"error": float(number)}


def test_a_class_may_be_an_evaluator() -> None:
    class Evaluate:
        def __call__(self, request: TrialRequest) -> float:
            return float(request.fidelity)

    [metrics] = make_evaluator(Evaluate(), ("error",))(request())
    assert metrics == {"error": 1.0}


def test_a_builtin_without_a_signature_takes_the_architecture() -> None:
    assert not make_evaluator(dict.fromkeys, ("error",)).takes_request
    assert not make_evaluator(lambda: 1.0, ("error",)).takes_request
