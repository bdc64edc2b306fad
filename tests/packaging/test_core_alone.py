"""The core does not lean on any block family: its own tests pass with the base and hardware plugins alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENTRY_POINTS_OF_THE_CORE = ("searchers", "tasks", "exporters", "searchspaces")
ROOMS = ("spaces", "blocks", "costs", "search", "training")

LEFT_OUT = ("--ignore", "tests/search/searchers")
"""What meets no plugin: these only search flat spaces."""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("room", ROOMS)
def test_the_tests_of_a_room_pass_without_the_families(room: str) -> None:
    plugins = ",".join(("base", "hardware", *ENTRY_POINTS_OF_THE_CORE))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{room}", *LEFT_OUT],
        cwd=ROOT,
        env={**os.environ, "NAS_PLUGINS": plugins},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
