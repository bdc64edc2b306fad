"""Every proxy of our own under the conformance kit."""

from __future__ import annotations

import pytest
from proxy_cases import NAMES

from nas.testing import ProxyConformance
from nas.testing.fresh import in_fresh_process
from nas.testing.proxy import scores


@pytest.mark.parametrize("proxy", NAMES, scope="class")
class TestProxies(ProxyConformance):
    test_scores_the_same_in_a_fresh_process = None  # type: ignore[assignment]  # see below: one for all


def all_scores(names: list[str]) -> dict[str, dict[str, float]]:
    return {name: scores(name) for name in names}


def test_all_score_the_same_in_a_fresh_process() -> None:
    assert len(NAMES) == 8
    expected = all_scores(NAMES)
    for name, found in in_fresh_process(all_scores, NAMES).items():
        assert found == pytest.approx(expected[name], rel=1e-6), name
