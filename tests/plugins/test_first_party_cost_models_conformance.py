"""Every cost model of our own under the conformance kit."""

from __future__ import annotations

import pytest

from nas.plugins import default_registry
from nas.testing import CostModelConformance

NAMES = [name for plugin, name in default_registry().cost_models.offered() if plugin.distribution == "nas"]


@pytest.mark.parametrize("cost_model", NAMES, scope="class")
class TestCostModels(CostModelConformance):
    pass
