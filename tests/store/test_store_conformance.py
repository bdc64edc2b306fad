"""Every database under the conformance kit."""

from __future__ import annotations

import pytest

from nas.store import Store
from nas.testing import StoreConformance


class TestStores(StoreConformance):
    @pytest.fixture
    def store(self, empty_store: Store) -> Store:
        return empty_store
