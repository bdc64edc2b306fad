"""What every searcher promises, and what each does beyond that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from search_toys import (
    BOTH,
    ERROR,
    QUICK_SEARCHERS,
    SEARCHERS,
    BranchSpace,
    error_of,
    flat_space,
    make_loop,
    make_searcher,
    price,
    run,
)

from nas.errors import UsageError
from nas.plugins import default_registry
from nas.search.builtin import nas_searchers
from nas.search.dominated_volume import hypervolume
from nas.search.front import non_dominated
from nas.search.objective import Constraint, Objective
from nas.search.prices import Pricing
from nas.search.searchers.design import log_costs, spread_design
from nas.search.searchers.parents import POPULATION, Parents
from nas.search.searchers.turns import Turns
from nas.search.seeding import generator
from nas.search.trial import TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture

CONSTRAINED = (Constraint("cost", "<=", 7.0),)


def evaluated(
    architecture: Architecture, number: int, state: TrialState = TrialState.FINISHED
) -> TrialResult:
    values = {"error": error_of(architecture), "cost": price([architecture])[0]}
    return TrialResult(architecture, state, values if state is TrialState.FINISHED else {}, 1, number)


def drive(searcher: Any, trials: int, first: int = 0) -> list[str]:
    """Asks one by one and answers at once."""
    found = []
    for number in range(first, first + trials):
        [architecture] = searcher.ask(1)
        searcher.tell([evaluated(architecture, number)])
        found.append(architecture.hash)
    return found


# -- every searcher --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SEARCHERS)
def test_it_is_offered_to_the_command_line(name: str) -> None:
    factory = default_registry().searchers[name]
    assert factory.description
    assert isinstance(factory.build, str)


def test_offering_searchers_is_light() -> None:
    code = (
        "from nas.search.builtin import nas_searchers; import sys; nas_searchers();"
        "print([m for m in ('numpy', 'torch', 'optuna', 'scipy', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    assert len({factory.name for factory in nas_searchers()}) == 7


@pytest.mark.parametrize("name", ["random", "evolution", "local"])
def test_our_own_searchers_need_no_optuna(name: str) -> None:
    code = (
        "import nas, sys; nas.search({'x': [0, 1, 2]}, lambda a: a.values()['x'], {'x': 'min'}, "
        f"searcher={name!r});"
        "print([m for m in ('torch', 'optuna', 'scipy', 'sqlalchemy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_several_are_asked_for_at_once(name: str) -> None:
    searcher = make_searcher(name, flat_space(6, 6, 6))
    found = searcher.ask(5)
    assert len(found) == 5
    assert len({architecture.hash for architecture in found}) > 1
    assert searcher.ask(0) == []


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_one_seed_gives_one_sequence(name: str) -> None:
    space = flat_space(6, 6, 6)
    sequences = [drive(make_searcher(name, space, seed=seed), 15) for seed in (3, 3, 4)]
    assert sequences[0] == sequences[1] != sequences[2]


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_being_told_is_all_it_remembers(name: str) -> None:
    """A searcher that was told what another one found goes on as that one does."""
    space = flat_space(6, 6, 6)
    first = make_searcher(name, space)
    drive(first, 25)
    second = make_searcher(name, space)
    # The same 25 results, asked for by nobody.
    third = make_searcher(name, space)
    results = []
    for number in range(25):
        [architecture] = third.ask(1)
        results.append(evaluated(architecture, number))
        third.tell(results[-1:])
    second.tell(results)
    assert drive(first, 5, 25) == drive(second, 5, 25)


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_what_the_store_does_not_keep_changes_nothing(name: str) -> None:
    """Results told twice, and suggestions that were infeasible."""
    space = flat_space(6, 6, 6)
    plain, bothered = make_searcher(name, space), make_searcher(name, space)
    for number in range(15):
        [one], [other] = plain.ask(1), bothered.ask(1)
        assert one == other
        results = [evaluated(one, number)]
        plain.tell(results)
        bothered.tell(results)
        [extra] = bothered.ask(1)
        if number % 2:
            bothered.tell(results)
            bothered.tell([TrialResult(extra, TrialState.INFEASIBLE, {"cost": 99.0})])
        [plain_extra] = plain.ask(1)
        assert plain_extra == extra
        result = evaluated(extra, number)
        plain.tell([result])
        bothered.tell([result])


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.STOPPED])
def test_trials_without_a_result_are_survived(name: str, state: TrialState) -> None:
    searcher = make_searcher(name, flat_space(6, 6, 6))
    for number in range(30):
        [architecture] = searcher.ask(1)
        searcher.tell([evaluated(architecture, number, state if number % 3 else TrialState.FINISHED)])
    only_failed = make_searcher(name, flat_space(6, 6, 6))
    for number in range(25):
        [architecture] = only_failed.ask(1)
        only_failed.tell([evaluated(architecture, number, state)])


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_results_it_never_asked_for_are_taken(name: str) -> None:
    space = flat_space(6, 6, 6)
    searcher = make_searcher(name, space)
    rng = generator(0, "others")
    searcher.tell([evaluated(space.sample(rng), number) for number in range(30)])
    assert len(drive(searcher, 5)) == 5


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
@pytest.mark.parametrize(
    "space", [BranchSpace(5), flat_space(1), flat_space(1, 3)], ids=["branch", "one", "three"]
)
def test_everything_proposed_is_of_the_space(name: str, space: Any) -> None:
    members = {space.decode(vector).hash for vector in space.enumerate()}
    searcher = make_searcher(name, space)
    for number in range(30):
        for architecture in searcher.ask(1):
            assert architecture.hash in members
            searcher.tell([evaluated(architecture, number)])


@pytest.mark.parametrize("name", ["pareto", "random", "evolution", "local"])
def test_our_own_searchers_keep_known_constraints(name: str) -> None:
    searcher = make_searcher(name, flat_space(6, 6, 6), constraints=CONSTRAINED)
    for number in range(40):
        [architecture] = searcher.ask(1)
        assert price([architecture])[0] <= 7.0
        searcher.tell([evaluated(architecture, number)])


@pytest.mark.parametrize("name", ["pareto", "random", "evolution", "local"])
def test_our_own_searchers_end_with_the_space(name: str) -> None:
    searcher = make_searcher(name, flat_space(2, 3))
    found = drive(searcher, 6)
    assert len(set(found)) == 6
    assert searcher.ask(3) == []


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_a_global_random_state_is_left_alone(name: str) -> None:
    import random

    random.seed(5)
    np.random.seed(5)
    expected = (random.random(), np.random.random())
    random.seed(5)
    np.random.seed(5)
    drive(make_searcher(name, flat_space(5, 5, 5)), 25)
    assert (random.random(), np.random.random()) == expected


# -- how well they search --------------------------------------------------------------------------------


def toy_problem(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """The error falls with every option, more for the first ones; the order of two decisions matters."""
    values = list(request.architecture.values().values())
    gain = sum(value / (index + 1) for index, value in enumerate(values)) - 0.3 * abs(values[0] - values[1])
    yield {"error": 5.0 - gain}


def quality(name: str, seed: int, trials: int, space: Any) -> float:
    loop = run(make_loop(name, space, seed=seed, trials=trials), toy_problem)
    return hypervolume(loop.front().minimised, [10.0, 40.0])


@pytest.mark.parametrize("name", QUICK_SEARCHERS)
def test_the_front_of_a_small_space_is_found_whole(name: str) -> None:
    space = flat_space(3, 3, 3)
    loop = run(make_loop(name, space, trials=27), toy_problem)
    architectures = [space.decode(vector) for vector in space.enumerate()]
    errors = [next(toy_problem(TrialRequest(0, a, 1, 0)))["error"] for a in architectures]
    values = np.column_stack([errors, price(architectures)])
    expected = {a.hash for a, best in zip(architectures, non_dominated(values), strict=True) if best}
    assert {member.architecture.hash for member in loop.front()} == expected


def test_evolution_beats_random_search_in_the_long_run() -> None:
    space = flat_space(*[6] * 6)
    seeds = range(8)
    random = [quality("random", seed, 60, space) for seed in seeds]
    evolution = [quality("evolution", seed, 60, space) for seed in seeds]
    assert np.mean(evolution) > np.mean(random)
    assert sum(e > r for e, r in zip(evolution, random, strict=True)) >= 7


@pytest.mark.parametrize("name", ["optuna-nsga2", "optuna-tpe"])
def test_optunas_samplers_learn_from_what_they_are_told(name: str) -> None:
    """With one objective, late suggestions are far better than the first random ones."""
    searcher = make_searcher(name, flat_space(*[6] * 5), objectives=(ERROR,), known={})
    found: list[float] = []
    for number in range(80):
        [architecture] = searcher.ask(1)
        searcher.tell([evaluated(architecture, number)])
        found.append(error_of(architecture))
    assert np.mean(found[-20:]) < 0.8 * np.mean(found[:20])


def test_a_maximised_objective_is_maximised() -> None:
    objectives = (Objective("score", "max"),)
    for name in ("evolution", "optuna-tpe", "optuna-nsga2"):
        searcher = make_searcher(name, flat_space(*[6] * 5), objectives=objectives, known={})
        totals = []
        for number in range(80):
            [architecture] = searcher.ask(1)
            total = float(sum(architecture.values().values()))
            searcher.tell([TrialResult(architecture, TrialState.FINISHED, {"score": total}, 1, number)])
            totals.append(total)
        assert np.mean(totals[-20:]) > np.mean(totals[:20]) + 1.0


# -- evolution -------------------------------------------------------------------------------------------


def dear(architectures: Sequence[Architecture]) -> list[float]:
    """Costs over four orders of magnitude."""
    return [10.0 ** (sum(a.values().values()) / 10) for a in architectures]


def test_the_first_design_covers_the_costs_evenly_and_begins_at_the_cheap_end() -> None:
    space = flat_space(*[6] * 8)
    design = spread_design(space, Pricing({"cost": dear}), "cost", 8, generator(0, "design"))
    costs = np.log10(dear(design))
    assert len({architecture.hash for architecture in design}) == 8
    sampled = np.log10(dear([space.sample(generator(0, n)) for n in range(500)]))
    assert costs[0] < sampled.min()  # no random one is as cheap
    assert costs[1] == costs.max()
    assert np.diff(np.sort(costs)).max() < 0.3 * (costs.max() - costs.min())


def test_the_first_design_keeps_the_constraints() -> None:
    space = flat_space(*[6] * 8)
    limits = (Constraint("cost", "<=", 30.0),)
    design = spread_design(space, Pricing({"cost": dear}, limits), "cost", 8, generator(0, "design"))
    assert design
    assert max(dear(design)) <= 30.0
    impossible = (Constraint("cost", "<=", 0.0),)
    assert spread_design(space, Pricing({"cost": dear}, impossible), "cost", 8, generator(0, "x")) == []


def test_a_design_of_a_tiny_space_is_the_space() -> None:
    space = flat_space(3)
    design = spread_design(space, Pricing({"cost": price}), "cost", 8, generator(0, "design"))
    assert len({architecture.hash for architecture in design}) == len(design) == 3
    assert len(spread_design(flat_space(1), Pricing({"cost": price}), "cost", 8, generator(0, "d"))) == 1


@pytest.mark.parametrize(
    ("costs", "logarithmic"), [([1.0, 10.0], True), ([0.0, 10.0], False), ([-1.0, 1.0], False)]
)
def test_costs_are_logarithmic_where_they_can_be(costs: list[float], logarithmic: bool) -> None:
    assert (log_costs(costs).tolist() == np.log(np.maximum(costs, 1e-9)).tolist()) is logarithmic


def test_trials_spread_over_the_costs_more_than_random_ones() -> None:
    space = flat_space(*[6] * 8)

    def spread(name: str) -> float:
        loop = run(make_loop(name, space, known={"cost": dear}, trials=40), toy_problem)
        return float(np.std(np.log([result.values["cost"] for result in loop.results])))

    assert spread("evolution") > 1.3 * spread("random")


def test_parents_age_unless_they_are_on_the_front() -> None:
    parents = Parents(BOTH, ())
    space = flat_space(200, 2)
    best, worse = space.decode([0, 1]), space.decode([1, 1])
    parents.add(TrialResult(best, TrialState.FINISHED, {"error": 0.0, "cost": 0.0}))
    parents.add(TrialResult(worse, TrialState.FINISHED, {"error": 1.0, "cost": 1.0}))
    rng = generator(0, "tournament")
    assert {parents.tournament(rng).hash for _ in range(100)} == {best.hash, worse.hash}
    for number in range(POPULATION):
        values = {"error": 2.0 + number, "cost": 2.0}
        parents.add(TrialResult(space.decode([number, 0]), TrialState.FINISHED, values))
    chosen = {parents.tournament(rng).hash for _ in range(2_000)}
    assert best.hash in chosen
    assert worse.hash not in chosen
    assert len(parents) == POPULATION
    assert [architecture for architecture, _ in parents.front] == [best]


def test_tournaments_prefer_the_front() -> None:
    parents = Parents(BOTH, ())
    space = flat_space(50)
    for number in range(50):
        values = {"error": float(number), "cost": float(number)}
        parents.add(TrialResult(space.decode([number]), TrialState.FINISHED, values))
    rng = generator(0, "tournament")
    picks = [parents.tournament(rng).values()["a"] for _ in range(400)]
    assert np.mean(picks) < 15


def test_parents_keep_the_constraints_and_have_all_objectives() -> None:
    parents = Parents(BOTH, (Constraint("cost", "<=", 1.0),))
    architecture = flat_space(3).decode([0])
    for values in ({"error": 0.0, "cost": 2.0}, {"error": 0.0}, {"cost": 0.0}, {}):
        parents.add(TrialResult(architecture, TrialState.FINISHED, values))
    parents.add(TrialResult(architecture, TrialState.FAILED, {"error": 0.0, "cost": 0.0}))
    assert not parents


def test_the_front_of_parents_is_the_front() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 12, size=(200, 2)).astype(float)
    parents = Parents(BOTH, ())
    space = flat_space(200)
    for number, (error, cost) in enumerate(values.tolist()):
        parents.add(TrialResult(space.decode([number]), TrialState.FINISHED, {"error": error, "cost": cost}))
    expected = np.unique(values[non_dominated(values)], axis=0)
    found = np.array([row for _, row in parents.front])
    assert np.unique(found, axis=0).tolist() == expected.tolist()


# -- counting --------------------------------------------------------------------------------------------


def test_turns_count_news_only() -> None:
    turns = Turns()
    space = flat_space(9)
    first, second = space.decode([0]), space.decode([1])
    assert [turns.next(), turns.next()] == [(0, 0), (0, 1)]
    turns.suggest(first.hash)
    assert not turns.is_new(first.hash)
    assert turns.new([evaluated(first, 0)]) == [evaluated(first, 0)]
    assert turns.next() == (1, 0)
    assert turns.new([evaluated(first, 0), TrialResult(second, TrialState.INFEASIBLE)]) == []
    assert turns.next() == (1, 1)
    assert turns.is_new(second.hash)
    assert turns.told == 1


# -- optuna ----------------------------------------------------------------------------------------------


def test_optuna_is_silent_and_its_verbosity_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    try:
        drive(make_searcher("optuna-tpe", flat_space(4, 4)), 15)
        assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    finally:
        optuna.logging.set_verbosity(optuna.logging.INFO)
    assert capfd.readouterr() == ("", "")


def test_without_scipy_the_gaussian_process_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(UsageError, match="'optuna-gp' needs scipy and torch"):
        make_searcher("optuna-gp", flat_space(3))


@pytest.mark.parametrize("objectives", [(ERROR,), BOTH])
def test_the_gaussian_process_proposes(objectives: tuple[Objective, ...], one_thread: None) -> None:
    searcher = make_searcher("optuna-gp", flat_space(4, 4, 4), objectives=objectives, known={})
    assert len(drive(searcher, 12)) == 12


def test_nsga2_has_generations() -> None:
    """After a generation, suggestions are bred: their options all come from parents, but for mutations."""
    from nas.search.searchers.optuna_search import GENERATION

    space = flat_space(*[50] * 4)
    searcher = make_searcher("optuna-nsga2", space)
    rng = generator(0, "first")
    low = [space.decode(rng.integers(0, 5, size=4)) for _ in range(GENERATION)]
    searcher.tell([evaluated(architecture, number) for number, architecture in enumerate(low)])
    [child] = searcher.ask(1)
    assert sum(value < 5 for value in child.values().values()) >= 2
