"""The recursive gated convolution and the PDE block under the conformance kit."""

from __future__ import annotations

from typing import ClassVar

import pytest

from nas.testing import BlockConformance


class TestGnConv(BlockConformance):
    inner: ClassVar = {"spatial": ("depthwise_conv", "global_filter")}

    @pytest.fixture
    def block(self) -> str:
        return "gnconv"


class TestGlobalFilter(BlockConformance):
    channels = (6, 15)

    @pytest.fixture
    def block(self) -> str:
        return "global_filter"


class TestPDE(BlockConformance):
    channels = (5, 8)

    @pytest.fixture
    def block(self) -> str:
        return "pde"
