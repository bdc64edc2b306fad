"""What every cost model promises."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest

from nas.costs import Cost, CostModel, Target, Trace, resolve_target
from nas.costs.cost import FINISHED, cost_problem
from nas.costs.operators import join_traces
from nas.errors import NasError
from nas.plugins import default_registry
from nas.testing.fresh import in_fresh_process
from nas.testing.modules import no_random_numbers, told
from nas.testing.pricing import (
    SPEEDS,
    amounts,
    example_targets,
    faster,
    found_model,
    nothing,
    predicted,
)
from nas.testing.workloads import UNKNOWN, Workload, layers_in_line, unknown_workload, workloads

EXACT = 1e-9
OWN_TARGETS = 2
"""So many targets of the model's own plugin are tried too."""


class CostModelConformance:
    """Tests of one cost model; a subclass gives it by the fixture `cost_model`, a registered name or a
    `CostModel`.

    It prices small modules on `targets`: names, paths or `Target`s; by default on a GPU, a CPU and an
    accelerator that are described here, and on some targets of the model's own plugin. Targets that the model
    refuses with a CostError are left out, as long as one remains.

    >>> class TestRoofline(CostModelConformance):
    ...     @pytest.fixture
    ...     def cost_model(self):
    ...         return "roofline"
    """

    targets: ClassVar[Sequence[str | Target]] = ()

    @pytest.fixture
    def cost_model(self) -> str | CostModel:
        """The cost model to test."""
        raise NotImplementedError("give the cost model to test by a fixture named 'cost_model'")

    @pytest.fixture
    def model(self, cost_model: str | CostModel) -> CostModel:
        """The model itself."""
        return found_model(cost_model)

    @pytest.fixture
    def priced_targets(self, cost_model: str | CostModel, model: CostModel) -> list[Target]:
        """The targets to price on."""
        tried = [resolve_target(target) for target in self.targets]
        if not tried:
            tried = [*example_targets(), *_own_targets(cost_model)]
        taken = [target for target in tried if not _refuses(model, target)]
        assert taken, "refuses every target that was tried: name those it is made for in `targets`"
        return taken

    def test_is_described(self, model: CostModel) -> None:
        """A user can find out what it is, and later which numbers a figure rests on."""
        assert model.description, "give the CostModel a `description` of one line"
        assert model.version, "give the CostModel a `version`: it is stored with every figure"

    def test_costs_can_be(self, model: CostModel, priced_targets: list[Target]) -> None:
        """Every number is finite and not negative, a latency is above zero and inside its own interval."""
        for target, workload in _places(priced_targets):
            with told(f"{workload.name} on {target.label}"):
                cost = predicted(model, workload.trace(target), target)
                check_numbers(cost)
                assert cost.latency_ms > 0, "latency_ms is 0"

    def test_costs_say_what_they_are(self, model: CostModel, priced_targets: list[Target]) -> None:
        """Target, kind, tier and model are filled in; what needs no device is the trace's."""
        for target, workload in _places(priced_targets):
            with told(f"{workload.name} on {target.label}"):
                trace = workload.trace(target)
                cost = predicted(model, trace, target)
                empty = [name for name in ("target", "kind", "tier", "model") if not getattr(cost, name)]
                assert not empty, f"{' and '.join(empty)} of the Cost are empty"
                assert cost.kind in ("predicted", "measured"), f"kind is {cost.kind!r}"
                for name in ("params", "macs"):
                    assert getattr(cost, name) == getattr(trace, name), f"`{name}` is not that of the trace"
                assert cost.peak_memory_bytes >= trace.weight_bytes, "peak_memory_bytes is below the weights"

    def test_every_operator_has_its_cost(self, model: CostModel, priced_targets: list[Target]) -> None:
        """One OperatorCost for each operator, in order; their latencies and a constant are the whole, unless
        the model finishes a network of its own."""
        for target, workload in _places(priced_targets):
            with told(f"{workload.name} on {target.label}"):
                trace = workload.trace(target)
                cost = predicted(model, trace, target)
                found = [(operator.name, operator.module, operator.known) for operator in cost.operators]
                expected = [(operator.name, operator.module, operator.known) for operator in trace.operators]
                assert found == expected, "`operators` are not those of the trace, one for each, in order"
                times = [operator.latency_ms for operator in cost.operators]
                assert all(math.isfinite(time) and time >= 0 for time in times), f"operators take {times} ms"
                if model.finish is not None:
                    continue
                constant = predicted(model, nothing(target), target).latency_ms
                check_equal(cost.latency_ms, constant + sum(times), "latency_ms and the sum of its operators")

    def test_an_unknown_operator_is_named_and_priced(
        self, model: CostModel, priced_targets: list[Target]
    ) -> None:
        """What no rule describes is never free, and never surer than what one does."""
        for target in priced_targets:
            with told(f"an operator without a rule on {target.label}"):
                trace = unknown_workload().trace(target)
                cost = predicted(model, trace, target)
                assert UNKNOWN in cost.unknown_operators, "`unknown_operators` does not name it"
                times = [operator.latency_ms for operator in cost.operators if not operator.known]
                assert times, "its OperatorCost is not marked as unknown"
                assert min(times) > 0, "it costs nothing"
                known = predicted(model, _as_known(trace), target)
                assert cost.high_ms - cost.low_ms >= (known.high_ms - known.low_ms) * (1 - EXACT), (
                    "the interval is narrower than that of an operator that a rule describes"
                )

    def test_costs_of_parts_add_up(self, model: CostModel, priced_targets: list[Target]) -> None:
        """A table can price a network from its layers: sums, a constant, and the highest peak of all."""
        for target in priced_targets:
            apart = [replace(workload.trace(target), output=None) for workload in workloads()]
            with told(f"all modules one behind the other on {target.label}"):
                check_parts(model, target, apart)

    def test_layers_cost_what_they_do_in_a_network(
        self, model: CostModel, priced_targets: list[Target]
    ) -> None:
        """A layer that is told what made its input, by `input_kind`, costs what it does behind that."""
        for target in priced_targets:
            with told(f"layers that begin with activations and norms on {target.label}"):
                check_parts(model, target, layers_in_line(target))

    def test_networks_are_finished_one_by_one(self, model: CostModel, priced_targets: list[Target]) -> None:
        """`finish` gives one network what `predict` does, and many what it gives each alone."""
        if model.finish is None:
            return
        for target in priced_targets:
            with told(target.label):
                costs = [predicted(model, workload.trace(target), target) for workload in workloads()]
                costs.append(predicted(model, nothing(target), target))
                assert all(cost.amounts for cost in costs), "`amounts` of the Cost are empty"
                widths = {len(cost.amounts) for cost in costs}
                assert len(widths) == 1, f"the Costs have {sorted(widths)} amounts: it must be one number"
                assert not any(costs[-1].amounts), "a network without operators has amounts other than 0"
                check_finish(model, target, costs)

    def test_more_work_is_never_cheaper(self, model: CostModel, priced_targets: list[Target]) -> None:
        """Wider modules, larger inputs and larger batches take at least as much."""
        for target, workload in _places(priced_targets):
            growths: dict[str, list[Trace]] = {
                "width": [workload.trace(target, width=width) for width in (16, 32, 64, 256)],
                "input size": [workload.trace(target, size=size) for size in (4, 8, 16, 32)],
                "batch size": [workload.trace(target, batch=batch) for batch in (1, 2, 8)],
            }
            for what, traces in growths.items():
                with told(f"{workload.name} on {target.label}, growing {what}"):
                    for less, more in pairwise(predicted(model, trace, target) for trace in traces):
                        for name in ("latency_ms", "energy_mj", "peak_memory_bytes"):
                            low, high = getattr(less, name), getattr(more, name)
                            assert high >= low * (1 - EXACT), (
                                f"{name} falls from {low:.6g} to {high:.6g} where the {what} grows"
                            )

    def test_a_faster_device_is_never_slower(self, model: CostModel, priced_targets: list[Target]) -> None:
        """More bandwidth or a higher peak does not raise the latency."""
        for target, workload in _places(priced_targets):
            trace = workload.trace(target, width=64, size=16)
            before = predicted(model, trace, target).latency_ms
            for figure in SPEEDS:
                if figure in target.device.figures:
                    with told(f"{workload.name} on {target.label}, twice the {figure}"):
                        after = predicted(model, trace, faster(target, figure)).latency_ms
                        assert after <= before * (1 + EXACT), (
                            f"latency_ms rises from {before:.6g} to {after:.6g} on a faster device"
                        )

    def test_answers_the_same_twice(self, model: CostModel, priced_targets: list[Target]) -> None:
        """Nothing is drawn, nothing remembered."""
        places = [(workload.trace(target), target) for target, workload in _places(priced_targets)]
        with no_random_numbers("pricing"):
            once = amounts(model, places)
        assert amounts(model, places) == once, "gives other numbers the second time"
        assert amounts(model, places[::-1]) == once[::-1], "gives other numbers in another order of calls"

    def test_answers_the_same_in_a_fresh_process(
        self, cost_model: str | CostModel, priced_targets: list[Target]
    ) -> None:
        """A figure does not depend on what else this process has done."""
        places = [(workload.trace(target), target) for target, workload in _places(priced_targets)]
        here = amounts(cost_model, places)
        assert in_fresh_process(amounts, cost_model, places) == here, "gives other numbers in another process"

    def test_the_rest_of_nas_takes_its_costs(self, model: CostModel, priced_targets: list[Target]) -> None:
        """A network without operators has a cost too, and `CostModel.price` finds nothing wrong."""
        for target in priced_targets:
            with told(target.label):
                check_numbers(predicted(model, nothing(target), target))
                for workload in workloads():
                    model.price(workload.trace(target), target)


