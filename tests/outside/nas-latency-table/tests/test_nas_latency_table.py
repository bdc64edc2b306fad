"""The cost model keeps every promise that cost models make, and says what the table says."""

from __future__ import annotations

import math

import pytest
import torch
from nas_latency_table.measure import cases, seconds
from nas_latency_table.table import Row, Table, read_table
from torch import nn

import nas
from nas.errors import CostError
from nas.testing import CostModelConformance, TargetConformance


class TestLatencyTable(CostModelConformance):
    @pytest.fixture
    def cost_model(self) -> str:
        return "latency_table"


class TestTheHostOfTheTable(TargetConformance):
    @pytest.fixture
    def target(self) -> str:
        return "table-host"
