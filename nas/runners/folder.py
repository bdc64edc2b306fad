"""The private folder of a local Ray cluster, and the removal of those whose study was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.runners.processes import end_processes, processes_of

PREFIX = "nas-ray-"
LOCK = "lock"
GRACE_SECONDS = 60


@contextmanager
def cluster_folder() -> Iterator[Path]:
    """A folder of mode 0700 for the time of the block, locked as long as this process lives."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base_folder()))
    try:
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def base_folder() -> Path:
    """Where such folders lie: Ray's sockets are in them, whose paths the system limits to 100 characters."""
    base = Path(tempfile.gettempdir())
    short = Path("/tmp")  # noqa: S108 - the folder made in it is private
    return short if len(str(base)) > 16 and short.is_dir() else base


def remove_leftovers(base: Path) -> None:
    """Ends and removes what is left in `base` of local clusters whose study was killed."""
    for lock in base.glob(f"{PREFIX}*/{LOCK}"):
        try:
            _remove_unlocked(lock)
        except OSError:  # another user's, or another study was faster
            continue


def _remove_unlocked(lock: Path) -> None:
    if time.time() - lock.stat().st_mtime < GRACE_SECONDS:
        return  # its study may be about to lock it
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        end_processes(processes_of(str(lock.parent)))
        shutil.rmtree(lock.parent, ignore_errors=True)
