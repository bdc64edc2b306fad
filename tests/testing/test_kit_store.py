"""The kit finds what is wrong with a store, and nothing where all is right."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from kit_failures import run_file

from nas.search import TrialState
from nas.spaces import Architecture
from nas.store import Store, StudyRecord, TrialRecord
from nas.testing import StoreConformance


class Lenient(Store):
    """Takes reports of any attempt."""

    def record_step(
        self, study: str, number: int, *, attempt: int, step: int, metrics: Mapping[str, float]
    ) -> None:
        current = self.trial(study, number).attempt
        super().record_step(study, number, attempt=current, step=step, metrics=metrics)


class Trusting(Store):
    """Replaces what is not finite by 0."""

    def record_step(
        self, study: str, number: int, *, attempt: int, step: int, metrics: Mapping[str, float]
    ) -> None:
        tamed = {name: value if math.isfinite(value) else 0.0 for name, value in metrics.items()}
        super().record_step(study, number, attempt=attempt, step=step, metrics=tamed)


class Coarse(Store):
    """Keeps six digits."""

    def trial(self, study: str, number: int) -> TrialRecord:
        record = super().trial(study, number)
        for name, value in record.metrics.items():
            record.metrics[name] = float(f"{value:.6g}")  # type: ignore[index]
        return record


class Shuffled(Store):
    def iterate_trials(self, study: str, **selection: Any) -> Iterator[TrialRecord]:
        return reversed(list(super().iterate_trials(study, **selection)))


class Doubling(Store):
    """Queues the same trial again under another seed."""

    def add_trial(self, study: str, architecture: Architecture, *, seed: int, **more: Any) -> int:
        return super().add_trial(study, architecture, seed=1_000 + len(self.trials(study)), **more)


class Shared(Store):
    """Every driver gets the study."""

    def claim_study(self, name: str) -> Any:
        return super().claim_study(f"{name}-{id(self)}")


class Chatty(Store):
    def __repr__(self) -> str:
        return f"Store({self.url})"

    @property
    def url(self) -> str:
        return "postgresql://me:secret@host/nas"


class Volatile(Store):
    """Forgets its artifacts when it is closed."""

    KEPT: ClassVar[dict[int, list[Any]]] = {}

    def add_artifact(self, *values: Any) -> None:
        self.KEPT.setdefault(id(self), []).append(values)

    def artifacts(self, study: str, number: int | None = None) -> list[Any]:
        super().artifacts(study)
        return self.KEPT.get(id(self), [])


class Amnesiac(Store):
    def studies(self) -> list[StudyRecord]:
        return sorted(super().studies(), key=lambda record: record.name)


class Undecided(Store):
    def count_states(self, study: str) -> dict[str, int]:
        return {**dict.fromkeys(TrialState, 0), **super().count_states(study)}


class Slow(Store):
    def objective_values(self, study: str, names: Sequence[str]) -> Any:
        numbers, values = super().objective_values(study, names)
        return numbers[::-1], values[::-1]


USE = """
import pytest
from nas.testing import StoreConformance
from test_kit_store import {name}

class TestIt(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path):
        with {name}.open(tmp_path / "nas.db") as store:
            yield store

    @pytest.fixture
    def reopen(self, store):
        return lambda: {name}.open(store.path, create=False)
"""
BROKEN: list[tuple[str, str]] = [
    ("Lenient", "test_a_stale_attempt_is_refused_whatever_it_reports"),
    ("Trusting", "test_numbers_that_are_not_finite_are_refused_everywhere"),
    ("Coarse", "test_every_digit_of_a_number_is_kept"),
    ("Shuffled", "test_trials_come_in_their_order"),
    ("Doubling", "test_one_architecture_once_per_fidelity_and_seed"),
    ("Shared", "test_one_driver_runs_a_study"),
    ("Chatty", "test_shows_no_password"),
    ("Volatile", "test_opened_again_it_holds_everything"),
    ("Amnesiac", "test_studies_stay_in_their_order"),
    ("Undecided", "test_selections_by_state_and_number"),
    ("Slow", "test_objective_values_are_those_of_the_records"),
]


@pytest.mark.parametrize(("name", "check"), BROKEN)
def test_what_is_broken_is_found(tmp_path: Path, name: str, check: str) -> None:
    outcome = run_file(tmp_path, USE.format(name=name), "-k", check)
    assert outcome.failed
    assert all(test.startswith(check) for test in outcome.failed)


class TestPlainFile(StoreConformance):
    """The example of the docstring: nothing but a `store`."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        with Store.open(tmp_path / "nas.db") as store:
            yield store

    def test_the_default_way_to_reopen_sees_the_same(self, made: Store, reopen: Callable[[], Store]) -> None:
        with reopen() as other:
            assert other.studies() == made.studies() != []


class Used(Store):
    """Holds a study from the beginning."""

    @classmethod
    def open(cls, url: str | Path, **settings: Any) -> Any:
        store = super().open(url, **settings)
        store.create_study(StudyRecord("x", "{}"))
        return store


def test_a_store_that_is_not_empty_is_found(tmp_path: Path) -> None:
    outcome = run_file(tmp_path, USE.format(name="Used"), "-k", "begins_empty")
    assert "one of their own each" in outcome.failed["test_begins_empty"]
