"""Forks of a warm process are to commands what new interpreters are."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from warm_process import NAS, PIP, PYTEST, run_warm

SEEN = """
import json, os, sys
import mine
print(json.dumps({
    "folder": os.getcwd(), "words": sys.argv, "name": __name__, "first": sys.path[0], "value": mine.VALUE,
    "variable": os.environ.get("OF_A_TEST"), "home": "HOME" in os.environ,
    "ours": [name for name in sys.modules if name.split(".")[0] == "nas"], "warm": "torch" in sys.modules,
}))
print("and this", file=sys.stderr)
"""


def test_a_command_sees_its_own_folder_words_variables_and_packages(tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    site.mkdir()
    work.mkdir()
    (site / "mine.py").write_text("VALUE = 7\n")
    done = run_warm(["a b", "--c"], work, {"PYTHONPATH": str(site), "OF_A_TEST": "x"}, SEEN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "and this\n"
    assert json.loads(done.stdout) == {
        "folder": str(work),
        "words": ["-c", "a b", "--c"],
        "name": "__main__",
        "first": "",
        "value": 7,
        "variable": "x",
        "home": False,
        "ours": [],
        "warm": True,
    }


def test_one_command_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    left = "import os, sys; os.environ['LEFT'] = '1'; sys.modules['left'] = sys"
    assert run_warm([], tmp_path, code=left).returncode == 0
    found = run_warm([], tmp_path, code="import os, sys; print('LEFT' in os.environ, 'left' in sys.modules)")
    assert found.stdout == "False False\n"


@pytest.mark.parametrize(
    ("code", "returncode"),
    [("pass", 0), ("raise SystemExit(3)", 3), ("1 / 0", 1), ("import os; os.kill(os.getpid(), 9)", -9)],
)
def test_how_a_command_ended(tmp_path: Path, code: str, returncode: int) -> None:
    done = run_warm([], tmp_path, code=code)
    assert done.returncode == returncode
    assert ("ZeroDivisionError" in done.stderr) == ("/" in code)


def test_what_runs_at_exit_runs(tmp_path: Path) -> None:
    code = "import atexit; atexit.register(print, 'at exit'); print('before')"
    assert run_warm([], tmp_path, code=code).stdout == "before\nat exit\n"


def test_input_is_empty(tmp_path: Path) -> None:
    assert run_warm([], tmp_path, code="import sys; print(repr(sys.stdin.read()))").stdout == "''\n"


def test_a_command_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as raised:
        run_warm([], tmp_path, code="import time; print('begun', flush=True); time.sleep(60)", seconds=1)
    assert raised.value.output == "begun\n"


def test_two_at_a_time_wait_for_each_other(tmp_path: Path) -> None:
    """Each waits for a file that the other one writes."""
    code = """
import sys, time
from pathlib import Path
own, other = sys.argv[1:]
Path(own).touch()
while not Path(other).exists():
    time.sleep(0.01)
print(own)
"""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda words: run_warm(words, tmp_path, code=code), (["a", "b"], ["b", "a"])))
    assert [done.stdout for done in found] == ["a\n", "b\n"]


def test_the_programs_that_tests_run(tmp_path: Path) -> None:
    assert "Usage: nas" in run_warm(["--help"], tmp_path, code=NAS).stdout
    assert run_warm(["--version"], tmp_path, code=PIP).stdout.startswith("pip ")
    (tmp_path / "test_one.py").write_text("def test_one():\n    assert True\n")
    words = ["-q", "-p", "no:cacheprovider", "test_one.py"]
    assert "1 passed" in run_warm(words, tmp_path, dict(os.environ), PYTEST).stdout
