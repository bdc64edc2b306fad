"""Every target of our own under the conformance kit."""

from __future__ import annotations

import pytest

from nas.plugins import default_registry
from nas.testing import TargetConformance

NAMES = [name for plugin, name in default_registry().targets.offered() if plugin.distribution == "nas"]


@pytest.mark.parametrize("target", NAMES, scope="class")
class TestTargets(TargetConformance):
    pass
