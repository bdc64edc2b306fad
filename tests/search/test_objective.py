"""Objectives and constraints as users write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.errors import UsageError
from nas.search.objective import Constraint, Objective


@pytest.mark.parametrize(
    ("text", "name", "direction"),
    [
        ("accuracy", "accuracy", "max"),
        ("top5_accuracy", "top5_accuracy", "max"),
        ("loss", "loss", "min"),
        ("latency@a100", "latency@a100", "min"),
        ("max:f1", "f1", "max"),
        ("min:accuracy", "accuracy", "min"),
    ],
)
def test_objectives(text: str, name: str, direction: str) -> None:
    assert Objective.parse(text) == Objective(name, direction)


@pytest.mark.parametrize("text", ["up:accuracy", "MAX:accuracy", ":accuracy", " max:f1"])
def test_a_direction_is_min_or_max(text: str) -> None:
    with pytest.raises(UsageError, match="direction is 'min' or 'max'"):
        Objective.parse(text)


def test_the_sign_turns_everything_into_less_is_better() -> None:
    assert Objective("accuracy", "max").sign == -1.0
    assert Objective("loss", "min").sign == 1.0


@pytest.mark.parametrize(
    ("text", "name", "operator", "limit"),
    [
        ("latency<=2ms", "latency", "<=", 2.0),
        ("latency <= 2 ms", "latency", "<=", 2.0),
        ("latency@a100<=500us", "latency@a100", "<=", 0.5),
        ("latency@my-board.v2<=1s", "latency@my-board.v2", "<=", 1000.0),
        ("latency<=2", "latency", "<=", 2.0),
        ("latency<=1e-1ms", "latency", "<=", 0.1),
        ("energy<=1J", "energy", "<=", 1000.0),
        ("peak_memory<=64MiB", "peak_memory", "<=", 64 * 2**20),
        ("peak_memory<=64MB", "peak_memory", "<=", 64e6),
        ("params<=5M", "params", "<=", 5e6),
        ("macs<=0.3G", "macs", "<=", 3e8),
        ("params<=2.5B", "params", "<=", 2.5e9),
        ("accuracy>=90%", "accuracy", ">=", 0.9),
        ("error>=0", "error", ">=", 0.0),
    ],
)
def test_constraints(text: str, name: str, operator: str, limit: float) -> None:
    found = Constraint.parse(text)
    assert (found.name, found.operator) == (name, operator)
    assert found.limit == pytest.approx(limit)


HOSTILE = [
    "",
    " ",
    "latency",
    "latency<2ms",
    "latency==2",
    "latency<=",
    "<=2",
    "latency<=two",
    "latency<=-2",
    "latency<=1e999",
    "latency<=1.2.3",
    "latency<=.",
    "latency<=nan",
    "latency<=inf",
    "latency<=2kg",
    "params<=5ms",
    "latency<=2ms; drop table trial",
    "latency<=2ms<=3ms",
    "latency@<=2ms",
    "latency@../../etc/passwd<=2",
    "läatency<=2",
    "latency≤2ms",
    "💥<=2",
    "latency<=２ms",
    "__class__<=1",
    "{latency}<=2",
    "latency<=2\x00",
    "latency<=" + "9" * 400,
    "a" * 10_000 + "<=",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_no_constraint_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Constraint.parse(text)
    assert "constraint" in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_a_constraint_or_a_usage_error(text: str) -> None:
    try:
        found = Constraint.parse(text)
    except UsageError:
        return
    assert math.isfinite(found.limit)
    assert found.operator in ("<=", ">=")


@given(
    st.sampled_from(["latency", "params", "energy@orin", "accuracy"]),
    st.sampled_from(["<=", ">="]),
    st.integers(0, 999_999),
)
def test_a_constraint_reads_what_it_writes(name: str, operator: str, limit: int) -> None:
    constraint = Constraint(name, operator, float(limit))
    assert Constraint.parse(str(constraint)) == constraint


def test_an_unknown_unit_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown unit 'kg' for latency. Known: us, ms, s"):
        Constraint.parse("latency<=2kg")


def test_limits_are_inclusive_and_refuse_what_is_no_number() -> None:
    upper, lower = Constraint("cost", "<=", 2.0), Constraint("cost", ">=", 2.0)
    assert upper.allows(2.0)
    assert lower.allows(2.0)
    assert not upper.allows(2.1)
    assert not lower.allows(1.9)
    assert not upper.allows(math.nan)
    assert not lower.allows(math.nan)
