"""Quantiles of a latency between the bounds of its interval, and the probability to keep a limit."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from nas.costs import CostColumns
from nas.costs.columns import ENTRIES
from nas.costs.confidence import (
    check_confidence,
    cost_of,
    probability_within,
    quantile,
    quantile_name,
    split_quantile,
)
from nas.costs.cost import Cost
from nas.errors import UnknownNameError, UsageError
from nas.search.feasibility import limit_text
from nas.search.objective import Constraint

COST = Cost("a100", "predicted", "T0", "m", 2.0, 1.0, 8.0, 10, 3.0, 5, 5, 5, 5)


def test_the_quantiles_are_the_bounds_and_the_median_of_the_interval() -> None:
    found = [quantile(2.0, 1.0, 8.0, confidence).item() for confidence in (0.05, 0.5, 0.95)]
    assert found == pytest.approx([1.0, 2.0, 8.0])


def test_each_side_of_the_median_is_a_half_normal_of_the_logarithm() -> None:
    above = 2.0 * np.exp(np.log(4.0) * NormalDist().inv_cdf(0.8) / NormalDist().inv_cdf(0.95))
    below = 2.0 * np.exp(np.log(2.0) * NormalDist().inv_cdf(0.2) / NormalDist().inv_cdf(0.95))
    assert quantile(2.0, 1.0, 8.0, 0.8).item() == pytest.approx(above)
    assert quantile(2.0, 1.0, 8.0, 0.2).item() == pytest.approx(below)


def test_many_networks_are_priced_at_once_and_a_cost_without_interval_stays() -> None:
    found = quantile([2.0, 3.0, 0.0], [1.0, 3.0, 0.0], [8.0, 3.0, 0.0], 0.99)
    assert found.shape == (3,)
    assert found[0] > 8.0
    assert found[1:].tolist() == [3.0, 0.0]
    assert quantile([], [], [], 0.9).shape == (0,)


@pytest.mark.parametrize("confidence", [0.01, 0.05, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99])
def test_the_probability_to_keep_a_quantile_is_its_confidence(confidence: float) -> None:
    limit = quantile(COST.latency_ms, COST.low_ms, COST.high_ms, confidence).item()
    assert probability_within(COST, limit) == pytest.approx(confidence)


def test_drawn_latencies_keep_a_limit_as_often_as_is_said() -> None:
    uniform = np.random.default_rng(0).uniform(0.001, 0.999, 2_000)
    drawn = np.array([quantile(2.0, 1.0, 8.0, u).item() for u in uniform])
    assert (drawn <= 3.0).mean() == pytest.approx(probability_within(COST, 3.0), abs=0.03)
    assert ((drawn >= 1.0) & (drawn <= 8.0)).mean() == pytest.approx(0.9, abs=0.03)


def test_a_measured_cost_without_an_interval_keeps_a_limit_or_does_not() -> None:
    exact = replace(COST, low_ms=2.0, high_ms=2.0)
    assert [probability_within(exact, limit) for limit in (1.9, 2.0, 2.1)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("limit", [-1.0, 0.0])
def test_no_latency_keeps_a_limit_of_nothing(limit: float) -> None:
    assert probability_within(COST, limit) == 0.0
    nothing = replace(COST, latency_ms=0.0, low_ms=0.0, high_ms=0.0)
    assert probability_within(nothing, 0.0) == 1.0
    assert probability_within(nothing, 1.0) == 1.0


@pytest.mark.parametrize(
    ("name", "confidence", "expected"),
    [
        ("latency", 0.9, "latency_p90"),
        ("latency@a100", 0.975, "latency_p97.5@a100"),
        ("latency", 0.5, "latency"),
        ("params", 0.9, "params"),
        ("peak_memory@a100", 0.9, "peak_memory@a100"),
        ("latency_p95", 0.9, "latency_p95"),
    ],
)
def test_names_of_quantiles(name: str, confidence: float, expected: str) -> None:
    assert quantile_name(name, confidence) == expected
    assert quantile_name(expected, confidence) == expected


@pytest.mark.parametrize("confidence", [0.001, 0.05, 0.123, 0.5, 0.9, 0.955, 0.999])
def test_a_name_says_its_confidence(confidence: float) -> None:
    name = quantile_name("latency@my-board.v2", confidence)
    assert split_quantile(name) == ("latency@my-board.v2", confidence)
    assert cost_of(name) == "latency"


@pytest.mark.parametrize(
    "name", ["latency_p0", "latency_p100", "latency_p", "params_p90", "accuracy", "latency_p9x"]
)
def test_other_names_are_no_quantiles(name: str) -> None:
    assert split_quantile(name) == (name, 0.5)


@pytest.mark.parametrize("given", [0, 1, -0.5, 90, 1.0, float("nan"), True, "0.9", None])
def test_a_confidence_that_is_none_is_refused(given: object) -> None:
    with pytest.raises(UsageError, match=r"--confidence is a probability from 0.001 to 0.999"):
        check_confidence(given)


def columns(*latencies: tuple[float, float, float]) -> CostColumns:
    """Networks of (latency, low, high) on the target a, ten times that on b."""
    values = np.zeros((len(latencies), 2, len(ENTRIES)))
    values[:, 0, :3] = latencies
    values[:, 1, :3] = 10 * np.array(latencies)
    return CostColumns(("a", "b"), values)


def test_a_column_of_costs_may_be_a_quantile() -> None:
    found = columns((2.0, 1.0, 8.0), (4.0, 2.0, 5.0))
    assert found.column("latency_p95").tolist() == pytest.approx([8.0, 5.0])
    assert found.column("latency_p5@b").tolist() == pytest.approx([10.0, 20.0])
    assert found.column("latency_p50").tolist() == pytest.approx([2.0, 4.0])


@pytest.mark.parametrize("name", ["latency_p90@c", "params_p90", "latency_p0"])
def test_an_unknown_quantile_is_an_unknown_cost(name: str) -> None:
    with pytest.raises(UnknownNameError):
        columns((2.0, 1.0, 8.0)).column(name)


def test_a_constraint_takes_the_quantile_of_its_direction() -> None:
    upper, lower = Constraint.parse("latency@a<=2ms").at(0.9), Constraint.parse("latency>=1ms").at(0.9)
    assert (upper.name, lower.name) == ("latency_p90@a", "latency_p10")
    assert (upper.confidence, lower.confidence) == (0.9, 0.9)
    assert Constraint.parse("params<=5M").at(0.9) == Constraint.parse("params<=5M")
    assert Constraint.parse("latency<=2").at(0.5) == Constraint.parse("latency<=2")


def test_a_constraint_that_names_its_quantile_keeps_it_and_can_be_typed() -> None:
    constraint = Constraint.parse("latency_p97.5@a100<=2s")
    assert constraint == Constraint("latency_p97.5@a100", "<=", 2000.0)
    assert constraint.at(0.6) == constraint
    assert Constraint.parse(str(constraint)) == constraint


def test_a_constraint_with_a_confidence_is_said_in_words() -> None:
    assert (
        limit_text(Constraint("latency_p90@a100", "<=", 2.0)) == "latency@a100 <= 2 ms with 90 % confidence"
    )
    assert limit_text(Constraint("latency_p10", ">=", 2.0)) == "latency >= 2 ms with 90 % confidence"
    assert limit_text(Constraint("latency", "<=", 2.0)) == "latency <= 2 ms"
