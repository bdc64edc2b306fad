"""Starting, joining and ending Ray clusters: what needs no running one."""

from __future__ import annotations

import os
import socket

import pytest

from nas.errors import NasError, UsageError
from nas.runners import ray_cluster
from nas.runners.folder import base_folder


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


class TestStart:
    def test_that_fails_is_told_in_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def init(**options: object) -> None:
            raise RuntimeError("Failed to start GCS.\n\nno space left on device\n")

        monkeypatch.setattr(ray_cluster.ray, "is_initialized", lambda: False)
        monkeypatch.setattr(ray_cluster.ray, "init", init)
        monkeypatch.setattr(ray_cluster.ray, "shutdown", lambda: None)
        expected = "Ray did not start: no space left on device. --workers 1 does without it."
        with pytest.raises(NasError) as caught, ray_cluster.ray_cluster(cpus=2):
            pytest.fail("started")
        assert str(caught.value) == expected


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
        (folder,) = base_folder().glob(f"nas-ray-{os.getpid()}-*")
        assert folder.stat().st_mode & 0o077 == 0
