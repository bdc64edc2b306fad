"""The parts of UniRepLKNet under the conformance kit."""

from __future__ import annotations

from typing import ClassVar

import pytest

from nas.testing import BlockConformance


class TestDilatedReparam(BlockConformance):
    sizes: ClassVar = ((8, 8), (9, 7), (1, 1))
    channels: ClassVar = (4, 6)

    @pytest.fixture
    def block(self) -> str:
        return "dilated_reparam"


class TestUniRepLKNetBlock(BlockConformance):
    sizes: ClassVar = ((8, 8), (5, 7), (1, 1))
    channels: ClassVar = (6, 16)
    samples: ClassVar = 12

    @pytest.fixture
    def block(self) -> str:
        return "unireplknet"


class TestUniRepLKNetStem(BlockConformance):
    sizes: ClassVar = ((8, 8), (9, 7), (1, 1))
    channels: ClassVar = (3, 8)

    @pytest.fixture
    def block(self) -> str:
        return "unireplknet_stem"
