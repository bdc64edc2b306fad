"""What layers execute is kept in the store, and where there is none, for this user."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.costs import deployed
from nas.plugins import default_registry
from nas.store import Store
from nas.studies.profile import ProfileOptions, profile_space
from nas.studies.traces import StoredTraces, user_store

OPTIONS = ProfileOptions("tiny", ("a100",), samples=12)
ROWS = {"a" * 64: b"one", "b" * 64: b"two"}


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The layers that are traced from now on."""
    found: list[object] = []
    trace = deployed.trace_element

    def counted(element, *others):
        found.append(element)
        return trace(element, *others)

    monkeypatch.setattr(deployed, "trace_element", counted)
    return found


def profiled(store: Path | None) -> object:
    options = ProfileOptions("tiny", ("a100",), samples=12, store=None if store is None else str(store))
    return profile_space(options, default_registry())


def test_a_second_profile_traces_nothing(tmp_path: Path, traced: list[object]) -> None:
    path = tmp_path / "nas.db"
    Store.open(path).close()
    first = profiled(path)
    count = len(traced)
    assert count > 10
    assert profiled(path) == first
    assert len(traced) == count


def test_without_a_store_it_is_kept_for_this_user(
    tmp_path: Path, traced: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "kept"))
    missing = tmp_path / "nas.db"
    first = profiled(missing)
    count = len(traced)
    assert profiled(None) == profiled(missing) == first
    assert len(traced) == count
    assert not missing.exists()
    assert (tmp_path / "kept" / "traces.db").exists()


def test_nothing_is_kept_where_nobody_wants_it(tmp_path: Path, traced: list[object]) -> None:
    profiled(tmp_path / "nas.db")
    count = len(traced)
    profiled(tmp_path / "nas.db")
    assert len(traced) == 2 * count
    assert list(tmp_path.iterdir()) == []


def test_a_second_search_and_a_retarget_trace_nothing(cli, traced: list[object], tmp_path: Path) -> None:
    words = ["search", "--space", "tiny", "--trials", "2", "--epochs", "1", "--objective", "latency"]
    words += ["--objective", "params", "--seed", "3"]
    assert cli(*words, "--study", "first").code == 0
    assert len(traced) > 0
    traced.clear()
    assert cli(*words, "--study", "second").code == 0
    assert cli("retarget", "first", "--target", "h100").code == 0
    assert traced == []


def test_what_waits_goes_to_the_store_that_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "nas.db"
    traces = StoredTraces(str(path))
    assert traces.read([*ROWS]) == {}
    traces.write(ROWS)
    assert not path.exists()
    with Store.open(path) as store:
        traces.attach(store)
        assert store.traces([*ROWS, "c" * 64]) == ROWS
        assert traces.read([*ROWS, "c" * 64]) == ROWS
        traces.write({"c" * 64: b"three"})
        assert store.traces(["c" * 64]) == {"c" * 64: b"three"}
    assert StoredTraces(str(path)).read([*ROWS]) == ROWS


def test_a_store_that_cannot_be_used_is_no_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 100)
    traces = StoredTraces(str(broken))
    traces.write(ROWS)
    assert traces.read([*ROWS]) == {}
    assert broken.read_bytes() == b"no database" * 100
    path = tmp_path / "nas.db"
    Store.open(path).close()
    with Store.open(path, read_only=True) as store:
        traces = StoredTraces.of(store)
        traces.write(ROWS)
        assert traces.read([*ROWS]) == {}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "file" / "nas"))
    traces = StoredTraces(None)
    traces.write(ROWS)
    assert traces.read([*ROWS]) == {}


def test_both_places_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "kept"))
    StoredTraces(None).write({"a" * 64: b"one"})
    with Store.open(tmp_path / "nas.db") as store:
        store.record_traces({"b" * 64: b"two"})
    assert StoredTraces(str(tmp_path / "nas.db")).read([*ROWS]) == ROWS


def test_where_the_traces_of_a_user_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_CACHE", "")
    assert user_store() is None
    monkeypatch.setenv("NAS_CACHE", "/somewhere")
    assert user_store() == Path("/somewhere/traces.db")
    monkeypatch.delenv("NAS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert user_store() == Path("/cache/nas/traces.db")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_store() == Path("/home/someone/.cache/nas/traces.db")
