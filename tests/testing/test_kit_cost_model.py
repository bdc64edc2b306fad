"""The kit finds what is wrong with a cost model, and nothing where all is right."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kit_failures import complaint, run_file
from numpy.typing import NDArray

from nas.costs import Cost, CostModel, Operator, OperatorCost, Target, Trace
from nas.errors import CostError
from nas.testing import CostModelConformance
from nas.testing.pricing import example_targets

KIT = CostModelConformance()
TARGETS = example_targets()[:2]
UNKNOWN = "test_an_unknown_operator_is_named_and_priced"


def good(trace: Trace, target: Target) -> Cost:
    """Time by bytes alone; twice the interval for what nobody knows."""
    return summed(trace, target, [_operator(operator, target) for operator in trace.operators])


def _operator(operator: Operator, target: Target) -> OperatorCost:
    time = 0.001 + operator.bytes_moved / (target.device.figures["memory_bandwidth_gbs"].value * 1e6)
    return OperatorCost(
        operator.name,
        operator.kind,
        operator.module,
        operator.macs,
        operator.flops,
        operator.bytes_moved,
        time,
        "memory",
        operator.known,
    )


def joins_what_it_sees(trace: Trace, target: Target) -> Cost:
    """Activations behind other operators are free, unless these are of another layer."""
    behind = [any(index >= 0 for index, _ in operator.sources) for operator in trace.operators]
    return summed(
        trace,
        target,
        [
            replace(_operator(one, target), latency_ms=1e-6)
            if one.kind == "pointwise" and joins
            else _operator(one, target)
            for one, joins in zip(trace.operators, behind, strict=True)
        ],
    )


def summed(trace: Trace, target: Target, operators: list[OperatorCost], constant: float = 0.05) -> Cost:
    latency = constant + sum(operator.latency_ms for operator in operators)
    unknown = sum(operator.latency_ms for operator in operators if not operator.known)
    return Cost(
        target=target.label,
        kind="predicted",
        tier="T0",
        model="toy 1",
        latency_ms=latency,
        low_ms=0.5 * latency - 0.25 * unknown,
        high_ms=2 * latency + unknown,
        peak_memory_bytes=trace.peak_memory_bytes,
        energy_mj=3 * latency,
        params=trace.params,
        macs=trace.macs,
        bytes_moved=trace.bytes_moved,
        activation_bytes=trace.activation_bytes,
        operators=tuple(operators),
        unknown_operators=trace.unknown_operators,
    )


def changed(**changes: Callable[[Cost], Any]) -> Callable[[Trace, Target], Cost]:
    """The good model, with some numbers computed from its cost."""

    def predict(trace: Trace, target: Target) -> Cost:
        cost = good(trace, target)
        return replace(cost, **{name: change(cost) for name, change in changes.items()})

    return predict


def shrinking(trace: Trace, target: Target) -> Cost:
    """Faster the more there is to do."""
    operators = [replace(o, latency_ms=1 / (1 + o.bytes_moved)) for o in good(trace, target).operators]
    return summed(trace, target, operators)


def slower_on_faster(trace: Trace, target: Target) -> Cost:
    bandwidth = target.device.figures["memory_bandwidth_gbs"].value
    operators = [replace(o, latency_ms=o.latency_ms * bandwidth**2) for o in good(trace, target).operators]
    return summed(trace, target, operators)


def not_additive(trace: Trace, target: Target) -> Cost:
    """Overlap: a long network takes less than its operators."""
    cost = good(trace, target)
    return replace(cost, latency_ms=math.sqrt(cost.latency_ms), low_ms=0.0, high_ms=1e9)


def summed_peaks(trace: Trace, target: Target) -> Cost:
    return replace(good(trace, target), peak_memory_bytes=trace.weight_bytes + trace.activation_bytes)


def free_unknowns(trace: Trace, target: Target) -> Cost:
    operators = [o if o.known else replace(o, latency_ms=0.0) for o in good(trace, target).operators]
    return summed(trace, target, operators)


def sure_of_unknowns(trace: Trace, target: Target) -> Cost:
    cost = good(trace, target)
    if trace.unknown_operators:
        return replace(cost, low_ms=cost.latency_ms, high_ms=cost.latency_ms)
    return cost


def drawn(trace: Trace, target: Target) -> Cost:
    cost = good(trace, target)
    return replace(cost, energy_mj=cost.energy_mj * (1 + random.random()))


CALLS = [0]


def counting(trace: Trace, target: Target) -> Cost:
    CALLS[0] += 1
    cost = good(trace, target)
    return replace(cost, energy_mj=cost.energy_mj + CALLS[0])


def of_this_process(trace: Trace, target: Target) -> Cost:
    cost = good(trace, target)
    return replace(cost, energy_mj=cost.energy_mj + os.getpid())


def overlapped(trace: Trace, target: Target) -> Cost:
    """The operators or their dispatch, whichever is longer, from amounts that add up."""
    cost = good(trace, target)
    times = sum(operator.latency_ms for operator in cost.operators)
    unknown = sum(operator.latency_ms for operator in cost.operators if not operator.known)
    amounts = (times, float(len(cost.operators)), unknown)
    latency, low, high, energy = finish(np.array([amounts]), target)[0].tolist()
    return replace(cost, latency_ms=latency, low_ms=low, high_ms=high, energy_mj=energy, amounts=amounts)


def finish(amounts: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
    times, count, unknown = amounts.T
    latency = 0.01 + np.maximum(times, 0.02 * count)
    return np.stack([latency, 0.5 * latency, 2 * latency + unknown, 3 * latency + times], axis=1)


def finishing(
    predict: Callable[[Trace, Target], Any] = overlapped, finish: Callable[..., Any] = finish
) -> CostModel:
    return CostModel("toy", predict, "1", "a model of these tests", finish)


def with_amounts(change: Callable[[tuple[float, ...]], tuple[float, ...]]) -> CostModel:
    """A model whose amounts are not what its figures were made of."""

    def predict(trace: Trace, target: Target) -> Cost:
        cost = overlapped(trace, target)
        return replace(cost, amounts=change(cost.amounts))

    return finishing(predict)


def middling(amounts: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
    """Every network depends on those beside it."""
    return finish(amounts, target) + amounts[:, :1].mean()


def grabbing(amounts: NDArray[np.float64], target: Target) -> NDArray[np.float64]:
    found = finish(amounts, target)
    amounts += 1
    return found


def choosy(trace: Trace, target: Target) -> Cost:
    raise CostError(f"no figures for {target.label}")


def model(predict: Callable[[Trace, Target], Any]) -> CostModel:
    return CostModel("toy", predict, "1", "a model of these tests")


BROKEN: list[tuple[str, Callable[[Trace, Target], Any], str, str]] = [
    ("minus one", changed(latency_ms=lambda c: -1.0), "test_costs_can_be", "latency_ms = -1"),
    ("nan", changed(energy_mj=lambda c: math.nan), "test_costs_can_be", "energy_mj = nan"),
    ("infinity", changed(high_ms=lambda c: math.inf), "test_costs_can_be", "high_ms = inf"),
    ("text", changed(energy_mj=lambda c: "3"), "test_costs_can_be", "energy_mj = '3'"),
    ("nothing", lambda trace, target: None, "test_costs_can_be", "gives a NoneType, not a Cost"),
    ("free", changed(latency_ms=lambda c: 0.0, low_ms=lambda c: 0.0), "test_costs_can_be", "latency_ms is 0"),
    ("above", changed(low_ms=lambda c: 2 * c.latency_ms), "test_costs_can_be", "outside low_ms"),
    ("below", changed(high_ms=lambda c: 0.5 * c.latency_ms), "test_costs_can_be", "outside low_ms"),
    ("no tier", changed(tier=lambda c: ""), "test_costs_say_what_they_are", "tier of the Cost are empty"),
    ("guessed", changed(kind=lambda c: "guessed"), "test_costs_say_what_they_are", "kind is 'guessed'"),
    ("params", changed(params=lambda c: 1 + c.params), "test_costs_say_what_they_are", "`params`"),
    ("weights", changed(peak_memory_bytes=lambda c: 0), "test_costs_say_what_they_are", "below the weights"),
    (
        "one less",
        changed(operators=lambda c: c.operators[:-1]),
        "test_every_operator_has_its_cost",
        "one for each",
    ),
    ("overlap", not_additive, "test_every_operator_has_its_cost", "sum of its operators differ"),
    ("overlap", not_additive, "test_costs_of_parts_add_up", "latency_ms and the sum of its parts differ"),
    (
        "joins layers",
        joins_what_it_sees,
        "test_layers_cost_what_they_do_in_a_network",
        "latency_ms and the sum of its parts differ",
    ),
    ("peaks", summed_peaks, "test_costs_of_parts_add_up", "most demanding part"),
    (
        "no name",
        changed(unknown_operators=lambda c: ()),
        "test_an_unknown_operator_is_named_and_priced",
        "not name",
    ),
    ("free unknown", free_unknowns, UNKNOWN, "it costs nothing"),
    ("sure", sure_of_unknowns, UNKNOWN, "interval is narrower"),
    ("shrinking", shrinking, "test_more_work_is_never_cheaper", "where the width grows"),
    ("slower", slower_on_faster, "test_a_faster_device_is_never_slower", "rises from"),
    ("drawn", drawn, "test_answers_the_same_twice", "global random state of random"),
    ("counting", counting, "test_answers_the_same_twice", "other numbers the second time"),
]


@pytest.mark.parametrize(
    ("predict", "check", "message"),
    [entry[1:] for entry in BROKEN],
    ids=[f"{entry[0]}-{entry[2]}" for entry in BROKEN],
)
def test_what_is_broken_is_found(predict: Any, check: str, message: str) -> None:
    assert message in complaint(getattr(KIT, check), model(predict), TARGETS)


FINISH = "test_networks_are_finished_one_by_one"
UNFINISHED: list[tuple[str, CostModel, str, str]] = [
    ("none", with_amounts(lambda amounts: ()), FINISH, "`amounts` of the Cost are empty"),
    ("one more", with_amounts(lambda a: (*a, 0.0) if a[0] > 0.01 else a), FINISH, "must be one number"),
    ("constant", with_amounts(lambda a: (a[0] + 1, *a[1:])), FINISH, "amounts other than 0"),
    ("others", with_amounts(lambda a: (2 * a[0], *a[1:])), FINISH, "of `finish` and of `predict` differ"),
    ("mean", finishing(finish=middling), FINISH, "of `finish` and of `predict` differ"),
    ("in place", finishing(finish=grabbing), FINISH, "changes the amounts"),
    ("root", with_amounts(lambda a: (a[0] ** 0.5, *a[1:])), "test_costs_of_parts_add_up", "amounts[0]"),
    ("shape", finishing(finish=lambda amounts, target: amounts), FINISH, "figures of shape"),
]


@pytest.mark.parametrize(
    ("broken", "check", "message"), [entry[1:] for entry in UNFINISHED], ids=[e[0] for e in UNFINISHED]
)
def test_what_finishes_wrongly_is_found(broken: CostModel, check: str, message: str) -> None:
    assert message in complaint(getattr(KIT, check), broken, TARGETS)


def test_one_that_depends_on_the_process_is_found() -> None:
    check = KIT.test_answers_the_same_in_a_fresh_process
    assert "other numbers in another process" in complaint(check, model(of_this_process), TARGETS)


def test_one_that_cannot_be_sent_is_not_judged() -> None:
    with pytest.raises(pytest.skip.Exception, match="cannot be sent to another process"):
        KIT.test_answers_the_same_in_a_fresh_process(
            model(lambda trace, target: good(trace, target)), TARGETS
        )


def test_one_without_version_or_description_is_found() -> None:
    assert "description" in complaint(KIT.test_is_described, CostModel("toy", good, "1"))
    assert "version" in complaint(KIT.test_is_described, CostModel("toy", good, "", "a toy"))


def test_the_complaint_says_where() -> None:
    message = complaint(KIT.test_costs_can_be, model(changed(latency_ms=lambda c: -1.0)), TARGETS)
    assert "found on: convolution on example-gpu/compiled/fp16/b1/nchw" in message


USE = """
import pytest
from nas.costs import CostModel
from nas.testing import CostModelConformance
from test_kit_cost_model import {name}

