"""Known objectives: users' functions of one architecture or of many."""

from __future__ import annotations

import math
from typing import Any

import pytest
from search_toys import flat_space, price

from nas.errors import TrialError, UsageError
from nas.search.objective import Constraint
from nas.search.prices import FunctionPrice, Pricing

MANY = [flat_space(3, 3).decode([a, b]) for a in range(3) for b in range(3)]


def test_a_function_of_one_architecture() -> None:
    assert FunctionPrice("cost", lambda a: 2 * a.values()["a"])(MANY) == [0.0] * 3 + [2.0] * 3 + [4.0] * 3


def test_a_function_of_many_architectures_is_called_once_for_all() -> None:
    sizes: list[int] = []

    def many(architectures: Any) -> list[float]:
        sizes.append(len(architectures))
        return price(architectures)

    function = FunctionPrice("cost", many)
    assert function(MANY) == price(MANY)
    assert function(MANY[:4]) == price(MANY[:4])
    assert sizes == [1, 9, 4]


def test_numpy_arrays_are_numbers_too() -> None:
    import numpy as np

    assert FunctionPrice("cost", lambda many: np.arange(len(many)))(MANY[:3]) == [0.0, 1.0, 2.0]


def test_no_architectures_cost_nothing() -> None:
    assert FunctionPrice("cost", lambda a: 1 / 0)([]) == []
    assert Pricing({"cost": price}).values([]) == []


def test_a_function_that_fails_is_named() -> None:
    with pytest.raises(TrialError, match="known objective 'cost' failed: KeyError: 'nothing'") as caught:
        FunctionPrice("cost", lambda a: a.values()["nothing"])(MANY)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_function_that_gives_no_number_is_named() -> None:
    with pytest.raises(TrialError, match="known objective 'cost' failed"):
        FunctionPrice("cost", lambda a: "dear")(MANY)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(UsageError, match="known objective 'cost' must be a function"):
        FunctionPrice("cost", 3.0)  # type: ignore[arg-type]


def test_a_price_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="known objective 'cost' gave 1 values for 9 architectures"):
        Pricing({"cost": lambda many: [1.0]}).values(MANY)


def test_only_constraints_on_known_values_are_checked() -> None:
    limits = [Constraint("cost", "<=", 2.0), Constraint("accuracy", ">=", 0.9)]
    pricing = Pricing({"cost": price}, limits)
    assert pricing.constraints == (limits[0],)
    assert [a.values() for a in pricing.allowed(MANY)] == [
        {"a": 0, "b": 0},
        {"a": 0, "b": 1},
        {"a": 1, "b": 0},
    ]
    assert pricing.broken({"cost": 3.0}) == [limits[0]]


def test_what_is_no_number_breaks_every_constraint() -> None:
    pricing = Pricing({"cost": price}, [Constraint("cost", ">=", -1.0)])
    assert not pricing.is_allowed({"cost": math.nan})
    assert pricing.violation({"cost": math.nan}) == math.inf


def test_the_violation_is_relative_to_the_limit() -> None:
    pricing = Pricing({"cost": price}, [Constraint("cost", "<=", 2.0), Constraint("cost", ">=", 0.0)])
    assert pricing.violation({"cost": 3.0}) == 0.5
    assert pricing.violation({"cost": -3.0}) == 3.0
    assert pricing.violation({"cost": 1.0}) == 0.0
