"""The parts of InceptionNeXt and ConvNeXt V2 under the conformance kit, alone and in their skeleton."""

from __future__ import annotations

from typing import ClassVar

import pytest

from nas.testing import BlockConformance


class TestInceptionDepthwise(BlockConformance):
    sizes: ClassVar = ((8, 8), (9, 7), (1, 1))
    samples: ClassVar = 16

    @pytest.fixture
    def block(self) -> str:
        return "inception_depthwise"


class TestResponseNormMlp(BlockConformance):
    sizes: ClassVar = ((8, 8), (9, 7), (1, 1))

    @pytest.fixture
    def block(self) -> str:
        return "response_norm_mlp"


class TestGlobalResponseNorm(BlockConformance):
    @pytest.fixture
    def block(self) -> str:
        return "global_response_norm"


class TestMetaNext(BlockConformance):
    sizes: ClassVar = ((8, 8), (9, 7))
    inner: ClassVar = {"mixer": ("inception_depthwise",), "ffn": ("response_norm_mlp",)}

    @pytest.fixture
    def block(self) -> str:
        return "metanext"
