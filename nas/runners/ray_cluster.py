"""A Ray cluster for the time of a run."""

from __future__ import annotations

import logging
import math
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from nas.errors import NasError, UsageError
from nas.runners.folder import base_folder, cluster_folder, remove_leftovers
from nas.runners.processes import end_processes, processes_of
from nas.runners.quiet import environment, quiet_ray
from nas.runners.ray_token import secure_token

CONNECT_SECONDS = 10


@contextmanager
def ray_cluster(address: str | None = None, *, cpus: float = 1, gpus: float = 0) -> Iterator[Path | None]:
    """Connects this process to Ray: as it already is, to `address`, or to a cluster of its own.

    Yields the folder of a cluster of its own, and None otherwise.

    `cpus` and `gpus` are what a cluster of its own offers. What was connected or started here is
    disconnected or ended after the block. Raises UsageError where nothing answers at the address.
    """
    if ray.is_initialized():
        yield None
    elif address is not None:
        with quiet_ray(), _joined(address):
            yield None
    else:
        with quiet_ray(), _local(cpus, gpus) as folder:
            yield folder


@contextmanager
def _joined(address: str) -> Iterator[None]:
    _check_address(address)
    try:
        _init(address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray cluster at {address!r}: {str(error).strip().splitlines()[0]}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _local(cpus: float, gpus: float) -> Iterator[Path]:
    """A cluster of this machine alone: no dashboard, tokens required, its files in one private folder."""
    secure_token()
    remove_leftovers(base_folder())
    with cluster_folder() as folder:
        try:
            _start(folder, math.ceil(cpus), math.ceil(gpus))
            yield folder
        finally:
            _end(folder)


def _start(folder: Path, cpus: int, gpus: int) -> None:
    try:
        with environment({"RAY_USAGE_STATS_ENABLED": "0"}):
            _init(
                num_cpus=cpus,
                num_gpus=gpus,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=str(folder / "ray"),  # Ray opens this one to everybody; its parent stays private
            )
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise NasError(f"Ray did not start: {lines[-1]}. --workers 1 does without it.") from error


def _end(folder: Path) -> None:
    started = processes_of(str(folder))
    try:
        ray.shutdown()
    finally:
        end_processes(started)


def _check_address(address: str) -> None:
    """Raises UsageError where nothing listens at the address; Ray itself would try for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "/" in address:
        raise UsageError(f"Ray address {address!r}: give HOST:PORT of the cluster's head, or 'auto'")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray cluster at {address!r}: {error}") from None


def _init(**options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray announces its own coming changes
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)