def check_numbers(cost: Cost) -> None:
    """Fails where a number of a cost cannot be one, or where its interval does not hold it."""
    problem = cost_problem(cost)
    assert problem is None, f"gives {problem}"


def check_parts(model: CostModel, target: Target, traces: Sequence[Trace]) -> None:
    """Fails where the costs of parts do not make that of all of them, one behind the other."""
    parts = [predicted(model, trace, target) for trace in traces]
    places = [(f"part{number}", trace) for number, trace in enumerate(traces)]
    whole = predicted(model, join_traces(places), target)
    check_sums(model, whole, parts, predicted(model, nothing(target), target))
    check_equal(
        whole.peak_memory_bytes - sum(trace.weight_bytes for trace in traces),
        max(part.peak_memory_bytes - trace.weight_bytes for part, trace in zip(parts, traces, strict=True)),
        "peak memory less the weights, and that of the most demanding part",
    )


def check_sums(model: CostModel, whole: Cost, parts: Sequence[Cost], constant: Cost) -> None:
    """Fails where what must add up over parts does not: amounts, or figures less a constant."""
    if model.finish is not None:
        totals = [sum(amounts) for amounts in zip(*(part.amounts for part in parts), strict=True)]
        assert len(whole.amounts) == len(totals), "`amounts` are not as many as those of its parts"
        for place, (found, total) in enumerate(zip(whole.amounts, totals, strict=True)):
            check_equal(found, total, f"amounts[{place}] and the sum of its parts")
        return
    for name in FINISHED:
        base = getattr(constant, name)
        total = base + sum(getattr(part, name) - base for part in parts)
        check_equal(getattr(whole, name), total, f"{name} and the sum of its parts")


