"""Every block of `nas_base` under the conformance kit."""

from __future__ import annotations

import pytest

from nas.plugins import default_registry
from nas.testing import BlockConformance

BLOCKS = default_registry().blocks
NAMES = [name for name in BLOCKS if BLOCKS.provider(name).module == "nas_base"]


@pytest.mark.parametrize("block", NAMES, scope="class")
class TestBaseBlocks(BlockConformance):
    pass
