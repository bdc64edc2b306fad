"""Every searcher of our own under the conformance kit."""

from __future__ import annotations

import pytest

from nas.plugins import default_registry
from nas.testing import SearcherConformance

SLOW = "optuna-gp"
NAMES = [name for plugin, name in default_registry().searchers.offered() if plugin.distribution == "nas"]


@pytest.mark.parametrize("searcher", [name for name in NAMES if name != SLOW], scope="class")
class TestSearchers(SearcherConformance):
    pass


@pytest.mark.slow
class TestGaussianProcess(SearcherConformance):
    trials = 11  # it begins with ten random ones, and each that it fits takes a while

    @pytest.fixture
    def searcher(self) -> str:
        return SLOW


def test_none_is_left_out() -> None:
    assert SLOW in NAMES
    assert len(NAMES) >= 5
