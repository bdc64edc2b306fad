"""The blocks of BiFormer and HaloNet under the conformance kit."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from nas.testing import BlockConformance


class TestBilevelRoutingAttention(BlockConformance):
    sizes = ((9, 7),)
    channels = (64,)

    @pytest.fixture
    def block(self) -> str:
        return "bilevel_routing_attention"


class TestLocallyEnhancedAttention(BlockConformance):
    sizes = ((9, 7),)
    channels = (96,)

    @pytest.fixture
    def block(self) -> str:
        return "locally_enhanced_attention"


class TestBiFormer(BlockConformance):
    sizes = ((9, 7),)
    channels = (32,)
    inner: ClassVar[dict[str, tuple[str, ...]]] = {
        "mixer": ("bilevel_routing_attention", "locally_enhanced_attention"),
        "ffn": ("mlp",),
    }

    @pytest.fixture
    def block(self) -> str:
        return "biformer"


class TestBiFormerStem(BlockConformance):
    sizes = ((9, 7),)
    channels = (16,)

    @pytest.fixture
    def block(self) -> str:
        return "biformer_stem"


class TestHaloAttention(BlockConformance):
    sizes = ((9, 10),)
    channels = (64,)

    @pytest.fixture
    def block(self) -> str:
        return "halo_attention"


class TestHaloDownsample(BlockConformance):
    """What `halo_attention` does not try: a width and a stride."""

    sizes = ((9, 7),)
    channels = (16,)
    knobs: ClassVar[dict[str, Any]] = {"head_dim": 8, "value_ratio": 1.5}

    @pytest.fixture
    def block(self) -> str:
        return "halo_downsample"


class TestHaloBottleneck(BlockConformance):
    sizes = ((9, 10),)
    channels = (64,)
    knobs: ClassVar[dict[str, Any]] = {"head_dim": 8, "value_ratio": 1.5, "activation": "silu"}

    @pytest.fixture
    def block(self) -> str:
        return "halo_bottleneck"


class TestTieredStem(BlockConformance):
    sizes = ((9, 7),)
    channels = (16,)

    @pytest.fixture
    def block(self) -> str:
        return "tiered_stem"