class TestIt(CostModelConformance):
    @pytest.fixture
    def cost_model(self):
        return CostModel("toy", {name}, "1", "a toy")
"""


def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(name="good"))
    assert outcome.failed == {}
    assert not outcome.skipped
    assert len(outcome.passed) == 13


def test_nothing_is_found_where_a_model_finishes_its_networks(tmp_path: Path) -> None:
    source = USE.format(name="overlapped").replace(', "a toy")', ', "a toy", finish)')
    outcome = run_file(tmp_path, source.replace("import overlapped", "import finish, overlapped"))
    assert outcome.failed == {}
    assert not outcome.skipped
    assert len(outcome.passed) == 13


def test_a_model_that_refuses_every_target_is_told_to_name_its_own(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(name="choosy"))
    assert "name those it is made for in `targets`" in outcome.failed["test_costs_can_be"]
    assert outcome.passed == {"test_is_described"}


def test_a_model_is_priced_on_the_targets_it_names(tmp_path: Path) -> None:
    source = USE.format(name="good").replace("    @pytest", '    targets = ("a100",)\n    @pytest', 1)
    check = "        assert [target.name for target in priced_targets] == ['a100']\n"
    outcome = run_file(tmp_path, f"{source}    def test_it(self, priced_targets):\n{check}")
    assert outcome.failed == {}
    assert "test_it" in outcome.passed
