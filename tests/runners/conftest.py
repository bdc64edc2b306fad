"""One local Ray cluster for all tests of the session that need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[None]:
    """Ray initialised in this process with two CPUs; runners use it as it is and leave it running."""
    from nas.runners.ray_cluster import ray_cluster

    with ray_cluster(cpus=2):
        yield
