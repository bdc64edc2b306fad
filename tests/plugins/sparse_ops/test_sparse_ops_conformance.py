"""Every block of `nas_sparse_ops` under the conformance kit."""

from __future__ import annotations

from typing import ClassVar

import pytest

from nas.testing import BlockConformance

SPARSE = ["sparse_pointwise", "sparse_separable_conv", "sparse_inverted_residual", "masked_conv"]


@pytest.mark.parametrize("block", SPARSE, scope="class")
class TestSparseBlocks(BlockConformance):
    pass


class TestNmPointwise(BlockConformance):
    channels = (40, 48)

    @pytest.fixture
    def block(self) -> str:
        return "nm_pointwise"


class TestRandomlyPruned(BlockConformance):
    inner: ClassVar = {"body": ("conv", "bottleneck", "inverted_residual", "sparse_pointwise")}

    @pytest.fixture
    def block(self) -> str:
        return "randomly_pruned"
