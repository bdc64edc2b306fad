"""Runs the core's own tests of a room with the base and hardware plugins alone."""

from __future__ import annotations

import os
from pathlib import Path

from warm_process import PYTEST, run_warm

ROOT = Path(__file__).parents[2]
ENTRY_POINTS_OF_THE_CORE = ("searchers", "tasks", "exporters", "searchspaces")
LEFT_OUT = ("--ignore", "tests/search/searchers", "--ignore", "tests/search/test_searchers.py")
"""What meets no plugin of blocks: these only search."""


def check_room(room: str) -> None:
    """Fails where a test of a room needs more than the base and hardware plugins."""
    plugins = ",".join(("base", "hardware", *ENTRY_POINTS_OF_THE_CORE))
    words = ["-q", "-x", "-p", "no:cacheprovider", f"tests/{room}", *LEFT_OUT]
    done = run_warm(words, ROOT, {**os.environ, "NAS_PLUGINS": plugins}, PYTEST, seconds=600)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
