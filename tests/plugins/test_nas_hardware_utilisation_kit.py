"""The utilisation model keeps every promise of a cost model."""

from __future__ import annotations

import pytest

from nas.testing import CostModelConformance


class TestUtilisation(CostModelConformance):
    @pytest.fixture
    def cost_model(self) -> str:
        return "utilisation"
