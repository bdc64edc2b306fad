"""Architectures that are trained several times: when, with which seeds, and what their mean is worth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from search_toys import BOTH, QUICK_SEARCHERS, error_of, flat_space, make_loop, run

import nas
from nas.errors import UsageError
from nas.search.inprocess import run_in_process
from nas.search.journal import MemoryJournal
from nas.search.loop import StudyLoop
from nas.search.objective import Objective
from nas.search.repeats import EVERY, FIRST, check_repeats
from nas.search.runs import mean, mean_result, mean_results, standard_error
from nas.search.searchers.turns import Turns
from nas.search.seeding import derived_seed, generator, trial_seed
from nas.search.study import StudySpec
from nas.search.trial import Finished, Progress, Started, TrialRequest, TrialResult, TrialState
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

TRIALS = 24
NOISE = 0.5


class Noisy:
    """An evaluator whose error depends on the seed of the trial; the n-th calls in `behaviour` raise."""

    def __init__(self, behaviour: Mapping[int, BaseException] | None = None) -> None:
        self.seeds: list[int] = []
        self._behaviour = behaviour or {}

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        self.seeds.append(request.seed)
        if len(self.seeds) - 1 in self._behaviour:
            raise self._behaviour[len(self.seeds) - 1]
        for _ in range(request.fidelity):
            yield {"error": noisy_error(request.architecture, request.seed)}


class Stubborn:
    """A searcher that proposes the same few architectures over and over."""

    def __init__(self, *architectures: Architecture) -> None:
        self.told: list[TrialResult] = []
        self._architectures = architectures
        self._asked = 0

    def ask(self, n: int) -> list[Architecture]:
        self._asked += 1
        return [self._architectures[(self._asked - 1) % len(self._architectures)]]

    def tell(self, results: Any) -> None:
        self.told += results


class Forgetful:
    """A searcher that draws from five architectures, those it has met too."""

    def __init__(self) -> None:
        self._turns = Turns()

    def ask(self, n: int) -> list[Architecture]:
        return [flat(a=int(generator(0, *self._turns.next()).integers(5)))]

    def tell(self, results: Any) -> None:
        self._turns.new(results)


def noisy_error(architecture: Architecture, seed: int) -> float:
    return error_of(architecture) + NOISE * float(np.random.default_rng(seed).normal())


def noisy_loop(searcher: Any = "random", **settings: Any) -> StudyLoop:
    return make_loop(searcher, flat_space(5, 5, 5), **{"trials": TRIALS, "repeats": 3, **settings})


def numbers_of(loop: StudyLoop) -> dict[str, list[int]]:
    """Architecture → the numbers of its trials."""
    found: dict[str, list[int]] = {}
    for result in loop.results:
        found.setdefault(result.architecture.hash, []).append(result.number)
    return found


def repeats_of(loop: StudyLoop) -> list[int]:
    return sorted(number for numbers in numbers_of(loop).values() for number in numbers[1:])


def sequence(loop: StudyLoop) -> list[tuple[str, TrialState, Mapping[str, float]]]:
    return [(r.architecture.hash, r.state, r.values) for r in loop.results]


def flat(**choices: int) -> Architecture:
    space = flat_space(5, 5, 5)
    return space.decode([choices.get(d.name, 0) for d in space.decisions])


# -- means and their errors ---------------------------------------------------------------------------------


def of(number: int, state: TrialState = TrialState.FINISHED, **values: float) -> TrialResult:
    return TrialResult(flat(), state, values, 1, number)


def test_the_mean_and_its_standard_error() -> None:
    """2, 4, 4, 4, 5, 5, 7, 9 have the mean 5 and the sum of squares 32: the error is √(32 / 7 / 8)."""
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]
    assert mean(values) == 5.0
    assert standard_error(values) == pytest.approx(math.sqrt(32 / 7 / 8))
    assert standard_error([0.97, 0.99]) == pytest.approx(0.01)
    assert standard_error([0.5, 0.5, 0.5]) == 0.0


def test_equal_values_keep_their_last_bit() -> None:
    values = np.random.default_rng(0).random(200).tolist()
    assert all(mean([value] * count) == value for value in values for count in (2, 3, 7))


def test_the_result_of_several_runs() -> None:
    found = mean_result([of(2, error=1.0, cost=7.0), of(8, error=3.0, cost=7.0)], ["error"])
    assert (found.number, found.runs) == (2, 2)
    assert found.values == {"error": 2.0, "cost": 7.0}
    assert found.standard_error == {"error": 1.0}


def test_one_result_for_each_architecture() -> None:
    other = TrialResult(flat(a=1), TrialState.STOPPED, {"error": 0.0}, 1, 3)
    results = [of(0, error=1.0), other, of(4, error=2.0), of(5, TrialState.FAILED)]
    found = mean_results(results, ["error"])
    assert [(r.number, r.runs, r.state) for r in found] == [(0, 2, "finished"), (3, 1, "stopped")]
    assert found[0].values == {"error": 1.5}


# -- when an architecture is repeated -----------------------------------------------------------------------


@pytest.mark.parametrize("searcher", QUICK_SEARCHERS)
def test_every_third_trial_repeats_the_front(searcher: str) -> None:
    loop = run(noisy_loop(searcher), Noisy())
    repeats = repeats_of(loop)
    assert len(loop.results) == TRIALS
    assert repeats[0] == FIRST
    assert len(repeats) >= 4
    assert all(later - earlier >= EVERY for earlier, later in pairwise(repeats))
    assert max(map(len, numbers_of(loop).values())) <= 3


def test_the_front_member_with_the_fewest_runs_comes_first_then_the_oldest() -> None:
    loop = noisy_loop(trials=40, repeats=4)
    evaluate = Noisy()
    chosen = 0
    while not loop.exhausted:
        runs = Counter(result.architecture.hash for result in loop.results)
        front = {r.architecture.hash: (runs[r.architecture.hash], r.number) for r in loop.front()}
        left = {key: rank for key, rank in front.items() if rank[0] < 4}
        request = loop.next()
        assert request is not None
        if runs[request.architecture.hash]:
            assert request.architecture.hash == min(left, key=lambda key: left[key])
            chosen += 1
        end(loop, request, next(iter(evaluate(request)))["error"])
    assert chosen >= 8


def end(loop: StudyLoop, request: TrialRequest, error: float) -> None:
    loop.report(Started(request.number, request.attempt, "here"))
    loop.report(Progress(request.number, request.attempt, 1, {"error": error}))
    loop.report(Finished(request.number, request.attempt, 0.1))


def test_without_repeats_nothing_is_trained_twice() -> None:
    loop = run(noisy_loop(repeats=1), Noisy())
    assert repeats_of(loop) == []
    assert {result.runs for result in loop.front()} == {1}
    assert sequence(loop) == sequence(run(make_loop(space=flat_space(5, 5, 5), trials=TRIALS), Noisy()))


def test_a_suggestion_of_a_finished_architecture_becomes_a_repeat() -> None:
    searcher = Stubborn(flat(a=4))
    loop = run(noisy_loop(searcher, trials=3), Noisy())
    assert list(numbers_of(loop).values()) == [[0, 1, 2]]
    assert [result.runs for result in searcher.told] == [1, 2, 3]
    assert {result.number for result in searcher.told} == {0}
    last = searcher.told[-1]
    assert last.values["error"] == pytest.approx(np.mean([r.values["error"] for r in loop.results]))


def test_more_than_that_is_answered_with_the_mean() -> None:
    searcher = Stubborn(flat(a=4))
    loop = run(noisy_loop(searcher, trials=4, repeats=2), Noisy())
    assert sorted(map(len, numbers_of(loop).values())) == [1, 1, 2]
    assert searcher.told[2].runs == 2


def test_a_failed_architecture_is_not_repeated() -> None:
    """Neither one whose first run failed, nor one whose repeat did: that keeps its mean."""
    loop = run(noisy_loop(Stubborn(flat(a=4)), trials=3), Noisy({0: ValueError("no")}))
    assert max(map(len, numbers_of(loop).values())) == 1
    loop = run(noisy_loop(Stubborn(flat(a=4)), trials=4, repeats=4), Noisy({1: ValueError("no")}))
    assert numbers_of(loop)[flat(a=4).hash] == [0, 1]
    standing = next(r for r in [*loop.front(), loop.results[0]] if r.architecture == flat(a=4))
    assert (standing.runs, standing.values["error"]) == (1, loop.results[0].values["error"])


def test_no_second_run_while_one_is_on_its_way() -> None:
    """Six finished trials, then four workers ask at once: one repeat, and no architecture twice."""
    loop = noisy_loop()
    evaluate = Noisy()
    for _ in range(FIRST):
        request = loop.next()
        assert request is not None
        end(loop, request, next(iter(evaluate(request)))["error"])
    together = [request for request in (loop.next() for _ in range(8)) if request is not None]
    assert len({request.architecture.hash for request in together}) == len(together) == 8
    met = {result.architecture.hash for result in loop.results}
    again = [request.number for request in together if request.architecture.hash in met]
    assert again[0] == FIRST
    assert all(number in (6, 9, 12) for number in again)


def test_an_exhausted_space_spends_the_rest_on_repeats() -> None:
    loop = make_loop(space=flat_space(2, 2), trials=40, repeats=3)
    run_in_process(loop, Noisy())
    assert loop.exhausted
    assert loop.message is not None
    assert len(numbers_of(loop)) == 4
    assert all(result.runs == 3 for result in loop.front())


def test_constraints_hold_for_the_mean() -> None:
    loop = run(noisy_loop(constraints=["error<=3"]), Noisy())
    assert len(loop.front()) > 0
    assert all(result.values["error"] <= 3 for result in loop.front())


def test_a_repeat_is_never_stopped_early() -> None:
    """Stopping those that begin badly would leave the lucky ones, and a mean that is too good."""
    loop = run(noisy_loop("random", trials=40, fidelity=9, stop_below=0.9), Noisy())
    states = {result.number: result.state for result in loop.results}
    assert TrialState.STOPPED in states.values()
    assert repeats_of(loop)
    assert {states[number] for number in repeats_of(loop)} == {TrialState.FINISHED}


# -- seeds, and going on ------------------------------------------------------------------------------------


def test_each_run_has_its_own_seed() -> None:
    journal = MemoryJournal()
    loop = run(noisy_loop(store=journal, seed=5), Noisy())
    seeds = {trial.number: trial.seed for trial in journal.trials("memory")}
    for key, numbers in numbers_of(loop).items():
        wanted = [trial_seed(5, key), *(derived_seed(5, "trial", key, k) for k in (1, 2))]
        assert [seeds[number] for number in numbers] == wanted[: len(numbers)]
    assert len(set(seeds.values())) == TRIALS


@pytest.mark.parametrize("searcher", [*QUICK_SEARCHERS, "forgetful"])
@pytest.mark.parametrize("every", [1, 4])
def test_killed_and_resumed_it_goes_on_alike(searcher: str, every: int) -> None:
    def loop(journal: MemoryJournal) -> StudyLoop:
        return noisy_loop(Forgetful() if searcher == "forgetful" else searcher, store=journal, trials=16)

    whole = run(loop(MemoryJournal()), Noisy())
    journal = MemoryJournal()
    for _ in range(20):
        part = loop(journal)
        part.resume()
        try:
            run(part, Noisy({every: KeyboardInterrupt()}))
        except KeyboardInterrupt:
            continue
        break
    assert sequence(part) == sequence(whole)
    assert list(part.front()) == list(whole.front())


def test_a_failed_repeat_changes_nothing_for_a_resumed_study() -> None:
    """Of the suggestions after it, which the resumed study asks for again, none may be taken otherwise."""
    whole = run(noisy_loop(Forgetful(), trials=16), Noisy({n: ValueError("no") for n in range(1, 16, 2)}))
    journal = MemoryJournal()
    for number in range(16):
        part = noisy_loop(Forgetful(), store=journal, trials=16)
        part.resume()
        stop = {1: KeyboardInterrupt(), **({0: ValueError("no")} if number % 2 else {})}
        if number < 15:
            with pytest.raises(KeyboardInterrupt):
                run(part, Noisy(stop))
        else:
            run(part, Noisy(stop))
    assert sequence(part) == sequence(whole)


def test_through_the_store(tmp_path: Path) -> None:
    whole = run(noisy_loop("pareto"), Noisy())
    with Store.open(tmp_path / "nas.db") as store:
        store.create_study(StudyRecord("study", "{}"))
        run(noisy_loop("pareto", store=store, study="study", trials=11), Noisy())
        rest = noisy_loop("pareto", store=store, study="study")
        rest.resume()
        run(rest, Noisy())
        hashes = store.architecture_hashes("study")
    assert sequence(rest) == sequence(whole)
    assert hashes == {r.number: r.architecture.hash for r in whole.results}


def test_a_mean_of_more_runs_is_a_turn_and_no_new_architecture() -> None:
    turns = Turns()
    first, second = of(0, error=1.0), mean_result([of(0, error=1.0), of(3, error=2.0)], ["error"])
    assert turns.new([first]) == [first]
    assert turns.next() == (1, 0)
    assert turns.new([second, first, second]) == [second]
    assert turns.next() == (2, 0)
    assert turns.told == 1


# -- what it is good for ------------------------------------------------------------------------------------


def front_error(repeats: int, seed: int) -> float:
    """How far the front's values are from the truth, root mean square."""
    loop = run(noisy_loop("random", trials=60, repeats=repeats, seed=seed), Noisy())
    gaps = [result.values["error"] - error_of(result.architecture) for result in loop.front()]
    return float(np.sqrt(np.mean(np.square(gaps))))


