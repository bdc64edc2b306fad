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
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock

NAS = "from nas.cli.main import main; main()"
PIP = "import runpy; runpy.run_module('pip', run_name='__main__', alter_sys=True)"
PYTEST = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"

_SERVER = """
import gc, importlib, json, os, signal, sys
import click, numpy, optuna, pluggy, rich, sklearn.datasets, sqlalchemy.dialects.sqlite
import torch, torch._dynamo, torch.utils.data

def next_order():
    # Returns in a process of its own for each order, whose parent tells how it ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leaves no zombies
    for line in sys.stdin:
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            order = json.loads(line)
            child = os.fork()
            if child == 0:
                return order
            _, status = os.waitpid(child, 0)
            with open(order["ended"] + ".part", "w") as file:
                file.write(str(os.waitstatus_to_exitcode(status)))
            os.rename(order["ended"] + ".part", order["ended"])
            os._exit(0)
    os._exit(0)

gc.freeze()
order = next_order()
signal.alarm(order["seconds"])
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
_turn = Lock()


def run_warm(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    code: str = NAS,
    seconds: int = 200,
) -> subprocess.CompletedProcess[str]:
    """What ``python -c CODE WORDS`` does in a folder; ended after so many seconds."""
    with tempfile.TemporaryDirectory() as place:
        ended, out, error = (Path(place) / name for name in ("ended", "out", "error"))
        written = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        order = {
            "words": list(words),
            "folder": str(folder),
            "environment": dict(os.environ if environment is None else environment),
            "code": code,
            "seconds": seconds,
            "ended": str(ended),
            "streams": [(os.devnull, os.O_RDONLY), (str(out), written), (str(error), written)],
        }
        _run(order, ended)
        returncode = int(ended.read_text())
        printed = out.read_text(), error.read_text()
    if returncode == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(list(words), seconds, *printed)
    return subprocess.CompletedProcess(list(words), returncode, *printed)


def _run(order: Mapping[str, object], ended: Path) -> None:
    """Sends an order to the server and waits for its end; several may wait at a time."""
    with _turn:
        server = _server()
        assert server.stdin is not None
        server.stdin.write(json.dumps(order) + "\n")
        server.stdin.flush()
    while not ended.exists():
        assert server.poll() is None, "the process that is forked has ended"
        time.sleep(0.005)


@cache
def _server() -> subprocess.Popen[str]:
    """The process that is forked, one for each process of tests."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    atexit.register(server.communicate)
    return server
