"""Proxies in the model-based search: asked about few, followed as far as they were right, never needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from search_toys import BOTH, COST, ERROR, error_of, flat_space, price

from nas.search.searcher import SearcherSetup
from nas.search.searchers.evaluated import Lessons
from nas.search.searchers.features import Features
from nas.search.searchers.pareto import SCORED, Pareto
from nas.search.searchers.proxies import Proxies
from nas.search.trial import TrialResult, TrialState
from nas.spaces.architecture import Architecture

SPACE = flat_space(4, 4, 4, 4)
EVERY = [SPACE.decode(vector) for vector in SPACE.enumerate()]


def right(architectures: Sequence[Architecture]) -> list[float]:
    return [-error_of(architecture) for architecture in architectures]


def wrong(architectures: Sequence[Architecture]) -> list[float]:
    return [error_of(architecture) for architecture in architectures]


def lessons(count: int) -> Lessons:
    chosen = EVERY[:: len(EVERY) // count][:count]
    return Lessons(chosen, np.array([error_of(a) for a in chosen]), np.ones(len(chosen)))


def features(count: int) -> Features:
    return Features(np.zeros((count, 3)), np.zeros((count, 1)), np.ones((count, 2)))


def result_of(architecture: Architecture, number: int) -> TrialResult:
    values = {"error": error_of(architecture), "cost": price([architecture])[0]}
    return TrialResult(architecture, TrialState.FINISHED, values, 1, number)


def test_a_right_proxy_earns_trust_and_a_wrong_one_none() -> None:
    earned = Proxies({"right": right, "wrong": wrong}).earned(lessons(20))
    assert earned["right"].weight > 0.9
    assert not earned["right"].is_harmful
    assert earned["wrong"].weight == 0
    assert earned["wrong"].is_harmful


def test_only_the_trusted_ones_are_followed() -> None:
    trusted = Proxies({"right": right, "wrong": wrong}).trusted(lessons(20))
    assert trusted is not None
    assert list(trusted.weights) == ["right"]
    assert Proxies({"wrong": wrong}).trusted(lessons(20)) is None


def test_nothing_is_followed_before_eight_results() -> None:
    assert Proxies({"right": right}).trusted(lessons(7)) is None
    assert Proxies({"right": right}).trusted(lessons(8)) is not None


def test_no_proxies_are_nothing() -> None:
    assert not Proxies({})
    assert Proxies({"right": right})
    assert Proxies({}).trusted(lessons(20)) is None


def test_a_column_is_the_rank_times_the_weight() -> None:
    trusted = Proxies({"right": right}).trusted(lessons(20))
    assert trusted is not None
    by_error = sorted(EVERY, key=error_of)
    extended = trusted.extend(features(2), [by_error[0], by_error[-1]])
    weight = trusted.weights["right"]
    assert extended.amounts.shape == (2, 3)
    best, worst = extended.amounts[:, 2]
    assert best == pytest.approx(weight, abs=weight / 10)
    assert worst == pytest.approx(-weight, abs=weight / 10)
    np.testing.assert_array_equal(extended.amounts[:, :2], 1.0)


def test_what_lies_beyond_all_that_was_met_stays_within_the_weight() -> None:
    chosen = lessons(20)
    trusted = Proxies({"huge": lambda architectures: [float(i) for i in range(len(architectures))]})
    found = trusted.trusted(Lessons(chosen.architectures, -np.arange(20.0), chosen.fidelities))
    assert found is not None
    column = found.extend(features(60), EVERY[:60]).amounts[:, 2]
    assert np.abs(column).max() <= found.weights["huge"] + 1e-12


class Counting:
    """A proxy that counts how many different architectures it is asked about."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        self.asked |= {architecture.hash for architecture in architectures}
        return right(architectures)


def drive(searcher: Pareto, trials: int) -> list[TrialResult]:
    results = []
    for number in range(trials):
        [architecture] = searcher.ask(1)
        results.append(result_of(architecture, number))
        searcher.tell(results[-1:])
    return results


def setup(**proxies: object) -> SearcherSetup:
    return SearcherSetup(SPACE, BOTH, {"cost": price}, (), 0, 30, proxies=proxies)  # type: ignore[arg-type]


def test_a_search_asks_about_the_evaluated_and_a_short_list() -> None:
    proxy = Counting()
    searcher = Pareto(setup(proxy=proxy))
    drive(searcher, 8)
    assert len(proxy.asked) <= 8
    searcher.ask(1)
    assert len(proxy.asked) <= 8 + SCORED


def test_a_harmful_proxy_changes_nothing() -> None:
    plain = [result.architecture.hash for result in drive(Pareto(setup()), 20)]
    misled = [result.architecture.hash for result in drive(Pareto(setup(wrong=wrong)), 20)]
    assert misled == plain


def test_a_right_proxy_is_felt() -> None:
    plain = [result.architecture.hash for result in drive(Pareto(setup()), 20)]
    led = [result.architecture.hash for result in drive(Pareto(setup(right=right)), 20)]
    assert led[:8] == plain[:8]
    assert led != plain


def test_a_large_batch_outlasts_the_short_list() -> None:
    searcher = Pareto(setup(right=right))
    drive(searcher, 10)
    found = [architecture.hash for architecture in searcher.ask(SCORED + 20)]
    assert len(set(found)) == len(found) == SCORED + 20


def test_a_resumed_search_follows_as_before() -> None:
    first = Pareto(setup(right=right))
    results = drive(first, 14)
    second = Pareto(setup(right=right))
    second.tell(results)
    assert [a.hash for a in first.ask(3)] == [a.hash for a in second.ask(3)]


def test_proxies_are_not_asked_where_nothing_must_be_learnt() -> None:
    proxy = Counting()
    known = {"cost": price, "error": wrong}
    searcher = Pareto(SearcherSetup(SPACE, (ERROR, COST), known, (), 0, 30, proxies={"proxy": proxy}))
    drive(searcher, 12)
    assert not proxy.asked
