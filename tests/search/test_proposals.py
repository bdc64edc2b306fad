"""No architecture twice, none that breaks a constraint, and an end where nothing new is left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from search_toys import SEARCHERS, BranchSpace, Toy, error_of, flat_space, hashes, make_loop, price, run

from nas.errors import UsageError
from nas.search import proposals
from nas.search.feasibility import NothingAllowedError, find_allowed, limit_text, with_unit
from nas.search.journal import MemoryJournal
from nas.search.novelty import Novelty
from nas.search.objective import Constraint
from nas.search.prices import Pricing
from nas.search.proposals import FRUITLESS_ASKS
from nas.search.trial import TrialResult, TrialState
from nas.spaces.architecture import Architecture

QUICK = [name for name in SEARCHERS if name != "optuna-gp"]


class Stubborn:
    """Proposes the same few architectures for ever, and remembers what it is told."""

    def __init__(self, *architectures: Architecture) -> None:
        self._architectures = architectures
        self.asked = 0
        self.told: list[TrialResult] = []

    def ask(self, n: int) -> list[Architecture]:
        picks = [self._architectures[(self.asked + i) % len(self._architectures)] for i in range(n)]
        self.asked += n
        return picks

    def tell(self, results: Sequence[TrialResult]) -> None:
        self.told.extend(results)


class Silent:
    """Has nothing to propose."""

    def ask(self, n: int) -> list[Architecture]:
        return []

    def tell(self, results: Sequence[TrialResult]) -> None:
        pass


@pytest.mark.parametrize("searcher", QUICK)
def test_a_space_is_exhausted_without_a_second_evaluation(searcher: str) -> None:
    toy = Toy()
    loop = run(make_loop(searcher, flat_space(3, 3, 2), trials=500), toy)
    assert len(toy.hashes) == len(set(toy.hashes)) == 18
    assert loop.message == "space exhausted: 18 of 18"
    assert loop.exhausted
    assert len(loop.results) == 18


@pytest.mark.parametrize("searcher", QUICK)
def test_inactive_decisions_and_invalid_combinations(searcher: str) -> None:
    space, toy = BranchSpace(4), Toy()
    loop = run(make_loop(searcher, space, trials=500), toy)
    assert len(toy.hashes) == len(set(toy.hashes)) == space.size() == 16
    assert loop.message == "space exhausted: 16 of 16"


@pytest.mark.parametrize("searcher", QUICK)
def test_two_spellings_of_one_network_are_one_trial(searcher: str) -> None:
    space, toy = BranchSpace(4, twins=True), Toy()
    networks = {space.decode(vector).hash for vector in space.enumerate()}
    loop = run(make_loop(searcher, space, trials=500), toy)
    assert len(networks) < space.size()
    assert sorted(toy.hashes) == sorted(networks)
    assert loop.message == f"space exhausted: {len(networks)} of {len(networks)}"


def test_the_gaussian_process_repeats_nothing_either(
    one_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proposals, "FRUITLESS_ASKS", 2)  # it takes its time
    toy = Toy()
    loop = run(make_loop("optuna-gp", flat_space(11), trials=30), toy)
    assert len(toy.hashes) == len(set(toy.hashes)) == 11
    assert loop.message == "space exhausted: 11 of 11"


@pytest.mark.parametrize("searcher", QUICK)
def test_a_space_of_one_network(searcher: str) -> None:
    loop = run(make_loop(searcher, flat_space(1), trials=5))
    assert len(loop.results) == 1
    assert loop.message == "space exhausted: 1 of 1"


@pytest.mark.parametrize("searcher", QUICK)
def test_only_what_keeps_the_constraints_is_evaluated(searcher: str) -> None:
    toy = Toy()
    loop = run(make_loop(searcher, flat_space(4, 4), constraints=["cost<=4"], trials=100), toy)
    assert len(toy.hashes) == 10
    assert all(result.values["cost"] <= 4 for result in loop.results)
    assert loop.message == "space exhausted: 16 of 16 (6 break a constraint)"


@pytest.mark.parametrize("searcher", QUICK)
def test_a_rare_corner_of_a_large_space_is_found(searcher: str) -> None:
    """One network in a million is as cheap as this, and a few thousand nearly."""
    space = flat_space(*[10] * 8)
    loop = run(make_loop(searcher, space, constraints=["cost<=9"], trials=12))
    assert len(loop.results) == 12
    assert all(result.values["cost"] <= 9 for result in loop.results)


def test_a_repeated_suggestion_is_answered_with_its_result() -> None:
    space = flat_space(4, 4, 4)
    first = space.decode(np.array([1, 2, 3]))
    stubborn = Stubborn(first)
    loop = make_loop(stubborn, space, trials=3)
    run(loop)
    assert len(set(hashes(loop))) == 3
    answers = [told for told in stubborn.told if told.architecture == first]
    assert len(answers) == 1 + 2 * FRUITLESS_ASKS
    assert {(a.number, a.state, a.values["error"]) for a in answers} == {
        (0, TrialState.FINISHED, error_of(first) + 1.0)
    }


def test_a_suggestion_that_is_running_is_not_answered_yet() -> None:
    space = flat_space(4, 4)
    stubborn = Stubborn(space.decode(np.array([1, 1])))
    loop = make_loop(stubborn, space, trials=3)
    requests = [loop.next(), loop.next()]
    assert requests[0] is not None
    assert requests[1] is not None
    assert requests[0].architecture != requests[1].architecture
    assert stubborn.told == []


def test_a_suggestion_that_breaks_a_constraint_is_answered_and_counted_once() -> None:
    space = flat_space(4, 4)
    dear, cheap = space.decode(np.array([3, 3])), space.decode(np.array([0, 0]))
    stubborn = Stubborn(dear, dear, cheap)
    loop = make_loop(stubborn, space, constraints=["cost<=3"], trials=1)
    run(loop)
    infeasible = [told for told in stubborn.told if told.state is TrialState.INFEASIBLE]
    assert [told.architecture for told in infeasible] == [dear, dear]
    assert infeasible[0].values == {"cost": 7.0}
    assert loop.dropped == 1
    assert hashes(loop) == [cheap.hash]


def test_a_searcher_without_ideas_does_not_end_the_study() -> None:
    loop = run(make_loop(Silent(), flat_space(3, 3), trials=20))
    assert len(loop.results) == 9
    assert loop.message == "space exhausted: 9 of 9"


def test_novel_ones_are_bred_from_the_front() -> None:
    space = flat_space(*[10] * 6)
    pricing = Pricing({}, ())
    parent = space.decode(np.array([5] * 6))
    novelty = Novelty(space, pricing, 0)
    distances = []
    for trials in range(40):
        found = novelty.find(trials, [parent], lambda a: a != parent)
        assert found is not None
        distances.append(int((space.encode(found) != space.encode(parent)).sum()))
    assert sum(distance == 1 for distance in distances) > 30


def test_novelty_gives_up_in_a_space_too_large_to_list() -> None:
    space = flat_space(*[10] * 8)
    novelty = Novelty(space, Pricing({}, ()), 0)
    assert not novelty.is_listable
    assert novelty.find(0, [], lambda a: False) is None
    loop = make_loop(Silent(), space, constraints=["cost<=1"], trials=20)
    run(loop)
    assert len(loop.results) == 1
    assert loop.message == "nothing new was found in the space after 1 trials: the study ends here"


def test_what_the_look_at_the_constraints_found_is_not_forgotten() -> None:
    """Few networks keep the limit: those that showed that it can be kept are taken where nothing else is."""
    space = flat_space(*[10] * 8)
    loop = run(make_loop(Silent(), space, constraints=["cost<=2"], trials=20))
    assert len(loop.results) == 9


# -- constraints that cannot be kept ---------------------------------------------------------------------


def looked(space: Any, *texts: str, known: Any = None) -> list[Architecture]:
    limits = [Constraint.parse(text) for text in texts]
    return find_allowed(space, Pricing(known or {"cost": price}, limits), 0)


def message_of(space: Any, *texts: str, known: Any = None) -> str:
    with pytest.raises(UsageError) as caught:
        looked(space, *texts, known=known)
    return str(caught.value)


def latency(architectures: Sequence[Architecture]) -> list[float]:
    return [4.1 + value for value in price(architectures)]


def test_an_impossible_constraint_is_named_with_the_smallest_value_seen() -> None:
    space = flat_space(*[10] * 6)
    message = message_of(space, "latency<=3ms", known={"latency": latency})
    assert re.fullmatch(r"0 of 1,000 samples meet latency <= 3 ms; smallest seen \d+\.\d+ ms", message)
    # The search for the nearest goes downhill: the smallest there is, is 5.1.
    assert float(message.split()[-2]) < 10


def test_a_small_space_is_looked_at_whole() -> None:
    assert (
        message_of(flat_space(3, 3), "cost<=0.5") == "0 of 9 architectures meet cost <= 0.5; smallest seen 1"
    )
    assert message_of(flat_space(3, 3), "cost>=6") == "0 of 9 architectures meet cost >= 6; largest seen 5"


def test_two_constraints_that_contradict_each_other() -> None:
    message = message_of(flat_space(3, 3), "cost<=2", "cost>=4")
    assert message.startswith("0 of 9 architectures meet cost <= 2 and cost >= 4 at once")
    assert "3 meet cost <= 2" in message
    assert "3 meet cost >= 4" in message


def test_both_impossible_constraints_are_named() -> None:
    message = message_of(flat_space(3, 3), "cost<=0", "cost>=9")
    assert "cost <= 0; smallest seen 1" in message
    assert "cost >= 9; largest seen 5" in message


def test_costs_that_are_no_numbers_are_said_to_be_so() -> None:
    message = message_of(flat_space(3), "cost<=1", known={"cost": lambda many: [float("nan")] * len(many)})
    assert "no value seen is finite" in message


def test_nothing_is_evaluated_under_an_impossible_constraint() -> None:
    toy = Toy()
    loop = make_loop(constraints=["cost<=0.5"], trials=5)
    with pytest.raises(UsageError, match="0 of 64 architectures"):
        run(loop, toy)
    assert toy.hashes == []
    assert loop.results == ()


def test_constraints_on_metrics_are_not_looked_at() -> None:
    assert looked(flat_space(3), "accuracy>=0.9") == []


def test_what_is_found_keeps_the_constraints() -> None:
    found = looked(flat_space(*[10] * 6), "cost<=12")
    assert found
    assert all(value <= 12 for value in price(found))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("latency", 3.0, "3 ms"),
        ("latency@a100", 0.1234, "0.123 ms"),
        ("energy", 1234.5, "1,234 mJ"),
        ("peak_memory", 64e6, "64,000,000 bytes"),
        ("params", 5e6, "5,000,000"),
        ("accuracy", 0.9, "0.9"),
    ],
)
def test_values_are_written_with_their_unit(name: str, value: float, text: str) -> None:
    assert with_unit(name, value) == text
    assert limit_text(Constraint(name, "<=", value)) == f"{name} <= {text}"


# -- going on all the same ---------------------------------------------------------------------------------


def test_a_forced_study_looks_for_itself_and_says_that_it_found_nothing() -> None:
    loop = make_loop(constraints=["cost<=0.5"], trials=5, force=True)
    assert run(loop).results == ()
    assert loop.message == "space exhausted: 64 of 64 (64 break a constraint)"


def test_a_forced_study_of_a_large_space_ends_with_what_was_seen() -> None:
    toy = Toy()
    loop = make_loop(Silent(), flat_space(*[10] * 8), constraints=["cost<=0.5"], trials=5, force=True)
    run(loop, toy)
    assert toy.hashes == []
    assert loop.message is not None
    assert re.fullmatch(
        r"0 of 1,000 samples meet cost <= 0\.5; smallest seen 1; the search found none either and ends here",
        loop.message,
    )


@pytest.mark.parametrize("name", QUICK)
def test_every_searcher_ends_a_forced_study(name: str) -> None:
    loop = run(make_loop(name, flat_space(3, 3, 3), constraints=["cost<=0"], trials=5, force=True))
    assert loop.message == "space exhausted: 27 of 27 (27 break a constraint)"


def test_a_forced_study_takes_what_the_look_beforehand_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when it is resumed, with force or without, its trials show that the limits can be kept."""

    def sees_nothing(*_: object) -> list[Architecture]:
        raise NothingAllowedError("0 of 1,000 samples meet cost <= 2")

    monkeypatch.setattr(proposals, "find_allowed", sees_nothing)
    journal = MemoryJournal()
    loop = run(make_loop(constraints=["cost<=2"], trials=2, force=True, store=journal))
    assert len(loop.results) == 2
    again = make_loop(constraints=["cost<=2"], trials=3, store=journal)
    again.resume()
    run(again)
    assert len(again.results) == 3
    with pytest.raises(NothingAllowedError, match="0 of 1,000"):
        run(make_loop(constraints=["cost<=2"], trials=2))
