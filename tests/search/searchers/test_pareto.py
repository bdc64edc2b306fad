"""The default searcher: from one objective to four, known or not, in spaces of every kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from model_toys import told
from search_toys import BOTH, COST, ERROR, error_of, flat_space, make_loop, make_searcher, price, run

from nas.search.dominated_volume import hypervolume
from nas.search.front import non_dominated
from nas.search.objective import Constraint, Objective
from nas.search.searcher import SearcherSetup
from nas.search.searchers.pareto import Pareto
from nas.search.trial import TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture
from nas.spaces.space import Space
from nas.testing import SearcherConformance
from nas.testing.problems import problems

LARGE = flat_space(*[8] * 8)
FLAT, TREE = problems()[1], problems()[3]
SCORE = Objective("score", "max")


class TestConformance(SearcherConformance):
    @pytest.fixture
    def searcher(self) -> str:
        return "pareto"


def values_of(architecture: Architecture) -> dict[str, float]:
    """Four metrics that are at odds with each other."""
    options = [*architecture.values().values(), 0, 0][:8]
    total = float(sum(options))
    return {
        "error": error_of(architecture),
        "cost": 1.0 + total,
        "score": options[0] - 0.3 * abs(options[1] - 2) + 0.01 * total,
        "memory": 1.0 + float(max(options)) + 0.1 * options[1],
    }


def result(
    architecture: Architecture, number: int, state: TrialState = TrialState.FINISHED, fidelity: int = 1
) -> TrialResult:
    return TrialResult(architecture, state, values_of(architecture), fidelity, number)


def known(*names: str) -> dict[str, Any]:
    def of(name: str) -> Any:
        return lambda architectures: [values_of(architecture)[name] for architecture in architectures]

    return {name: of(name) for name in names}


def search(searcher: Any, trials: int, first: int = 0) -> list[Architecture]:
    """Asks one by one and answers at once."""
    found = []
    for number in range(first, first + trials):
        [architecture] = searcher.ask(1)
        searcher.tell([result(architecture, number)])
        found.append(architecture)
    return found


def hashes(architectures: Sequence[Architecture]) -> list[str]:
    return [architecture.hash for architecture in architectures]


# -- objectives ------------------------------------------------------------------------------------------

FOUR = (ERROR, COST, SCORE, Objective("memory", "min"))


@pytest.mark.parametrize(
    ("objectives", "names"),
    [
        (FOUR[:1], ()),
        (FOUR[:1], ("error",)),
        (FOUR[2:3], ()),
        (FOUR[:2], ()),
        (FOUR[:2], ("error", "cost")),
        (FOUR[:3], ("cost",)),
        (FOUR[:3], ()),
        (FOUR, ("cost", "memory")),
        (FOUR, ("error", "cost", "score", "memory")),
        (FOUR, ()),
    ],
    ids=lambda part: "+".join(getattr(o, "name", o) for o in part) or "none",
)
def test_any_objectives_known_or_not(objectives: tuple[Objective, ...], names: tuple[str, ...]) -> None:
    space = flat_space(4, 4, 4)
    searcher = make_searcher("pareto", space, objectives, known(*names))
    found = search(searcher, 16)
    assert len(set(hashes(found))) == 16
    rows = [[o.sign * values_of(a)[o.name] for o in objectives] for a in map(space.decode, space.enumerate())]
    best = np.array(rows).min(axis=0)
    mine = np.array([[o.sign * values_of(a)[o.name] for o in objectives] for a in found]).min(axis=0)
    spans = np.ptp(np.array(rows), axis=0)
    assert ((mine - best) / spans).max() < 0.35


def test_what_is_known_is_found_without_learning() -> None:
    """All objectives known: the front comes as fast as it can be proposed.

    A member that is worst in one objective stands on the reference point and adds no volume.
    """
    space = flat_space(5, 5, 5)
    objectives = (COST, SCORE)
    searcher = make_searcher("pareto", space, objectives, known("cost", "score"))
    found = search(searcher, 14)
    every = [space.decode(vector) for vector in space.enumerate()]
    rows = np.array([[values_of(a)["cost"], -values_of(a)["score"]] for a in every])
    counts = non_dominated(rows) & (rows < rows.max(axis=0)).all(axis=1)
    front = {a.hash for a, best in zip(every, counts, strict=True) if best}
    assert len(front) == 10
    assert front <= set(hashes(found))


def test_a_metric_of_a_constraint_is_kept_in_mind() -> None:
    """Most of the space breaks the limit on a metric that only a trial tells."""
    space = flat_space(*[5] * 4)
    limit = Constraint("score", ">=", 3.0)
    every = [values_of(space.decode(vector))["score"] for vector in space.enumerate()]
    assert np.mean(np.array(every) >= 3.0) < 0.3
    searcher = make_searcher("pareto", space, BOTH, known("cost"), (limit,))
    found = search(searcher, 40)
    kept = [values_of(a)["score"] >= 3.0 for a in found]
    assert np.mean(kept[20:]) > 0.6
    assert np.mean(kept[20:]) > np.mean(kept[:8])


def test_the_best_within_a_limit_is_found() -> None:
    """The best ones break the limit; a chance to keep it is worth a trial, but most trials keep it."""
    limit = Constraint("memory", "<=", 3.5)
    space = flat_space(*[5] * 4)
    searcher = make_searcher("pareto", space, (ERROR,), {}, (limit,))
    kept = [error_of(a) for a in search(searcher, 30) if values_of(a)["memory"] <= 3.5]
    every = map(space.decode, space.enumerate())
    best = sorted(error_of(a) for a in every if values_of(a)["memory"] <= 3.5)
    assert min(kept) <= best[4]


# -- batches ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("results", [0, 4, 12])
@pytest.mark.parametrize("space", [flat_space(4, 4, 4), LARGE], ids=["listed", "drawn"])
def test_a_batch_is_of_different_architectures(space: Space, results: int) -> None:
    searcher = make_searcher("pareto", space, BOTH)
    seen = hashes(search(searcher, results))
    batch = hashes(searcher.ask(8))
    assert len(set(batch)) == len(batch) == 8
    assert not set(batch) & set(seen)
    assert not set(hashes(searcher.ask(8))) & set(batch)


@pytest.mark.parametrize("space", [flat_space(4, 4, 4), LARGE], ids=["listed", "drawn"])
@pytest.mark.parametrize("results", [0, 5, 12])
def test_two_are_one_and_one(space: Space, results: int) -> None:
    one, other = (make_searcher("pareto", space, BOTH) for _ in range(2))
    assert hashes(search(one, results)) == hashes(search(other, results))
    assert hashes(one.ask(2)) == hashes(other.ask(1)) + hashes(other.ask(1))
    assert hashes(one.ask(3)) == hashes(other.ask(2)) + hashes(other.ask(1))


def test_workers_that_finish_out_of_order_are_never_given_the_same() -> None:
    searcher = make_searcher("pareto", flat_space(4, 4, 4), BOTH)
    rng = np.random.default_rng(0)
    running, seen = searcher.ask(4), []
    for number in range(24):
        done = running.pop(int(rng.integers(len(running))))
        seen.append(done.hash)
        searcher.tell([result(done, number)])
        running += searcher.ask(1)
    everything = seen + hashes(running)
    assert len(set(everything)) == len(everything) == 28


# -- the end of a space ----------------------------------------------------------------------------------


@pytest.mark.parametrize("objectives", [BOTH, (ERROR,)])
@pytest.mark.parametrize("options", [(1,), (2,), (2, 3), (1, 1, 4)], ids=str)
def test_a_space_ends(options: tuple[int, ...], objectives: tuple[Objective, ...]) -> None:
    space = flat_space(*options)
    searcher = make_searcher("pareto", space, objectives)
    found = search(searcher, space.size())
    assert len(set(hashes(found))) == space.size()
    assert searcher.ask(3) == []
    fresh = make_searcher("pareto", space, objectives)
    assert len(fresh.ask(99)) == space.size()
    assert fresh.ask(1) == []


def test_what_is_left_of_a_limited_space_ends_too() -> None:
    limit = Constraint("cost", "<=", 3.0)
    space = flat_space(4, 4, 4)
    allowed = [a for a in map(space.decode, space.enumerate()) if price([a])[0] <= 3.0]
    searcher = make_searcher("pareto", space, BOTH, constraints=(limit,))
    assert sorted(hashes(searcher.ask(99))) == sorted(hashes(allowed))


# -- strange results -------------------------------------------------------------------------------------


@pytest.mark.parametrize("space", [flat_space(4, 4, 4), LARGE], ids=["listed", "drawn"])
def test_all_trials_may_fail(space: Space) -> None:
    searcher = make_searcher("pareto", space, BOTH)
    seen = []
    for number in range(20):
        [architecture] = searcher.ask(1)
        seen.append(architecture.hash)
        searcher.tell([told(architecture, number, TrialState.FAILED)])
    assert len(set(seen)) == 20


@pytest.mark.parametrize("space", [flat_space(4, 4, 4), LARGE], ids=["listed", "drawn"])
@pytest.mark.parametrize("value", [0.0, 0.1, -1e12])
def test_all_results_may_be_equal(space: Space, value: float) -> None:
    for objectives in ((ERROR,), BOTH):
        searcher = make_searcher("pareto", space, objectives)
        seen = []
        for number in range(9):
            [architecture] = searcher.ask(1)
            seen.append(architecture.hash)
            values = {"error": value, "cost": price([architecture])[0]}
            searcher.tell([TrialResult(architecture, TrialState.FINISHED, values, 1, number)])
        assert len(set(seen)) == 9


@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_the_unit_of_a_metric_changes_nothing(factor: float) -> None:
    plain, scaled = (make_searcher("pareto", flat_space(5, 5, 5), BOTH) for _ in range(2))
    for number in range(20):
        [one], [other] = plain.ask(1), scaled.ask(1)
        assert one == other
        values = {"error": error_of(one), "cost": price([one])[0]}
        plain.tell([TrialResult(one, TrialState.FINISHED, values, 1, number)])
        scaled.tell(
            [TrialResult(one, TrialState.FINISHED, {**values, "error": values["error"] * factor}, 1, number)]
        )


@pytest.mark.parametrize("space", [flat_space(4, 4), LARGE], ids=["listed", "drawn"])
def test_nothing_keeps_the_constraints_but_there_are_results(space: Space) -> None:
    """The base is empty, and no result may stand on the front."""
    limit = Constraint("cost", "<=", 0.0)
    searcher = make_searcher("pareto", space, BOTH, constraints=(limit,))
    vectors = [[n % 4] * len(space.decisions) for n in range(4)]
    searcher.tell([result(space.decode(vector), n) for n, vector in enumerate(vectors)])
    searcher.tell([result(space.decode([*vectors[0][:-1], n]), 4 + n) for n in range(1, 4)])
    assert searcher.ask(1) == []


def test_results_without_a_price_are_left_out_of_what_is_learnt() -> None:
    """Other studies may tell of networks that this chip cannot run."""

    def cost(architectures: Sequence[Architecture]) -> list[float]:
        return [
            float("inf") if a.values()["a"] == 0 else p
            for a, p in zip(architectures, price(architectures), strict=True)
        ]

    space = flat_space(4, 4, 4)
    searcher = make_searcher("pareto", space, BOTH, {"cost": cost})
    strange = [space.decode([0, n, 0]) for n in range(4)]
    for number, architecture in enumerate(strange):
        values = {"error": error_of(architecture)}
        searcher.tell(
            [TrialResult(architecture, TrialState.FAILED, {}, 1, number)]
            if number == 0
            else [TrialResult(architecture, TrialState.STOPPED, values, 1, number)]
        )
    for number in range(4, 16):
        [architecture] = searcher.ask(1)
        assert architecture.values()["a"] != 0
        searcher.tell([result(architecture, number)])


def test_stopped_results_teach_at_their_fidelity() -> None:
    """Early errors are larger: they must not make an option look bad, but must tell options apart."""
    space = flat_space(*[5] * 4)
    searcher = make_searcher("pareto", space, (ERROR,), {})
    found = []
    for number in range(30):
        [architecture] = searcher.ask(1)
        is_stopped = number % 3 == 1
        error = error_of(architecture) + (5.0 if is_stopped else 0.0)
        state = TrialState.STOPPED if is_stopped else TrialState.FINISHED
        searcher.tell([TrialResult(architecture, state, {"error": error}, 1 if is_stopped else 9, number)])
        found.append(error_of(architecture))
    best = min(error_of(space.decode(vector)) for vector in space.enumerate())
    assert min(found) < best + 0.15
    assert np.mean(found[-10:]) < np.mean(found[:6])


def test_all_results_may_be_stopped() -> None:
    searcher = make_searcher("pareto", flat_space(4, 4, 4), BOTH)
    seen = []
    for number in range(12):
        [architecture] = searcher.ask(1)
        seen.append(architecture.hash)
        searcher.tell([result(architecture, number, TrialState.STOPPED, 1 + number % 3)])
    assert len(set(seen)) == 12


# -- going on --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", [FLAT, TREE], ids=["flat", "tree"])
@pytest.mark.parametrize("count", [3, 6, 15])
def test_told_at_once_it_goes_on_as_told_one_by_one(problem: Any, count: int) -> None:
    straight, at_once, shuffled = (Pareto(problem.setup()) for _ in range(3))
    results = []
    for number in range(count):
        [architecture] = straight.ask(1)
        state = TrialState.FAILED if number == 2 else TrialState.FINISHED
        results.append(problem.result(architecture, number, state))
        straight.tell(results[-1:])
    at_once.tell(results)
    for index in np.random.default_rng(0).permutation(count).tolist():
        shuffled.tell([results[index]])
    following = hashes(straight.ask(3))
    assert len(following) == 3
    assert hashes(at_once.ask(3)) == following
    assert hashes(shuffled.ask(3)) == following


def test_it_goes_on_in_a_space_that_is_drawn_from() -> None:
    straight, at_once = (make_searcher("pareto", LARGE, BOTH) for _ in range(2))
    found = search(straight, 9)
    at_once.tell([result(architecture, number) for number, architecture in enumerate(found)])
    assert hashes(at_once.ask(3)) == hashes(straight.ask(3))


# -- the start -------------------------------------------------------------------------------------------


def test_the_first_ones_cover_the_cost_axis() -> None:
    costs = np.array(price(make_searcher("pareto", LARGE, BOTH).ask(6)))
    rng = np.random.default_rng(0)
    sampled = np.array(price([LARGE.sample(rng) for _ in range(200)]))
    assert costs[0] < sampled.min()
    assert costs[1] > np.quantile(sampled, 0.98)
    assert np.ptp(np.log(costs)) > 1.2 * np.ptp(np.log(sampled))


# -- how well it searches --------------------------------------------------------------------------------


def bumpy(request: TrialRequest) -> Iterator[Mapping[str, float]]:
    """Depends on every decision, unevenly, and on two pairs of them."""
    values = list(request.architecture.values().values())
    gain = sum(value / (index + 1) for index, value in enumerate(values))
    yield {"error": 6.0 - gain + 0.6 * (values[0] == values[3]) + 0.3 * abs(values[1] - values[4])}


def gap(name: str, seed: int, space: Space, trials: int = 40) -> float:
    """The share of the best hypervolume that is missed."""
    every = [space.decode(vector) for vector in space.enumerate()]
    errors = [next(iter(bumpy(TrialRequest(0, a, 1, 0))))["error"] for a in every]
    rows = np.column_stack([errors, price(every)])
    reference = rows.max(axis=0) + 1e-9
    front = run(make_loop(name, space, seed=seed, trials=trials), bumpy).front()
    return 1 - hypervolume(front.minimised, reference) / hypervolume(rows, reference)


def test_it_is_far_ahead_of_random_search() -> None:
    space = flat_space(*[4] * 6)
    mine = np.mean([gap("pareto", seed, space) for seed in range(3)])
    random = np.mean([gap("random", seed, space) for seed in range(3)])
    assert mine < random / 4
    assert mine < 0.03


def test_it_finds_the_best_of_one_objective() -> None:
    space = flat_space(*[5] * 5)
    searcher = Pareto(SearcherSetup(space, (SCORE,)))
    found = [values_of(a)["score"] for a in search(searcher, 30)]
    best = max(values_of(space.decode(vector))["score"] for vector in space.enumerate())
    assert max(found) > best - 0.1
