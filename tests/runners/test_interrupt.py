"""Ctrl-C while Ray's workers are busy: the driver comes back, and nothing of its cluster is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nas.runners.processes import Process, processes_of, still_running

pytestmark = pytest.mark.ray
HANG_GUARD_SECONDS = 15
DRIVER = """
import signal, sys
from nas.testing.evaluators import make_request
from nas.testing.runner import ScriptedSource
from nas.runners import RayRunner
from nas.search.trial import Progress

signal.signal(signal.SIGINT, signal.default_int_handler)  # some shells have it ignored in the background

def stuck(request):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    yield {"loss": 1.0}
    sum(range(10**15))  # holds the interpreter, deaf to every signal but SIGKILL

def hear(report):
    if isinstance(report, Progress):
        print("busy", flush=True)

try:
    RayRunner(2).run(ScriptedSource([make_request(number, 9) for number in range(4)], hear=hear), stuck)
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


@contextmanager
def _driver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    driver = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    try:
        with driver:
            yield driver
    finally:
        driver.kill()


def _await_end(processes: list[Process]) -> list[Process]:
    """What still runs after the processes that were sent SIGKILL had a moment to go."""
    deadline = time.monotonic() + HANG_GUARD_SECONDS
    while still_running(processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    return still_running(processes)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes through /proc")
def test_ctrl_c_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    with _driver(tmp_path) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "busy\n"
        started = processes_of(f"nas-ray-{driver.pid}-")
        assert len(started) > 3

        os.killpg(driver.pid, signal.SIGINT)
        output, _ = driver.communicate(timeout=HANG_GUARD_SECONDS)

        assert output.splitlines()[-1] == "interrupted"
        assert driver.returncode == 130
    assert _await_end(started) == []
    assert list(Path("/tmp").glob(f"nas-ray-{driver.pid}-*")) == []
