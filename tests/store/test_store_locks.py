"""File locks."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from nas.files import FileLock, holder_name
from nas.store.locks import lock_path


def test_a_held_lock_names_its_holder_also_within_one_process(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    one.acquire()
    assert (tmp_path / "l").read_text() == holder_name()
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} on"):
        other.acquire()
    one.release()
    assert not (tmp_path / "l").exists()
    other.acquire(seconds=5)
    other.release()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "l"), FileLock(tmp_path / "l")
    one.acquire()
    timer = threading.Timer(0.05, one.release)
    timer.start()
    other.acquire(seconds=30)
    other.release()
    timer.join()


def test_a_file_left_by_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "l").write_text("process 1 on a machine long gone, with a name that is longer than ours")
    lock = FileLock(tmp_path / "l")
    lock.acquire()
    assert (tmp_path / "l").read_text() == holder_name()
    lock.release()


def test_threads_hold_it_one_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(5):
            lock = FileLock(tmp_path / "l")
            lock.acquire(seconds=60)
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            inside[0] -= 1
            lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_lock_files_lie_beside_the_store(tmp_path: Path) -> None:
    assert lock_path(tmp_path / "nas.db") == tmp_path.resolve() / "nas.db.lock"
    assert lock_path(tmp_path / "nas.db", "a") == tmp_path.resolve() / "nas.db.a.lock"
