"""The blocks of constant group size keep the contract of a block."""

from __future__ import annotations

from typing import ClassVar

import pytest

from nas.testing import BlockConformance


class TestGroupedSeparable(BlockConformance):
    channels: ClassVar = (16, 64)
    samples: ClassVar = 6

    @pytest.fixture
    def block(self) -> str:
        return "grouped_separable"


class TestGroupedBottleneck(BlockConformance):
    channels: ClassVar = (16, 64)
    samples: ClassVar = 6

    @pytest.fixture
    def block(self) -> str:
        return "grouped_bottleneck"
