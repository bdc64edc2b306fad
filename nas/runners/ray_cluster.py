"""A Ray cluster for the time of a run."""

from __future__ import annotations

import logging
import math
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from nas.errors import UsageError
from nas.runners.processes import end_processes, is_running, processes_of
from nas.runners.quiet import environment, quiet_ray
from nas.runners.ray_token import secure_token

PREFIX = "nas-ray-"


@contextmanager
def ray_cluster(address: str | None = None, *, cpus: float = 1, gpus: float = 0) -> Iterator[None]:
    """Connects this process to Ray: as it already is, to `address`, or to a cluster of its own.

    `cpus` and `gpus` are what a cluster of its own offers. What was connected or started here is
    disconnected or ended after the block. Raises UsageError where nothing answers at the address.
    """
    if ray.is_initialized():
        yield
    elif address is not None:
        with quiet_ray(), _joined(address):
            yield
    else:
        with quiet_ray(), _local(cpus, gpus):
            yield


@contextmanager
def _joined(address: str) -> Iterator[None]:
    if "://" in address:
        raise UsageError(
            f"Ray address {address!r}: give HOST:PORT of the cluster's head, or 'auto', not a URL"
        )
    try:
        _init(address=address)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(f"no Ray cluster at {address!r}: {str(error).strip().splitlines()[0]}") from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _local(cpus: float, gpus: float) -> Iterator[None]:
    """A cluster of this machine alone: no dashboard, tokens required, its files in one private folder."""
    secure_token()
    remove_leftovers(_base())
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=_base())
    try:
        with environment({"RAY_USAGE_STATS_ENABLED": "0"}):
            _init(
                num_cpus=math.ceil(cpus),
                num_gpus=math.ceil(gpus),
                include_dashboard=False,
                _node_ip_address="127.0.0.1",
                _temp_dir=f"{folder}/ray",  # Ray opens this one to everybody; its parent stays private
            )
        yield
    finally:
        _end(folder)


def _end(folder: str) -> None:
    started = processes_of(folder)
    try:
        ray.shutdown()
    finally:
        end_processes(started)
        shutil.rmtree(folder, ignore_errors=True)


def _init(**options: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray announces its own coming changes
        ray.init(log_to_driver=False, logging_level=logging.CRITICAL, **options)


def _base() -> Path:
    """A folder for Ray's sockets, whose paths the system limits to about 100 characters."""
    base = Path(tempfile.gettempdir())
    short = Path("/tmp")  # noqa: S108 - the folder made in it is private
    return short if len(str(base)) > 16 and short.is_dir() else base


def remove_leftovers(base: Path) -> None:
    """Ends and removes what is left of local clusters in `base` whose study was killed."""
    for folder in base.glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not is_running(int(owner)) and folder.stat().st_uid == os.getuid():
            end_processes(processes_of(str(folder)))
            shutil.rmtree(folder, ignore_errors=True)
