"""Turns count architectures; a better result of one is news, but no turn."""

from __future__ import annotations

from search_toys import result

from nas.search.searchers.turns import Turns
from nas.search.trial import TrialResult, TrialState


def told(number: int, state: TrialState, fidelity: int = 1) -> TrialResult:
    found = result({"error": 1.0}, number, state)
    return TrialResult(found.architecture, state, found.values, fidelity, number)


def test_each_result_is_a_turn() -> None:
    turns = Turns()
    assert [turns.next(), turns.next()] == [(0, 0), (0, 1)]
    first = told(0, TrialState.FINISHED)
    assert turns.new([first]) == [first]
    assert turns.next() == (1, 0)


def test_a_result_told_again_is_no_news() -> None:
    turns = Turns()
    for state in (TrialState.STOPPED, TrialState.FINISHED, TrialState.FAILED):
        again = told(ord(state[1]), state)
        assert turns.new([again]) == [again]
        assert turns.new([again]) == []


def test_a_better_fidelity_is_news_but_no_turn() -> None:
    turns = Turns()
    paused, later, end = (told(0, TrialState.STOPPED, step) for step in (3, 9, 9))
    assert turns.new([paused]) == [paused]
    assert turns.next() == (1, 0)
    assert turns.new([later]) == [later]
    assert turns.new([end]) == []
    finished = told(0, TrialState.FINISHED, 27)
    assert turns.new([finished]) == [finished]
    assert turns.new([later]) == []
    assert turns.told == 1
    assert turns.next() == (1, 1), "an update does not begin another turn"


def test_a_failure_does_not_take_back_what_was_reached() -> None:
    turns = Turns()
    turns.new([told(0, TrialState.STOPPED, 3)])
    assert turns.new([told(0, TrialState.FAILED, 27)]) == []


def test_suggestions_of_a_turn_stay_known_over_an_update() -> None:
    turns = Turns()
    turns.new([told(0, TrialState.STOPPED, 3)])
    turns.suggest("pending")
    turns.new([told(0, TrialState.FINISHED, 27)])
    assert not turns.is_new("pending")
