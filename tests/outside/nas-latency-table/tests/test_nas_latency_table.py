"""The cost model keeps every promise that cost models make."""

from __future__ import annotations

import pytest
import torch

import nas
from nas.testing import CostModelConformance


class TestLatencyTable(CostModelConformance):
    @pytest.fixture
    def cost_model(self) -> str:
        return "latency_table"


def test_a_wider_layer_takes_longer() -> None:
    narrow, wide = (
        nas.estimate(torch.nn.Conv2d(64, width, 3), (64, 56, 56), target="a100", model="latency_table")
        for width in (64, 512)
    )
    assert narrow.latency_ms < wide.latency_ms
