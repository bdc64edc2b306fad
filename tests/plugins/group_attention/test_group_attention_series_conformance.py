"""The blocks for time series keep the contract of a block."""

from __future__ import annotations

from typing import ClassVar

import pytest

from nas.testing import BlockConformance


class TestGroupAttention(BlockConformance):
    sizes: ClassVar = ((16,), (37,), (1,))
    samples: ClassVar = 6
    channels: ClassVar = (16, 64)

    @pytest.fixture
    def block(self) -> str:
        return "group_attention"


@pytest.mark.parametrize(
    "block",
    ["full_attention", "temporal_conv", "series_stem", "series_block", "series_mlp", "series_pool_linear"],
)
class TestSeries(BlockConformance):
    samples: ClassVar = 4
    channels: ClassVar = (16, 64)
