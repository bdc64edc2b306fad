"""Commands in processes of their own that need not import torch again: forks of one that did.

That one has imported the libraries which most commands use and nothing of nas, so a fork finds plugins,
settings and files as a new interpreter would, in a fraction of the time.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

NAS = "from nas.cli.main import main; main()"
PIP = "import runpy; runpy.run_module('pip', run_name='__main__', alter_sys=True)"
PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"

_SERVER = """
import gc, importlib, json, os, signal, sys, time
import click, numpy, optuna, pluggy, rich, sklearn.datasets, sqlalchemy.dialects.sqlite
import torch, torch._dynamo, torch.utils.data

def supervise(order):
    # Starts the command and tells how it ended; the command itself returns.
    child = os.fork()
    if child == 0:
        return
    ended, deadline = 0, time.monotonic() + order["timeout"]
    while not ended and time.monotonic() < deadline:
        time.sleep(0.002)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    with open(order["ended"], "w") as file:
        file.write(str(os.waitstatus_to_exitcode(status)))
    os._exit(0)

def next_command():
    # Returns in a process of its own for each command.
    for line in sys.stdin:
        if os.fork() == 0:
            order = json.loads(line)
            supervise(order)
            return order
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
    os._exit(0)

gc.freeze()
order = next_command()
os.chdir(order["folder"])
os.environ.clear()
os.environ.update(order["environment"])
for number, (path, mode) in enumerate(order["streams"]):
    os.dup2(os.open(path, mode), number)
sys.path[1:1] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))
sys.argv = ["-c", *order["words"]]
importlib.invalidate_caches()
if threads := os.environ.get("OMP_NUM_THREADS"):
    torch.set_num_threads(int(threads))  # which torch reads when it is imported
exec(compile(order["code"], "<string>", "exec"), {"__name__": "__main__"})
"""


def run_warm(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    code: str = NAS,
    timeout: float = 280.0,
) -> subprocess.CompletedProcess[str]:
    """What ``python -c CODE WORDS`` does in a folder; killed after so many seconds."""
    with tempfile.TemporaryDirectory() as place:
        ended, out, error = (Path(place) / name for name in ("ended", "out", "error"))
        os.mkfifo(ended)
        written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        order = {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(os.environ if environment is None else environment),
            "code": code,
            "timeout": timeout,
            "ended": str(ended),
            "streams": [(os.devnull, os.O_RDONLY), (str(out), written), (str(error), written)],
        }
        server = _server()
        assert server.stdin is not None
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
        returncode = int(ended.read_text())
        printed = out.read_text(), error.read_text()
    if returncode == -signal.SIGKILL:
        raise subprocess.TimeoutExpired(list(words), timeout, *printed)
    return subprocess.CompletedProcess(list(words), returncode, *printed)


@cache
def _server() -> subprocess.Popen[str]:
    """The process that is forked, one for each process of tests."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    atexit.register(server.communicate)
    return server
