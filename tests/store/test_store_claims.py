"""Claims: one driver a study, and a dead one does not stand in the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.errors import StoreError, UsageError
from nas.store import Store

HOLD = """
import sys
from nas.store import Store
store = Store.open(sys.argv[1])
claim = store.claim_study(sys.argv[2])
print("held", flush=True)
sys.stdin.readline()
"""

FORK = """
import os, sys, time
from nas.store import Store
store = Store.open(sys.argv[1])
claim = store.claim_study("first")
child = os.fork()
if child == 0:
    os.close(1)
else:
    print(child, flush=True)
time.sleep(600)
"""


def holder(url: str, study: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url, study], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str], number: int) -> None:
    process.send_signal(number)
    process.communicate(timeout=20)


def test_a_second_driver_is_told_who_runs_the_study(store: Store) -> None:
    process = holder(store.url, "first")
    try:
        who = f"process {process.pid} on {socket.gethostname()}"
        with pytest.raises(StoreError, match=f"study 'first' is being run by {who}"):
            store.claim_study("first")
        with store.claim_study("second"):
            pass
    finally:
        end(process, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while True:  # a server notices the broken connection a moment later
        try:
            store.claim_study("first").release()
            break
        except StoreError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_claim_ends_with_its_block_and_with_the_store(store: Store) -> None:
    with Store.open(store.url) as other:
        with store.claim_study("first"), pytest.raises(StoreError, match=f"run by process {os.getpid()} on"):
            other.claim_study("first")
        claim = other.claim_study("first")
        with pytest.raises(StoreError, match="is being run by"):
            store.claim_study("first")
        claim.release()
        claim.release()
        store.claim_study("first")
    store.close()
    with Store.open(store.url) as other:
        other.claim_study("first")


def test_nothing_is_left_beside_the_file(store: Store) -> None:
    with store.claim_study("first"):
        if store.path is not None:
            assert (store.path.parent / "nas.db.first.lock").exists()
    store.close()
    if store.path is not None:
        assert [path.name for path in store.path.parent.iterdir()] == ["nas.db"]


def test_a_link_to_the_store_finds_the_same_claim(tmp_path: Path) -> None:
    with Store.open(tmp_path / "nas.db") as store, store.claim_study("first"):
        (tmp_path / "link.db").symlink_to("nas.db")
        with Store.open(tmp_path / "link.db") as linked, pytest.raises(StoreError, match="is being run by"):
            linked.claim_study("first")


def test_a_forked_child_does_not_keep_the_claim_of_its_dead_parent(tmp_path: Path) -> None:
    path = str(tmp_path / "nas.db")
    driver = subprocess.Popen([sys.executable, "-c", FORK, path], stdout=subprocess.PIPE, text=True)
    assert driver.stdout is not None
    child = int(driver.stdout.readline())
    try:
        end(driver, signal.SIGKILL)
        with Store.open(path) as store:
            store.claim_study("first")
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize(
    "name", ["../first", "/etc/passwd", "a/b", "", "x\0", "Ärger", "'; drop table trial"]
)
def test_no_name_leads_out_of_the_folder(store: Store, name: str) -> None:
    with pytest.raises(UsageError, match="is not allowed"):
        store.claim_study(name)