def test_repeats_shrink_the_error_of_the_front() -> None:
    """A front picks the lucky ones; means of up to four runs are nearer to the truth."""
    once, often = ([front_error(repeats, seed) for seed in range(8)] for repeats in (1, 4))
    assert np.mean(often) < 0.85 * np.mean(once)


def test_the_front_holds_each_architecture_once_with_its_mean() -> None:
    loop = run(noisy_loop(trials=40), Noisy())
    raw = {result.number: result for result in loop.results}
    numbers = numbers_of(loop)
    front = loop.front()
    assert len({member.architecture.hash for member in front}) == len(front)
    assert max(member.runs for member in front) > 1
    for member in front:
        own = numbers[member.architecture.hash]
        errors = [raw[number].values["error"] for number in own]
        assert (member.number, member.runs) == (own[0], len(own))
        assert member.values["error"] == pytest.approx(np.mean(errors))
        assert member.values["cost"] == raw[own[0]].values["cost"]
        if len(own) > 1:
            spread = np.std(errors, ddof=1) / math.sqrt(len(own))
            assert member.standard_error == {"error": pytest.approx(spread)}


# -- the public call, and what cannot work ------------------------------------------------------------------


def test_the_public_call() -> None:
    def evaluate(request: TrialRequest) -> float:
        return noisy_error(request.architecture, request.seed)

    space = {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}
    result = nas.search(space, evaluate, {"error": "min"}, trials=18, repeats=3)
    assert len(result.trials) == 18
    assert (result.best.runs, set(result.best.standard_error)) == (3, {"error"})


@pytest.mark.parametrize(
    ("repeats", "rungs", "message"),
    [
        (0, 1, "repeats must be a whole number of at least 1, not 0"),
        (-2, 1, "not -2"),
        (True, 1, "not True"),
        (1.5, 1, "not 1.5"),
        (2, 2, "2 repeats and 2 rungs do not go together"),
    ],
)
def test_wrong_settings(repeats: Any, rungs: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_repeats(repeats, rungs)
    with pytest.raises(UsageError, match=message):
        make_loop(repeats=repeats, rungs=rungs, fidelity=3)
    with pytest.raises(UsageError, match=message):
        nas.search({"a": [0, 1]}, lambda a: 0.0, {"e": "min"}, repeats=repeats, rungs=rungs, fidelity=3)


def test_the_settings_of_a_study() -> None:
    spec = StudySpec("one", "flat", "{}", (), BOTH, repeats=3)
    assert StudySpec.from_json(spec.to_json()) == spec
    assert spec.differences(StudySpec("one", "flat", "{}", (), BOTH)) == ["repeats: 3 → 1"]
    with pytest.raises(UsageError, match="at least 1"):
        StudySpec("one", "flat", "{}", (), (Objective("error", "min"),), repeats=0)
