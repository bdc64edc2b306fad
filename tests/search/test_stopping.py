"""Stopping that knows the cost: synthetic curves whose future is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from search_toys import flat_space, make_loop, run

from nas.errors import UsageError
from nas.search.journal import MemoryJournal
from nas.search.objective import Constraint, Objective
from nas.search.stopping import ENOUGH, chance_of_front
from nas.search.trial import TrialRequest, TrialState

GOALS = (Objective("accuracy", "max"), Objective("latency", "min"))
STEPS = 9


def curve(final: float, steps: int = STEPS, noise: float = 0.0, seed: int = 0) -> dict[int, dict[str, float]]:
    """An accuracy that comes near its final value as most do."""
    rng = np.random.default_rng(seed)
    return {
        step: {"accuracy": final * (1.0 - 0.5 ** (step + 1)) + noise * rng.standard_normal()}
        for step in range(1, steps + 1)
    }


FINISHED = [curve(final, noise=0.01, seed=i) for i, final in enumerate(np.linspace(0.6, 0.95, 8))]
FRONT = [{"accuracy": 0.95, "latency": 2.0}, {"accuracy": 0.8, "latency": 1.0}]


def chance(final: float, latency: float, steps: int = 3, **settings: Any) -> float:
    given = {"finished": FINISHED, "front": FRONT, "objectives": GOALS, **settings}
    return chance_of_front(curve(final, steps), {"latency": latency}, **given)


def test_one_that_is_beaten_by_far_has_no_chance() -> None:
    assert chance(0.5, 2.5) < 0.01


def test_a_promising_one_is_kept() -> None:
    assert chance(0.97, 2.5) > 0.5
    assert chance(0.9, 1.5) > 0.9


def test_a_poor_but_cheap_one_extends_the_front() -> None:
    assert chance(0.1, 0.5) == 1.0


def test_the_same_curve_is_judged_by_its_exact_cost() -> None:
    chances = [chance(0.7, latency) for latency in (0.9, 1.1, 2.1)]
    assert chances[0] == 1.0
    assert chances[1] < 0.05
    assert chances[2] < 0.05
    assert 0.05 < chance(0.8, 1.1) < 0.95, "one that ends as the front does is a toss-up"


def test_the_chance_falls_with_what_is_shown() -> None:
    chances = [chance(final, 2.5) for final in (0.99, 0.95, 0.9, 0.8)]
    assert chances == sorted(chances, reverse=True)


def test_later_steps_are_surer() -> None:
    assert chance(0.85, 2.5, steps=2) > chance(0.85, 2.5, steps=8)
    assert chance(0.99, 2.5, steps=2) < chance(0.99, 2.5, steps=8)


@pytest.mark.parametrize("count", range(ENOUGH))
def test_a_few_finished_trials_say_nothing(count: int) -> None:
    assert chance(0.1, 9.0, finished=FINISHED[:count]) == 1.0


def test_finished_trials_that_skipped_the_step_say_nothing() -> None:
    assert chance(0.1, 9.0, finished=[{STEPS: c[STEPS]} for c in FINISHED]) == 1.0


def test_without_a_front_everything_joins_it() -> None:
    assert chance(0.1, 9.0, front=[]) == 1.0


def test_a_constraint_that_will_not_be_kept_leaves_no_chance() -> None:
    limit = [Constraint("accuracy", ">=", 0.9)]
    assert chance(0.3, 0.5, constraints=limit) < 0.01
    assert chance(0.97, 0.5, constraints=limit) > 0.8


def test_a_constraint_on_another_metric_is_predicted_too() -> None:
    def both(final: float, loss: float, steps: int = STEPS) -> dict[int, dict[str, float]]:
        return {s: {**m, "loss": loss + 1.0 / s} for s, m in curve(final, steps).items()}

    finished = [both(0.6 + 0.04 * i, 0.1 * i) for i in range(8)]
    limit = [Constraint("loss", "<=", 0.5)]
    args: Any = (finished, FRONT, GOALS, limit)
    assert chance_of_front(both(0.97, 0.2, 3), {"latency": 2.0}, *args) > 0.5
    assert chance_of_front(both(0.97, 2.0, 3), {"latency": 2.0}, *args) < 0.01


def test_two_unknown_metrics() -> None:
    goals = (Objective("accuracy", "max"), Objective("loss", "min"))
    finished = [{s: {"accuracy": a / s, "loss": 1 - a / s} for s in (1, 2)} for a in np.linspace(0.5, 0.9, 7)]
    front = [{"accuracy": 0.45, "loss": 0.55}]
    good, bad = ({1: {"accuracy": a, "loss": 1 - a}} for a in (0.95, 0.3))
    assert chance_of_front(good, {}, finished, front, goals) > 0.9
    assert chance_of_front(bad, {}, finished, front, goals) < 0.1


def test_only_known_objectives_are_certain() -> None:
    goals = (Objective("latency", "min"),)
    for latency, expected in ((2.0, 0.0), (0.5, 1.0), (1.0, 1.0)):
        found = chance_of_front({1: {}}, {"latency": latency}, FINISHED, [{"latency": 1.0}], goals)
        assert found == expected


def test_a_metric_that_is_missing_is_not_judged() -> None:
    assert chance_of_front({3: {"other": 1.0}}, {"latency": 9.0}, FINISHED, FRONT, GOALS) == 1.0


def test_the_same_input_gives_the_same_chance() -> None:
    assert chance(0.9, 2.2) == chance(0.9, 2.2)


def test_slow_starters_are_learnt() -> None:
    """Those that begin low rise most: a low beginning alone is no reason to stop."""
    finished = [{1: {"accuracy": 0.1 * i}, 9: {"accuracy": 0.9}} for i in range(1, 9)]
    low = chance_of_front({1: {"accuracy": 0.15}}, {"latency": 2.5}, finished, FRONT[1:], GOALS)
    assert low > 0.5


def test_most_judgements_are_right() -> None:
    """Of random trials those stopped at 5 % would hardly ever have joined the front."""
    rng = np.random.default_rng(1)
    finals = rng.uniform(0.5, 1.0, size=400)
    wrong = stopped = 0
    for index, final in enumerate(finals):
        whole = curve(float(final), noise=0.02, seed=100 + index)
        begun = {step: whole[step] for step in (1, 2, 3)}
        found = chance_of_front(begun, {"latency": 2.5}, FINISHED, FRONT, GOALS)
        if found < 0.05:
            stopped += 1
            wrong += whole[STEPS]["accuracy"] > 0.95
    assert stopped > 150
    assert wrong <= 0.05 * stopped


# -- in a study -------------------------------------------------------------------------------------------


def quality(request: TrialRequest) -> float:
    """Between 0 and 1; it has nothing to do with the cost."""
    return int(request.architecture.hash[:6], 16) / 16**6


class Learning:
    """Trains in nine steps whose curves all look alike; may be interrupted."""

    def __init__(self, kept: dict[int, int] | None = None, stop_at: int | None = None) -> None:
        self.kept = {} if kept is None else kept
        self.steps = 0
        self._stop_at = stop_at

    def __call__(self, request: TrialRequest) -> Iterator[Mapping[str, float]]:
        for step in range(max(1, self.kept.get(request.number, 1)), request.fidelity + 1):
            if self.steps == self._stop_at:
                raise KeyboardInterrupt
            self.steps += 1
            self.kept[request.number] = step
            yield {"error": 1.0 - quality(request) * (1.0 - 0.5 ** (step + 1)), "step": step}


def stopping_loop(stop_below: float = 0.05, **settings: Any) -> Any:
    return make_loop("random", flat_space(5, 5, 5), trials=30, fidelity=9, stop_below=stop_below, **settings)


def test_a_study_stops_what_is_hopeless_and_keeps_its_front() -> None:
    whole, some = Learning(), Learning()
    straight, stopping = run(stopping_loop(0.0), whole), run(stopping_loop(), some)
    assert whole.steps == 30 * 9
    assert some.steps < 0.7 * whole.steps
    states = [result.state for result in stopping.results]
    assert states[:ENOUGH] == [TrialState.FINISHED] * ENOUGH
    assert 5 < states.count(TrialState.STOPPED) < 24
    assert stopping.front().members == straight.front().members


def test_it_is_off_by_default() -> None:
    loop = run(make_loop("random", flat_space(5, 5, 5), trials=30, fidelity=9), Learning())
    assert all(result.state is TrialState.FINISHED for result in loop.results)


def test_a_stopped_trial_tells_how_far_it_came() -> None:
    stopped = [r for r in run(stopping_loop(), Learning()).results if r.state is TrialState.STOPPED]
    assert stopped
    assert all(1 <= result.fidelity < 9 for result in stopped)


@pytest.mark.parametrize("rungs", [1, 2])
@pytest.mark.parametrize("every", [5, 40])
def test_killed_and_resumed_it_stops_the_same(every: int, rungs: int) -> None:
    straight = run(stopping_loop(rungs=rungs), Learning())
    journal, kept = MemoryJournal(), dict[int, int]()
    for _ in range(100):
        loop = stopping_loop(rungs=rungs, store=journal)
        loop.resume()
        try:
            run(loop, Learning(kept, stop_at=every))
        except KeyboardInterrupt:
            continue
        break
    assert loop.results == straight.results


def test_what_is_not_worth_it_does_not_go_on_from_its_rung() -> None:
    """With rungs alone a third goes on; with a threshold only those that may still join the front."""
    alone, both = Learning(), Learning()
    run(stopping_loop(0.0, rungs=2), alone)
    run(stopping_loop(0.5, rungs=2), both)
    assert both.steps < alone.steps


@pytest.mark.parametrize("threshold", [-0.1, 1.0, float("nan"), "much", True])
def test_a_threshold_that_is_no_probability_is_refused(threshold: Any) -> None:
    with pytest.raises(UsageError, match="stop_below must be a probability"):
        stopping_loop(threshold)
