"""Studies, what was installed, and the files that trials leave."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import nas
from nas.errors import StoreError, UnknownNameError, UsageError
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord

SHA = "0123456789abcdef" * 4


def test_time_and_version_are_filled_in(store: Store) -> None:
    record = store.study("first")
    assert record.version == nas.__version__
    assert record.created.endswith("+00:00")


def test_a_name_is_taken_once(store: Store) -> None:
    with pytest.raises(StoreError, match="study 'first' exists already"):
        store.create_study(StudyRecord("first", '{"other": 1}'))
    assert store.study("first").spec == "{}"


@pytest.mark.parametrize(
    "name", ["", "A", "a b", "../a", "a/b", "a\\b", "-a", "x" * 65, "🙂", "a'; drop table study; --"]
)
def test_names_that_are_not_allowed(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        store.create_study(StudyRecord(name, "{}"))
    assert len(store.studies()) == 1


def test_an_unknown_study_offers_the_nearest(store: Store) -> None:
    for call in (store.study, store.trials, store.plugins, store.artifacts):
        with pytest.raises(UnknownNameError, match=r"unknown study 'fist'\. Did you mean 'first'\?"):
            call("fist")
    with pytest.raises(UnknownNameError, match="unknown study 'fist'"):
        store.update_study_spec("fist", "{}")


def test_a_monstrous_unknown_name_stays_one_line(store: Store) -> None:
    with pytest.raises(UnknownNameError) as caught:
        store.study("x\n" * 10_000)
    assert len(str(caught.value)) < 300
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "..\\x", "C:\\x", "\\\\host\\x", "a\0b", "a\nb"]
)
def test_a_path_that_leaves_its_folder_is_refused(
    store: Store, candidate: Callable[[int], Architecture], path: str
) -> None:
    store.add_trial("first", candidate(0), fidelity=1, seed=0)
    with pytest.raises(StoreError, match="must be relative and stay inside"):
        store.add_artifact("first", 0, "weights", path, SHA, 1)
    assert store.artifacts("first") == []


@pytest.mark.parametrize(
    ("kind", "sha", "size"), [("We", SHA, 1), ("w", "abc", 1), ("w", SHA.upper(), 1), ("w", SHA, -1)]
)
def test_other_bad_artifacts_are_refused(
    store: Store, candidate: Callable[[int], Architecture], kind: str, sha: str, size: int
) -> None:
    store.add_trial("first", candidate(0), fidelity=1, seed=0)
    with pytest.raises(StoreError, match="artifact"):
        store.add_artifact("first", 0, kind, "0/w", sha, size)


def test_a_strangers_store_cannot_point_elsewhere(
    store: Store, candidate: Callable[[int], Architecture]
) -> None:
    store.add_trial("first", candidate(0), fidelity=1, seed=0)
    store.add_artifact("first", 0, "weights", "0/w", SHA, 1)
    with store._write() as connection:
        connection.exec_driver_sql("UPDATE artifact SET path = '../../../../etc/passwd'")
    with pytest.raises(StoreError, match="must be relative and stay inside"):
        store.artifacts("first")
