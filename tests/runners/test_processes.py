"""Finding and ending the processes of a local cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nas.runners import processes
from nas.runners.processes import end_processes, processes_of, still_running

pytestmark = pytest.mark.skipif(not processes.PROC.is_dir(), reason="finds processes through /proc")
PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print(child.pid, flush=True)
child.wait()
"""


def test_children_count_though_their_command_line_says_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        found = processes_of(str(tmp_path))
        assert {process.pid for process in found} == {parent.pid, child}
        assert still_running(found) == found

        end_processes(found)
        assert parent.wait(timeout=30) < 0
    assert parent.pid not in {process.pid for process in still_running(found)}


def test_an_open_file_counts_though_the_command_line_says_nothing(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-c", "import time; time.sleep(300)"]
        with subprocess.Popen(command, stdout=log) as process:
            try:
                assert [found.pid for found in processes_of(str(tmp_path))] == [process.pid]
            finally:
                process.kill()


def test_this_process_is_never_among_them() -> None:
    command_line = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
    assert os.getpid() not in {process.pid for process in processes_of(command_line)}


def test_a_later_process_with_the_same_id_is_spared() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as process:
        try:
            read = processes._read(process.pid)
            assert read is not None
            earlier = replace(read, born=read.born - 1)
            assert still_running([earlier]) == []
            end_processes([earlier])
            assert process.poll() is None
        finally:
            process.kill()


def test_a_zombie_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        read = processes._read(process.pid)
        assert read is not None
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, but not yet collected
        assert still_running([read]) == []


def test_without_proc_nothing_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(processes, "PROC", tmp_path / "missing")
    assert processes_of("python") == []
