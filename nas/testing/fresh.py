"""Runs a function of an importable module in a new Python process."""

from __future__ import annotations

import base64
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

SECONDS = 300.0
_SCRIPT = """
import base64, pickle, sys
call, arguments = pickle.loads(base64.b64decode(sys.stdin.read()))
answer = pickle.dumps(call(*pickle.loads(arguments)))
print("\\n>" + base64.b64encode(answer).decode())
"""


def in_fresh_process(call: Callable[..., Any], *arguments: Any) -> Any:
    """What `call` gives in a new process: the same environment and plugins, other hashes of strings.

    The test is skipped where an argument cannot be sent there, such as a function made inside another one.
    """
    try:
        sent = pickle.dumps((call, pickle.dumps(arguments)))
    except Exception as error:
        pytest.skip(f"cannot be sent to another process ({error}): define it at the top of a module")
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", _SCRIPT],
        input=base64.b64encode(sent),
        capture_output=True,
        env=environment,
        timeout=SECONDS,
        check=False,
    )
    errors = done.stderr.decode(errors="replace").strip()
    assert done.returncode == 0, f"it fails in a new process: {errors[-1_000:]}"
    return pickle.loads(base64.b64decode(done.stdout.rpartition(b"\n>")[2]))
