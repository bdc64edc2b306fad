"""Hypervolume over trials, against answers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nas.errors import UsageError
from nas.search.comparison import Comparison, Group, Run, Spread, compare_runs
from nas.search.objective import Objective
from nas.search.verdict import judge, percent

GOALS = (Objective("error", "min"), Objective("latency", "min"))


def run(name: str, spent: list[int], values: list[list[float]], trials: int, seed: int = 0) -> Run:
    array = np.array(values, dtype=float).reshape(len(values), len(values[0]) if values else 1)
    return Run(name, seed, trials, np.array(spent, dtype=np.int64), array)


FIRST = run("first", [1, 2, 4], [[4, 4], [2, 2], [0, 3]], 4)
SECOND = run("second", [2, 3], [[3, 1], [1, 4]], 3)


@pytest.fixture
def known() -> Comparison:
    return compare_runs([("mine", [FIRST]), ("random", [SECOND])], GOALS)


def test_shares_of_the_front_of_both(known: Comparison) -> None:
    assert known.reference == (4, 4)
    assert known.ideal == (0, 1)
    assert known.best == pytest.approx(7 / 12)
    assert known.groups[0].lines[0] == pytest.approx([0, 0, 4 / 7, 4 / 7, 6 / 7])
    assert known.groups[1].lines[0] == pytest.approx([0, 0, 3 / 7, 3 / 7])
    assert (known.trials, known.common) == (4, 3)


def test_a_gap_is_what_is_missing_and_none_beyond_the_end(known: Comparison) -> None:
    mine, other = known.groups
    gap = mine.gap(4)
    assert gap is not None
    assert gap.median == pytest.approx(1 / 7)
    assert mine.gap(0) == Spread(1, 1, 1)
    assert mine.gap(5) is None
    assert other.gap(4) is None
    assert mine.gap(-1) is None


def test_a_failed_trial_counts_and_finds_nothing(known: Comparison) -> None:
    line = known.groups[0].lines[0]
    assert line[3] == line[2]


def test_directions_are_those_of_the_user() -> None:
    goals = (Objective("accuracy", "max"), Objective("latency", "min"))
    best = run("one", [1, 2, 3], [[-0.5, 3.0], [-0.9, 3.0], [-0.7, 1.0]], 3)
    compared = compare_runs([("one", [best])], goals)
    assert compared.reference == (0.5, 3.0)
    assert compared.ideal == (0.9, 1.0)


def test_the_unit_of_an_objective_does_not_matter(known: Comparison) -> None:
    scaled = [
        run(r.study, r.spent.tolist(), (r.values * [1000, 0.01]).tolist(), r.trials) for r in (FIRST, SECOND)
    ]
    other = compare_runs([("mine", scaled[:1]), ("random", scaled[1:])], GOALS)
    for one, two in zip(known.groups, other.groups, strict=True):
        assert one.lines[0] == pytest.approx(two.lines[0])


def test_an_objective_that_never_varies_does_not_matter() -> None:
    with_third = [
        run(r.study, r.spent.tolist(), np.c_[r.values, np.full(len(r.values), 7.0)].tolist(), r.trials)
        for r in (FIRST, SECOND)
    ]
    compared = compare_runs([("mine", with_third[:1]), ("random", with_third[1:])], (*GOALS, GOALS[0]))
    assert compared.groups[0].lines[0] == pytest.approx([0, 0, 4 / 7, 4 / 7, 6 / 7])


def test_one_objective() -> None:
    one = run("one", [1, 2, 3], [[5], [3], [1]], 3)
    assert compare_runs([("one", [one])], GOALS[:1]).groups[0].lines[0] == pytest.approx([0, 0, 0.5, 1])


def test_nothing_finished_is_an_error() -> None:
    with pytest.raises(UsageError, match="no trial of one, two finished"):
        compare_runs([("a", [run("one", [], [], 0)]), ("b", [run("two", [], [], 2)])], GOALS[:1])


def test_two_ends_of_a_front_alone_are_an_error() -> None:
    with pytest.raises(UsageError, match="too few different trials"):
        compare_runs([("a", [run("one", [1, 2], [[0, 1], [1, 0]], 2)])], GOALS)


def test_a_study_without_a_trial_is_a_line_of_nothing() -> None:
    empty = Run("empty", 0, 0, np.zeros(0, dtype=np.int64), np.zeros((0, 2)))
    compared = compare_runs([("mine", [FIRST]), ("empty", [empty])], GOALS)
    assert compared.group("empty").lines[0].tolist() == [0.0]
    assert judge(compared, "mine", "empty") is None


def test_seeds_of_a_group_are_median_and_range() -> None:
    lines = tuple(np.array(line) for line in ([0, 0.5, 0.92], [0, 0.1, 0.99, 1.0], [0, 0.9, 0.95]))
    group = Group("seeds", (FIRST, SECOND, run("third", [1], [[0, 0]], 2)), lines)
    assert group.trials == 2
    assert group.share(1) == Spread(0.5, 0.1, 0.9)
    gap = group.gap(1)
    assert gap is not None
    assert (gap.median, gap.low, gap.high) == pytest.approx((0.5, 0.1, 0.9))
    assert group.reach(0.90).trials == Spread(2, 1, 2)
    reached = group.reach(0.95)
    assert (reached.reached, reached.of, reached.trials) == (2, 3, None)


def test_trials_to_reach_a_share(known: Comparison) -> None:
    mine = known.groups[0]
    assert mine.reach(6 / 7).trials == Spread(4, 4, 4)
    assert mine.reach(0.5).trials == Spread(2, 2, 2)
    assert mine.reach(0.9).trials is None


def test_the_verdict_is_at_the_trials_that_both_have_spent(known: Comparison) -> None:
    verdict = judge(known, "mine", "random")
    assert verdict is not None
    assert verdict.trials == 3
    assert verdict.beats
    assert (
        verdict.text == "mine beats random at 3 trials: gap 42.9 % against 57.1 % (one seed: may be chance)"
    )
    other = judge(known, "random", "mine")
    assert other is not None
    assert not other.beats
    assert other.text.startswith("random does not beat mine at 3 trials: gap 57.1 % against 42.9 %")


def test_an_equal_search_does_not_beat_its_baseline() -> None:
    verdict = judge(compare_runs([("a", [FIRST]), ("b", [FIRST])], GOALS), "a", "b")
    assert verdict is not None
    assert not verdict.beats


def test_the_verdict_tells_how_sure_it_is() -> None:
    compared = compare_runs([("a", [FIRST, FIRST]), ("b", [SECOND, FIRST])], GOALS)
    verdict = judge(compared, "a", "b")
    assert verdict is not None
    assert verdict.text.endswith("(medians of 2 seeds; their spreads overlap)")
    apart = judge(compare_runs([("a", [FIRST] * 3), ("b", [SECOND] * 2)], GOALS), "a", "b")
    assert apart is not None
    assert apart.text.endswith("(medians of 3 and 2 seeds)")


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100.0 %"), (0.01, "1.0 %"), (0.0012, "0.12 %"), (0.0, "0 %"), (-1e-16, "0 %")]
)
def test_small_shares_keep_their_digits(share: float, text: str) -> None:
    assert percent(share) == text
