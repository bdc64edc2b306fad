"""Starting, joining and ending Ray clusters: what needs no running one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from nas.errors import UsageError
from nas.runners import processes, ray_cluster


class TestAddress:
    @pytest.mark.parametrize(
        "address", ["ray://head:10001", "head", "head:", ":6379", "head:port", "http://h:1/x"]
    )
    def test_of_another_form_is_refused(self, address: str) -> None:
        with pytest.raises(UsageError, match=r"HOST:PORT .* or 'auto'"), ray_cluster._joined(address):
            pytest.fail("joined")

    def test_where_nothing_listens_is_refused_at_once(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{unused.getsockname()[1]}"
            with (
                pytest.raises(UsageError, match=f"no Ray cluster at '{address}'"),
                ray_cluster._joined(address),
            ):
                pytest.fail("joined")

    def test_with_a_port_that_cannot_be_is_refused(self) -> None:
        with pytest.raises(UsageError, match="no Ray cluster"), ray_cluster._joined("127.0.0.1:99999999"):
            pytest.fail("joined")


def _sleeper(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)", str(folder)])


@pytest.mark.skipif(not processes.PROC.is_dir(), reason="finds processes through /proc")
class TestLeftovers:
    def test_of_a_killed_study_are_ended_and_removed(self, tmp_path: Path) -> None:
        with subprocess.Popen([sys.executable, "-c", "pass"]) as owner:
            owner.wait()
        folder = tmp_path / f"nas-ray-{owner.pid}-abc"
        folder.mkdir()
        (folder / "log").write_text("left behind")
        with _sleeper(folder) as sleeper:
            ray_cluster.remove_leftovers(tmp_path)
            assert sleeper.wait(timeout=30) < 0
        assert not folder.exists()

    def test_of_a_running_study_stay(self, tmp_path: Path) -> None:
        folder = tmp_path / f"nas-ray-{os.getpid()}-abc"
        folder.mkdir()
        with _sleeper(folder) as sleeper:
            try:
                ray_cluster.remove_leftovers(tmp_path)
                assert sleeper.poll() is None
            finally:
                sleeper.kill()
        assert folder.exists()

    def test_with_other_names_stay(self, tmp_path: Path) -> None:
        for name in ("nas-ray-", "nas-ray-x-y", "other-1-2"):
            (tmp_path / name).mkdir()
        ray_cluster.remove_leftovers(tmp_path)
        assert len(list(tmp_path.iterdir())) == 3


class TestBase:
    def test_is_short_enough_for_sockets(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(ray_cluster.tempfile, "gettempdir", lambda: str(tmp_path / ("x" * 90)))
        assert len(str(ray_cluster._base())) <= 16

    def test_is_the_users_own_where_that_is_short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ray_cluster.tempfile, "gettempdir", lambda: "/var/tmp")
        assert ray_cluster._base() == Path("/var/tmp")


@pytest.mark.ray
@pytest.mark.usefixtures("shared_ray")
class TestLocalCluster:
    def test_is_used_as_it_is_where_ray_is_initialised(self) -> None:
        import ray

        with ray_cluster.ray_cluster(cpus=64):
            assert ray.cluster_resources()["CPU"] == 2
        assert ray.is_initialized()

    def test_listens_with_authentication(self) -> None:
        assert os.environ.get("RAY_AUTH_MODE") != "disabled"
        from ray._private.authentication import authentication_token_setup as setup

        assert setup.get_authentication_mode() == setup.AuthenticationMode.TOKEN

    def test_keeps_its_files_to_its_owner(self) -> None:
        (folder,) = ray_cluster._base().glob(f"nas-ray-{os.getpid()}-*")
        assert folder.stat().st_mode & 0o077 == 0
