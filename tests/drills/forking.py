"""Drivers that can be killed: a process that has imported everything forks one whenever it is told to.

A fork takes milliseconds where a fresh interpreter takes half a second, so that a drill can kill many.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_LOOP = """
import importlib, json, os, signal, sys, time
sys.path.insert(0, {folder!r})
module = importlib.import_module({module!r})
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            module.main(**order["arguments"])
            code = 0
        finally:
            os._exit(code)
    ended, deadline = 0, time.monotonic() + order["kill_after"]
    while not ended and time.monotonic() < deadline:
        time.sleep(0.0005)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


class Forker:
    """Starts drivers that run ``module.main(**arguments)``, one at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def run(self, kill_after: float = 120.0, **arguments: Any) -> bool:
        """Runs one driver, killed after so many seconds; whether it came to its end by itself."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"kill_after": kill_after, "arguments": arguments}) + "\n")
        self._process.stdin.flush()
        status = int(self._line())
        assert status in (0, signal.SIGKILL), f"the driver failed: {status}"
        return status == 0


@contextmanager
def forker(module: Path) -> Iterator[Forker]:
    """A Forker of the `main` function in a Python file."""
    script = _LOOP.format(folder=str(module.parent), module=module.stem)
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    try:
        yield Forker(process)
    finally:
        process.communicate(timeout=30)
