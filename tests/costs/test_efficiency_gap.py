"""The gap between the latency of a network and that of its arithmetic alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nas.costs.cost import Cost
from nas.costs.efficiency_gap import efficiency_gaps, ideal_ms
from nas.costs.target import Device, Figure, Target

FIGURES = {"fp32_tflops": Figure(2.0, "a test"), "memory_bandwidth_gbs": Figure(50.0, "a test")}
TARGET = Target("slow", Device("slow-1", "gpu", "none", FIGURES), "fp32", batch_size=4)


def cost(latency: float, *, macs: int = 10**9, kind: str = "predicted", target: str = "slow") -> Cost:
    return Cost(target, kind, "T0", "m", latency, latency, latency, 1, 1.0, 1, macs, 1, 1)


def test_the_ideal_is_two_operations_per_multiply_add_at_the_peak_for_the_whole_batch():
    assert ideal_ms(10**9, TARGET) == 4.0
    assert ideal_ms(10**9, replace(TARGET, batch_size=1)) == 1.0


def test_efficiency_is_ideal_over_actual():
    (gap,) = efficiency_gaps({"net": [cost(16.0)]}, TARGET)
    assert (gap.name, gap.ideal_ms, gap.actual_ms, gap.efficiency) == ("net", 4.0, 16.0, 0.25)
    assert (gap.kind, gap.score) == ("predicted", None)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_measured_latency_is_taken_before_a_predicted_one(reverse):
    costs = [cost(16.0), cost(20.0, kind="measured")]
    (gap,) = efficiency_gaps({"net": costs[::-1] if reverse else costs}, TARGET)
    assert (gap.actual_ms, gap.kind) == (20.0, "measured")


def test_other_targets_and_missing_latencies_are_left_out():
    costs = {
        "elsewhere": [cost(16.0, target="fast")],
        "nothing": [cost(0.0)],
        "labelled": [cost(8.0, target=TARGET.label)],
    }
    assert [gap.name for gap in efficiency_gaps(costs, TARGET)] == ["labelled"]


def test_scores_are_matched_by_name_in_the_order_given():
    gaps = efficiency_gaps({"b": [cost(8.0)], "a": [cost(9.0)]}, TARGET, {"a": 70.0})
    assert [(gap.name, gap.score) for gap in gaps] == [("b", None), ("a", 70.0)]
