"""Every cost model of our own under the conformance kit."""

from __future__ import annotations

import pytest

from nas.costs import CostModel, Target
from nas.plugins import default_registry
from nas.testing import CostModelConformance
from nas.testing.pricing import nothing, predicted
from nas.testing.workloads import workloads

NAMES = [name for plugin, name in default_registry().cost_models.offered() if plugin.distribution == "nas"]


@pytest.mark.parametrize("cost_model", NAMES, scope="class")
class TestCostModels(CostModelConformance):
    def test_operators_and_a_start_make_up_the_latency(
        self, model: CostModel, priced_targets: list[Target]
    ) -> None:
        """Though a network is finished as a whole."""
        for target in priced_targets:
            start = predicted(model, nothing(target), target).latency_ms
            for workload in workloads():
                cost = predicted(model, workload.trace(target), target)
                times = sum(operator.latency_ms for operator in cost.operators)
                assert start + times == pytest.approx(cost.latency_ms), (workload.name, target.label)
