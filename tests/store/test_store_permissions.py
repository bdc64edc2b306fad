"""Files and folders we may not read or write."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas.errors import StoreError
from nas.store import Store, StudyRecord


def refusal(path: Path, **options: bool) -> str:
    with pytest.raises(StoreError) as caught:
        Store.open(path, **options)  # type: ignore[arg-type]
    return str(caught.value)


@contextmanager
def as_nobody() -> Iterator[Path]:
    """A folder that other users can reach; we are ourselves again when the block ends."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o755)
    user = os.geteuid()
    try:
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def bind(folder: Path, mode: int) -> None:
    """From here on the folder has this mode and we are a user whom it binds."""
    folder.chmod(mode)
    if os.geteuid() == 0:
        os.seteuid(65534)


@pytest.mark.parametrize("mode", ["ro", "rw"])
def test_a_file_we_may_not_read(made: Path, mode: str) -> None:
    with as_nobody() as folder:
        path = Path(shutil.copy(made, folder / "nas.db"))
        path.chmod(0o000)
        bind(folder, 0o777)
        assert "permission denied" in refusal(path, read_only=mode == "ro")


def test_a_read_only_file_can_only_be_read(made: Path) -> None:
    with as_nobody() as folder:
        path = Path(shutil.copy(made, folder / "nas.db"))
        path.chmod(0o444)
        bind(folder, 0o777)
        assert "the file is read-only" in refusal(path)
        with Store.open(path, read_only=True) as store:
            assert len(store.trials("first")) == 60


def test_a_store_in_a_read_only_folder_can_be_read(made: Path) -> None:
    with as_nobody() as folder:
        path = Path(shutil.copy(made, folder / "nas.db"))
        path.chmod(0o666)
        bind(folder, 0o555)
        assert "folder is read-only" in refusal(path)
        with Store.open(path, read_only=True) as store:
            assert len(store.trials("first")) == 60
            assert store.objective_values("first", ["latency"])[0].tolist() == []
        assert [found.name for found in folder.iterdir()] == ["nas.db"]


def test_no_store_is_made_in_a_read_only_folder() -> None:
    with as_nobody() as folder:
        bind(folder, 0o555)
        assert "folder is read-only" in refusal(folder / "nas.db")


def test_an_unclean_store_in_a_read_only_folder_must_be_copied(made: Path) -> None:
    with as_nobody() as folder, Store.open(made) as store:
        store.create_study(StudyRecord("second", "{}"))
        for suffix in ("", "-wal"):
            path = Path(shutil.copy(f"{made}{suffix}", folder / f"nas.db{suffix}"))
            path.chmod(0o644)
        bind(folder, 0o555)
        assert "was not closed and its folder is read-only" in refusal(folder / "nas.db", read_only=True)


def test_a_read_only_store_refuses_to_write(made: Path) -> None:
    before = made.read_bytes()
    with Store.open(made, read_only=True) as store:
        for call in (lambda: store.create_study(StudyRecord("x", "{}")), lambda: store.claim_study("first")):
            with pytest.raises(StoreError, match="was opened for reading only"):
                call()
        assert len(store.trials("first")) == 60
    assert made.read_bytes() == before
