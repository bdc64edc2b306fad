"""The folder of a local cluster, and what a killed study leaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.runners import folder as folders
from nas.runners import processes
from nas.runners.folder import base_folder, cluster_folder, remove_leftovers


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(folders, "base_folder", lambda: tmp_path)
    return tmp_path


def left_by_a_killed_study(base: Path) -> Path:
    folder = base / "nas-ray-12345-abc"
    folder.mkdir()
    (folder / "log").write_text("left behind")
    (folder / "lock").touch()
    os.utime(folder / "lock", (0, 0))
    return folder


class TestClusterFolder:
    def test_is_private_and_goes_with_the_block(self, base: Path) -> None:
        with cluster_folder() as folder:
            assert folder.parent == base
            assert folder.stat().st_mode & 0o777 == 0o700
            (folder / "ray").mkdir()
        assert list(base.iterdir()) == []

    def test_goes_after_an_interrupt(self, base: Path) -> None:
        with pytest.raises(KeyboardInterrupt), cluster_folder():
            raise KeyboardInterrupt
        assert list(base.iterdir()) == []

    def test_names_its_process(self, base: Path) -> None:
        with cluster_folder() as folder:
            assert folder.name.startswith(f"nas-ray-{os.getpid()}-")


class TestLeftovers:
    @pytest.mark.skipif(not processes.PROC.is_dir(), reason="finds processes through /proc")
    def test_of_a_killed_study_are_ended_and_removed(self, tmp_path: Path) -> None:
        folder = left_by_a_killed_study(tmp_path)
        with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", str(folder)]) as sleeper:
            remove_leftovers(tmp_path)
            assert sleeper.wait(timeout=30) < 0
        assert not folder.exists()

    def test_of_a_running_study_stay(self, base: Path) -> None:
        with cluster_folder() as folder:
            os.utime(folder / "lock", (0, 0))
            remove_leftovers(base)
            assert folder.exists()

    def test_of_a_study_that_just_begins_stay(self, tmp_path: Path) -> None:
        folder = left_by_a_killed_study(tmp_path)
        os.utime(folder / "lock")
        remove_leftovers(tmp_path)
        assert folder.exists()

    def test_of_other_programs_stay(self, tmp_path: Path) -> None:
        for name in ("nas-ray-1-x", "nas-tune-2", "other"):
            (tmp_path / name).mkdir()
        (tmp_path / "other" / "lock").touch()
        remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 3


class TestBase:
    def test_is_short_enough_for_sockets(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: str(tmp_path / ("x" * 90)))
        assert len(str(base_folder())) <= 16

    def test_is_the_users_own_where_that_is_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folders.tempfile, "gettempdir", lambda: "/var/tmp")
        assert base_folder() == Path("/var/tmp")
