"""The blocks of one-shot aggregation keep the contract of a block."""

from __future__ import annotations

import pytest

from nas.testing import BlockConformance


class TestOneShotAggregation(BlockConformance):
    @pytest.fixture
    def block(self) -> str:
        return "osa"


class TestVoVNetStem(BlockConformance):
    samples = 4

    @pytest.fixture
    def block(self) -> str:
        return "vovnet_stem"
