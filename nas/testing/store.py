"""What every store promises."""

from __future__ import annotations

from nas.testing.store_studies import StudyTests
from nas.testing.store_trials import TrialTests
from nas.testing.store_values import ValueTests


class StoreConformance(StudyTests, TrialTests, ValueTests):
    """Tests of a database behind `nas.store.Store`; a subclass gives it by the fixture `store`: open, and
    empty for each test.

    The fixture `reopen` opens the same database once more; by default by the URL of the store.

    >>> class TestMyDatabase(StoreConformance):
    ...     @pytest.fixture
    ...     def store(self, tmp_path):
    ...         with Store.open(tmp_path / "nas.db") as store:
    ...             yield store
    """
