"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_outcome import Outcome
from warm_process import run_warm

os.environ["NAS_CACHE"] = ""  # no test reads or writes what the user has traced


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs ``nas ...`` in this process, in an empty folder."""
    from nas.cli.main import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NAS_STORE", raising=False)

    def run(*words: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def nas_process() -> Callable[..., Outcome]:
    """Runs one command in a folder, in a process of its own; it must never end in a traceback."""

    def run(folder: Path, command: str, **environment: str) -> Outcome:
        done = run_warm(command.split(), folder, {**os.environ, **environment})
        assert "Traceback" not in done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run
