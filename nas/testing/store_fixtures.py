"""An open store to test, and trials to put into it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nas.costs import Cost
from nas.spaces import Architecture
from nas.store import Store, StudyRecord

STUDY = "first"
COST = Cost("a100", "predicted", "T0", "roofline 1", 1.5, 1.0, 2.5, 2**40, 3.25, 10**6, 10**9, 2**35, 123)
OTHER_COST = Cost("a100", "measured", "T2", "bench 2", 9.5, 9.0, 10.0, 1, 0.5, 2, 3, 4, 5, (), ("fft", "x"))


class StoreFixtures:
    """What the tests of a store need: the store itself, and a way to open it again."""

    @pytest.fixture
    def store(self) -> Store:
        """The store to test: open, and empty."""
        raise NotImplementedError("give an open, empty store by a fixture named 'store'")

    @pytest.fixture
    def reopen(self, store: Store) -> Callable[[], Store]:
        """Opens the same store once more, as another process would."""
        return lambda: Store.open(store.url, create=False)

    @pytest.fixture
    def made(self, store: Store) -> Store:
        """The store with a study, "first"."""
        store.create_study(StudyRecord(STUDY, "{}"))
        return store


def candidate(index: int) -> Architecture:
    """An architecture of a flat space."""
    return Architecture(None, (("lr", 0.1), ("index", index)))


def running(store: Store, index: int = 0, **known: float) -> int:
    """The number of a new trial that runs."""
    number = store.add_trial(STUDY, candidate(index), fidelity=3, seed=7, known=known)
    store.start_trial(STUDY, number, attempt=1, host="box")
    return number