def check_finish(model: CostModel, target: Target, costs: Sequence[Cost]) -> None:
    """Fails where `finish` does not give each cost its own figures, alone and among others."""
    amounts = np.array([cost.amounts for cost in costs], dtype=np.float64)
    given = amounts.copy()
    together = model.finished(amounts, target)
    assert (amounts == given).all(), "`finish` changes the amounts that it is given"
    for place, cost in enumerate(costs):
        alone = model.finished(amounts[place : place + 1], target)[0]
        for name, figure, single in zip(FINISHED, together[place].tolist(), alone.tolist(), strict=True):
            check_equal(single, getattr(cost, name), f"{name} of `finish` and of `predict`")
            check_equal(figure, single, f"{name} of a network among others and alone")


def check_equal(found: float, expected: float, what: str) -> None:
    """Fails where two numbers differ by more than rounding."""
    assert math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-12), (
        f"{what} differ: {found:.9g} and {expected:.9g}"
    )


def _places(targets: Sequence[Target]) -> Iterator[tuple[Target, Workload]]:
    return ((target, workload) for target in targets for workload in workloads())


def _refuses(model: CostModel, target: Target) -> bool:
    """Whether the model says that it cannot price on a target."""
    try:
        predicted(model, nothing(target), target)
        predicted(model, workloads()[0].trace(target), target)
    except NasError:
        return True
    return False


def _own_targets(cost_model: str | CostModel) -> list[Target]:
    """Targets that the model's own plugin offers."""
    if not isinstance(cost_model, str):
        return []
    registry = default_registry()
    owner = registry.cost_models.provider(cost_model)
    names = [name for plugin, name in registry.targets.offered() if plugin == owner]
    return [resolve_target(f"{owner.name}/{name}") for name in names[:OWN_TARGETS]]


def _as_known(trace: Trace) -> Trace:
    return replace(trace, operators=tuple(replace(o, known=True) for o in trace.operators))
