"""Rungs and stopping from the command line: a small study, what is shown of it, and wrong inputs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
SEARCH = (
    "search",
    "--space",
    "tiny",
    "--searcher",
    "random",
    "--trials",
    "3",
    "--epochs",
    "2",
    "--study",
    "climb",
)


def test_a_study_with_rungs(cli: Cli) -> None:
    """One story, since its search takes seconds."""
    done = cli(*SEARCH, "--rungs", "2", "--workers", "1")
    assert done.code == 0, done.err
    assert "3 trials of 2 epochs with rungs after 1 on digits" in done.out
    assert done.out.count("stopped at epoch 1/2") == 3
    assert "[3/3]" in done.out
    assert "[4/3]" not in done.out, "a trial that goes on is counted twice"

    assert cli("show", "climb").out.count("1/2") == 2
    trials = json.loads(cli("show", "climb", "--json").out)["trials"]
    reached = sorted((trial["state"], trial["epochs_done"], trial["epochs"]) for trial in trials)
    assert reached == [("finished", 2, 2), ("stopped", 1, 2), ("stopped", 1, 2)]
    number = next(trial["number"] for trial in trials if trial["state"] == "stopped")
    assert "stopped, epochs 1/2" in cli("show", f"climb#{number}").out

    front = json.loads(cli("front", "climb", "--json").out)["front"]
    assert [trial["state"] for trial in front] == ["finished"]
    again = cli("resume", "climb", "--workers", "1")
    assert again.code == 0
    assert "3 trials are done already" in again.out
    other = cli(*SEARCH)
    assert other.code == 2
    assert "rungs: 2 → 1" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--rungs", "0"), "rungs must be a whole number of at least 1, not 0"),
        (("--rungs", "4", "--epochs", "5"), "4 rungs are too many for 5 epochs: at most 3 are possible"),
        (("--stop-below", "1"), "stop_below must be a probability"),
        (("--stop-below", "-0.1"), "stop_below must be a probability"),
        (("--stop-below", "nan"), "stop_below must be a probability"),
    ],
)
def test_wrong_inputs(cli: Cli, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    refused = cli("search", "--space", "tiny", *words)
    assert refused.code == 2
    assert message in refused.err
    assert not (tmp_path / "nas.db").exists()


def test_a_study_file_has_both_keys(tmp_path: Path) -> None:
    from nas.studies import read_study_file

    path = tmp_path / "study.toml"
    path.write_text('space = "tiny"\nepochs = 27\nrungs = 3\nstop_below = 0.05\n')
    options = read_study_file(path)
    assert (options.rungs, options.stop_below) == (3, 0.05)
