"""Every space of our own, published networks too, under the conformance kit."""

from __future__ import annotations

import pytest

from nas.plugins import default_registry
from nas.testing import SpaceConformance

NAMES = [name for plugin, name in default_registry().spaces.offered() if plugin.distribution == "nas"]


@pytest.mark.parametrize("space", NAMES, scope="class")
class TestSpaces(SpaceConformance):
    pass
