"""What limits leave of a space, with answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest

from nas.search.objective import Constraint
from nas.studies.limits import LimitProfile, best, binding, kept, limit_profiles, spelled

LATENCY = Constraint("latency", "<=", 3.0)
PARAMS = Constraint("params", "<=", 100.0)
MACS = Constraint("macs", ">=", 10.0)
SAMPLES = np.array([[1.0, 50.0], [2.0, 150.0], [4.0, 90.0], [5.0, 200.0]])


def profiles(
    constraints: tuple[Constraint, ...], samples: np.ndarray, more: np.ndarray | None = None
) -> tuple[LimitProfile, ...]:
    return limit_profiles(constraints, samples, samples if more is None else np.concatenate([samples, more]))


def test_both_directions_and_the_limit_itself_are_kept() -> None:
    values = np.array([[3.0, 10.0], [3.1, 9.9], [np.nan, np.nan]])
    assert kept((LATENCY, MACS), values).tolist() == [[True, True], [False, False], [False, False]]


def test_each_limit_is_counted_alone_and_beside_the_others() -> None:
    latency, params = profiles((LATENCY, PARAMS), SAMPLES)
    assert (latency.fit, latency.others) == (2, 2)
    assert (params.fit, params.others) == (2, 2)
    assert latency.removed(1) == params.removed(1) == 0.5
    assert (latency.extreme, params.extreme) == (1.0, 50.0)
    assert (latency.tightest, params.tightest) == (1.0, 50.0)


def test_the_tightest_limit_is_that_of_a_network_that_keeps_the_others() -> None:
    latency, params = profiles((Constraint("latency", "<=", 0.5), Constraint("params", "<=", 95.0)), SAMPLES)
    assert (latency.fit, latency.tightest) == (0, 1.0)
    assert (params.fit, params.others, params.tightest) == (2, 0, None)
    assert params.removed(0) == 0.0


def test_what_is_met_downhill_counts_for_the_values_alone() -> None:
    more = np.array([[0.25, 99.0], [0.125, 400.0]])
    latency, params = profiles((LATENCY, PARAMS), SAMPLES, more)
    assert (latency.fit, latency.others) == (2, 2)
    assert (latency.extreme, latency.tightest) == (0.125, 0.25)
    assert params.extreme == 50.0


def test_a_single_limit_has_no_others_to_keep() -> None:
    (latency,) = profiles((LATENCY,), SAMPLES[:, :1])
    assert (latency.fit, latency.others) == (2, 4)
    assert latency.extreme == latency.tightest == 1.0


def test_a_lower_limit_is_best_at_its_largest() -> None:
    (macs,) = profiles((MACS,), np.array([[1.0], [9.0], [4.0]]))
    assert macs.extreme == macs.tightest == best(MACS, np.array([4.0, 9.0])) == 9.0


def limit(name: str, fit: int, others: int) -> LimitProfile:
    return LimitProfile(Constraint(name, "<=", 1.0), fit, others, 1.0, 1.0)


def test_the_binding_one_removes_most_of_what_the_others_leave() -> None:
    """Not the one that fewest keep: most of those that break it break another too."""
    few, many = limit("latency", 10, 30), limit("params", 20, 90)
    assert binding((few, many), 9) is many
    assert many.removed(9) == pytest.approx(0.9)


def test_nothing_binds_where_nothing_is_removed() -> None:
    assert binding((limit("latency", 100, 100),), 100) is None
    assert binding((), 100) is None


def test_where_none_leaves_anything_the_one_that_fewest_keep_binds() -> None:
    assert binding(
        (limit("latency", 3, 0), limit("params", 0, 0), limit("macs", 9, 0)), 0
    ).constraint.name == (  # type: ignore[union-attr]
        "params"
    )


@pytest.mark.parametrize(
    ("name", "operator", "value", "text"),
    [
        ("latency", "<=", 4.1034, "latency<=4.11ms"),
        ("latency@a100", "<=", 0.0175352, "latency@a100<=17.6us"),
        ("latency", "<=", 1500.0, "latency<=1.5s"),
        ("latency", ">=", 4.1094, "latency>=4.1ms"),
        ("params", "<=", 1506.0, "params<=1.51k"),
        ("params", "<=", 999.0, "params<=999"),
        ("params", "<=", 999_999.0, "params<=1000k"),
        ("macs", ">=", 3.998e9, "macs>=3.99G"),
        ("peak_memory", "<=", 5_120_001.0, "peak_memory<=5.13MB"),
        ("bytes_moved", "<=", 26.1e6, "bytes_moved<=26.1M"),
        ("energy", "<=", 1.0, "energy<=1mJ"),
        ("params", "<=", 0.0, "params<=0"),
    ],
)
def test_a_limit_is_spelled_so_that_the_value_keeps_it(
    name: str, operator: str, value: float, text: str
) -> None:
    assert spelled(Constraint(name, operator, 1.0), value) == text
    assert Constraint.parse(text).allows(value)


@pytest.mark.parametrize("name", ["latency", "energy", "peak_memory", "params", "bytes_moved"])
@pytest.mark.parametrize("operator", ["<=", ">="])
def test_every_value_keeps_its_spelled_limit_closely(name: str, operator: str) -> None:
    rng = np.random.default_rng(0)
    for value in 10.0 ** rng.uniform(-5, 12, 300):
        read = Constraint.parse(spelled(Constraint(name, operator, 1.0), float(value)))
        assert read.allows(value)
        assert read.limit == pytest.approx(value, rel=0.0101)
