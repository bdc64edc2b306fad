"""A stored study on other hardware: priced again, its front there, and what to train next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from priced_studies import accuracies, priced_study, unbeaten

from nas.costs import estimate_architecture, resolve_target
from nas.errors import MissingPluginError, UnknownNameError, UsageError
from nas.plugins import Plugin, default_registry
from nas.search.objective import Constraint, Objective
from nas.search.searcher import SearcherFactory, SearcherSetup
from nas.search.study import StudySpec
from nas.search.trial import TrialResult, TrialState
from nas.spaces import load_space
from nas.spaces.architecture import Architecture
from nas.store import Store
from nas.studies import SearchOptions, check_options
from nas.studies.retarget import Retargeting, RetargetOptions, result_of, retarget, retargeted_spec

REGISTRY = default_registry()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "nas.db")) as opened:
        yield opened


def moved(store: Store, spec: StudySpec, *targets: str, suggestions: int = 0, **options: Any) -> Retargeting:
    return retarget(store, spec.name, RetargetOptions(targets, suggestions=suggestions, **options), REGISTRY)


def spec_on(there: tuple[str, ...], *, limits: tuple[str, ...] = (), **options: Any) -> StudySpec:
    """The settings of a new study of these options, seen from other targets."""
    old, _ = check_options(SearchOptions(space="tiny", **options), REGISTRY)
    return retargeted_spec(old, RetargetOptions(there, constraints=limits), REGISTRY)


def limits_of(spec: StudySpec) -> list[str]:
    return [str(constraint) for constraint in spec.constraints]


def latency_on(architecture: Architecture, target: str, **overrides: Any) -> float:
    """By tracing the whole network, without a table."""
    return estimate_architecture(
        architecture, resolve_target(target, REGISTRY, **overrides), REGISTRY
    ).latency_ms


# -- what the study asks for there -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "objectives", "targets", "expected"),
    [
        (("a100",), (), ("pixel6",), "accuracy latency"),
        (("a100",), (), ("pixel6", "t4"), "accuracy latency@pixel6 latency@t4"),
        (("a100",), ("accuracy", "latency@a100"), ("pixel6",), "accuracy latency"),
        (("a100", "t4"), (), ("pixel6",), "accuracy latency"),
        (("a100", "t4"), (), ("pixel6", "a100"), "accuracy latency@pixel6 latency@a100"),
        (("a100",), ("min:loss", "params", "macs@a100"), ("pixel6", "t4"), "loss params macs"),
        (
            ("a100", "t4"),
            ("energy@t4", "peak_memory", "accuracy"),
            ("pixel6",),
            "energy peak_memory accuracy",
        ),
    ],
)
def test_costs_become_those_of_the_new_target(
    own: tuple[str, ...], objectives: tuple[str, ...], targets: tuple[str, ...], expected: str
) -> None:
    spec = spec_on(targets, targets=own, objectives=objectives)
    assert [objective.name for objective in spec.objectives] == expected.split()
    assert spec.target_names == targets


def test_directions_stay() -> None:
    spec = spec_on(("pixel6", "t4"), objectives=("min:loss", "max:latency"))
    assert [o.direction for o in spec.objectives] == ["min", "max", "max"]


@pytest.mark.parametrize(
    ("own", "given", "targets", "expected"),
    [
        (("latency<=2ms", "params<=5M"), (), ("pixel6",), ["latency<=2", "params<=5e+06"]),
        (("latency@a100<=2ms",), (), ("pixel6", "t4"), ["latency@pixel6<=2", "latency@t4<=2"]),
        (("latency<=2ms", "params<=5M"), ("latency<=20ms",), ("pixel6",), ["params<=5e+06", "latency<=20"]),
        (("latency<=2ms",), ("latency@pixel6<=20ms",), ("pixel6",), ["latency<=20"]),
        (
            ("latency<=2ms",),
            ("latency@pixel6<=20ms",),
            ("pixel6", "t4"),
            ["latency@t4<=2", "latency@pixel6<=20"],
        ),
        (("accuracy>=90%",), ("accuracy>=50%",), ("t4",), ["accuracy>=0.5"]),
        ((), ("latency<=3ms",), ("pixel6", "t4"), ["latency@pixel6<=3", "latency@t4<=3"]),
        (("latency<=2ms", "latency@a100<=2ms"), (), ("t4",), ["latency<=2"]),
    ],
)
def test_limits_are_read_again_or_replaced(
    own: tuple[str, ...], given: tuple[str, ...], targets: tuple[str, ...], expected: list[str]
) -> None:
    assert limits_of(spec_on(targets, limits=given, constraints=own)) == expected


def test_a_limit_on_another_target_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown constraint 'latency@a100'"):
        spec_on(("pixel6",), limits=("latency@a100<=2ms",))


def test_the_profile_of_the_study_does_not_follow_it() -> None:
    """As in ``nas cost``: precision and batch size belong to the targets they were given for."""
    spec = spec_on(("t4",), precision="fp32", batch_size=8)
    assert (spec.target_overrides, spec.target_labels) == ((), ("t4/compiled/fp16/b1/nchw",))


# -- the front there ---------------------------------------------------------------------------------------


def test_the_front_is_what_pricing_every_network_there_gives(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, [*accuracies(), "no memory", "running"])
    found = moved(store, spec, "pixel6")
    finished = [trial for trial in store.trials(spec.name) if trial.state == "finished"]
    there = {t.number: (-t.metrics["accuracy"], latency_on(t.architecture, "pixel6")) for t in finished}
    here = {t.number: (-t.metrics["accuracy"], t.metrics["latency"]) for t in finished}
    assert set(found.front) == unbeaten(there)
    assert set(found.old_front) == unbeaten(here)
    assert set(found.stayed) == unbeaten(there) & unbeaten(here)
    assert set(found.new) == unbeaten(there) - unbeaten(here)
    assert set(found.left) == unbeaten(here) - unbeaten(there)
    assert found.new
    assert found.left
    assert found.fronts == {"pixel6": found.front}
    assert list(found.front) == sorted(found.front, key=lambda number: there[number][1])


def test_every_trial_has_the_costs_of_the_new_target_and_its_own_metrics(
    tmp_path: Path, store: Store
) -> None:
    spec = priced_study(tmp_path, [0.5, "no memory", "running"], targets=("a100", "t4"))
    found = moved(store, spec, "pixel6", overrides={"batch_size": 4, "precision": None})
    assert [trial.state for trial in found.trials] == ["finished", "failed", "running"]
    for trial in found.trials:
        (cost,) = trial.costs
        assert cost.target == "google-tensor-g1-cpu/tflite/fp32/b4/nhwc"
        assert cost.latency_ms == pytest.approx(latency_on(trial.architecture, "pixel6", batch_size=4))
        assert trial.metrics["latency"] == cost.latency_ms
        assert set(trial.metrics) <= {"accuracy", "loss", "latency"}
    assert found.trials[0].metrics["accuracy"] == 0.5


def test_the_same_target_changes_nothing(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies(), constraints=("params<=20k",))
    found = moved(store, spec, "a100")
    assert found.front == found.stayed == found.old_front
    assert (found.new, found.left) == ((), ())
    assert [t.metrics for t in found.trials] == [
        {k: pytest.approx(v) for k, v in t.metrics.items()} for t in store.trials(spec.name)
    ]


def test_the_cost_model_of_the_study_prices(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nas.studies import retarget as module

    asked = []
    table_of = module.study_table

    def heard(spec: StudySpec, *rest: Any) -> Any:
        asked.append((spec.cost_model, spec.target_names))
        return table_of(spec, *rest)

    monkeypatch.setattr(module, "study_table", heard)
    spec = priced_study(tmp_path, [0.5])
    moved(store, spec, "t4")
    assert asked == [(spec.cost_model, ("t4",))]


def test_a_limit_holds_there(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies())
    free = moved(store, spec, "pixel6")
    latencies = sorted(trial.metrics["latency"] for trial in free.trials)
    limit = latencies[len(latencies) // 4]
    found = moved(store, spec, "pixel6", constraints=(f"latency<={limit}ms",))
    assert set(found.front) == {n for n in free.front if free.trials[n].metrics["latency"] <= limit}
    assert 0 < len(found.front) < len(free.front)


def test_each_of_several_targets_has_its_front(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies())
    found = moved(store, spec, "pixel6", "a100")
    assert found.fronts == {
        "pixel6": moved(store, spec, "pixel6").front,
        "a100": found.old_front,
    }
    assert set(found.fronts["pixel6"]) | set(found.fronts["a100"]) <= set(found.front)


# -- what to train next ------------------------------------------------------------------------------------


def test_suggestions_are_new_keep_the_limits_and_are_priced(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, [*accuracies(), "no memory", "running"])
    found = moved(store, spec, "pixel6", suggestions=3, constraints=("params<=6k",))
    assert len({s.architecture.hash for s in found.suggestions}) == 3
    assert not {s.architecture.hash for s in found.suggestions} & {
        trial.architecture.hash for trial in store.trials(spec.name)
    }
    for suggestion in found.suggestions:
        (cost,) = suggestion.costs
        assert suggestion.known["latency"] == pytest.approx(latency_on(suggestion.architecture, "pixel6"))
        assert suggestion.known["params"] == cost.params <= 6000
    assert moved(store, spec, "pixel6", suggestions=3, constraints=("params<=6k",)) == found


class Scripted:
    """A searcher that keeps what it is told and gives what it is to give."""

    def __init__(self, setup: SearcherSetup, answer: list[Architecture]) -> None:
        self.setup, self.answer = setup, answer
        self.told: list[TrialResult] = []
        self.asked = 0

    def tell(self, results: Any) -> None:
        self.told += results

    def ask(self, n: int) -> list[Architecture]:
        self.asked = n
        return self.answer[:n]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[Architecture]], list[Scripted]]:
    """Lets every searcher be one that gives these architectures; returns those that were made."""

    def install(answer: list[Architecture]) -> list[Scripted]:
        made: list[Scripted] = []

        def create(factory: SearcherFactory, setup: SearcherSetup) -> Scripted:
            made.append(Scripted(setup, answer))
            return made[-1]

        monkeypatch.setattr(SearcherFactory, "create", create)
        return made

    return install


def test_the_searcher_knows_all_results_at_their_new_prices(
    tmp_path: Path, store: Store, scripted: Callable[[list[Architecture]], list[Scripted]]
) -> None:
    made = scripted([])
    spec = priced_study(tmp_path, [0.5, "no memory", "running", 0.7], constraints=("accuracy>=10%",))
    found = moved(store, spec, "pixel6", suggestions=2)
    (searcher,) = made
    assert searcher.setup.objectives == (Objective("accuracy", "max"), Objective("latency", "min"))
    assert searcher.setup.constraints == (Constraint("accuracy", ">=", 0.1),)
    assert list(searcher.setup.known) == ["latency"]
    assert [(r.number, r.state.value) for r in searcher.told] == [
        (0, "finished"),
        (1, "failed"),
        (3, "finished"),
    ]
    trials = {trial.number: trial for trial in found.trials}
    assert searcher.told[0].values == {"accuracy": 0.5, "latency": trials[0].metrics["latency"]}
    assert searcher.told[1].values == {}
    assert searcher.asked == 3  # the running one may be among them
    assert found.suggestions == ()
    assert "no further network" in found.note


def test_a_network_in_training_is_not_suggested(
    tmp_path: Path, store: Store, scripted: Callable[[list[Architecture]], list[Scripted]]
) -> None:
    spec = priced_study(tmp_path, [0.5, "running", 0.7])
    stored = store.trials(spec.name)
    taken = {trial.architecture.hash for trial in stored}
    space = load_space("tiny", REGISTRY)
    every = [space.decode(vector) for vector in space.enumerate()]
    new = [network for network in every if network.hash not in taken]
    scripted([stored[1].architecture, *new])
    found = moved(store, spec, "pixel6", suggestions=2)
    assert [s.architecture for s in found.suggestions] == new[:2]


def test_none_is_suggested_where_none_is_wanted(
    tmp_path: Path, store: Store, scripted: Callable[[list[Architecture]], list[Scripted]]
) -> None:
    made = scripted([])
    found = moved(store, priced_study(tmp_path, [0.5]), "pixel6", suggestions=0)
    assert (made, found.suggestions, found.note) == ([], (), "")


def test_a_limit_that_no_network_keeps_is_said(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, accuracies(5), constraints=("latency<=0.12ms",))
    found = moved(store, spec, "rpi4", suggestions=2)
    assert (found.front, found.suggestions) == ((), ())
    assert found.left == found.old_front != ()
    assert found.note.startswith("0 of 1,000 samples meet latency <= 0.12 ms; smallest seen ")


def test_an_empty_study_gets_suggestions(tmp_path: Path, store: Store) -> None:
    found = moved(store, priced_study(tmp_path, []), "pixel6", suggestions=2)
    assert (found.trials, found.front, found.old_front) == ((), (), ())
    assert len(found.suggestions) == 2


# -- what is refused, and what is left alone ---------------------------------------------------------------


def test_nothing_is_written(tmp_path: Path) -> None:
    spec = priced_study(tmp_path, [*accuracies(6), "running"])
    with Store.open(str(tmp_path / "nas.db")) as store:
        before = (store.study(spec.name), store.trials(spec.name), store.plugins(spec.name))
    with Store.open(str(tmp_path / "nas.db"), create=False, read_only=True) as store:
        assert moved(store, spec, "pixel6", suggestions=2).suggestions
        assert (store.study(spec.name), store.trials(spec.name), store.plugins(spec.name)) == before


def test_unknown_names_are_refused(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, [0.5])
    with pytest.raises(UnknownNameError, match=r"unknown target 'pixel66'\. Did you mean 'pixel6'"):
        moved(store, spec, "pixel66")
    with pytest.raises(UnknownNameError, match="unknown study"):
        moved(store, replace(spec, name="another"), "pixel6")
    with pytest.raises(UsageError, match="--target pixel6 is given twice"):
        moved(store, spec, "pixel6", "pixel6")


def test_a_missing_plugin_is_named(tmp_path: Path, store: Store) -> None:
    spec = priced_study(tmp_path, [0.5])
    store.record_plugins(spec.name, [Plugin("ghost", "nas_ghost", "nas-ghost", "1.4", ("nas_blocks",))])
    with pytest.raises(MissingPluginError, match=r"nas-ghost 1\.4"):
        moved(store, spec, "pixel6")


@pytest.mark.parametrize("state", [TrialState.STOPPED, TrialState.FINISHED, TrialState.FAILED])
def test_a_stopped_trial_teaches_at_the_epochs_it_came_to(
    tmp_path: Path, store: Store, state: TrialState
) -> None:
    spec = priced_study(tmp_path, [0.5])
    trial = replace(store.trial(spec.name, 0), state=state, fidelity=9, last_step=3)
    result = result_of(trial, spec)
    expected = {} if state is TrialState.FAILED else {"accuracy": 0.5, "latency": trial.metrics["latency"]}
    assert (result.values, result.state, result.number) == (expected, state, 0)
    assert result.fidelity == (3 if state is TrialState.STOPPED else 9)
