"""The block keeps every promise that blocks make, and computes what its formula says."""

from __future__ import annotations

import pytest
import torch

from nas_gated_depthwise import GatedDepthwise
from nas import Signature
from nas.testing import BlockConformance


class TestGatedDepthwise(BlockConformance):
    @pytest.fixture
    def block(self) -> str:
        return "gated_depthwise"


def test_a_closed_gate_lets_nothing_pass() -> None:
    module = GatedDepthwise(Signature("image", 8, (6, 6)))
    torch.nn.init.zeros_(module.pointwise.weight)
    torch.nn.init.constant_(module.pointwise.bias, -1e9)
    assert module(torch.ones(1, 8, 6, 6)).abs().max() == 0
