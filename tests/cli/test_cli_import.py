"""`nas import optuna`: an Optuna study that every reading command then works on."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

Cli = Callable[..., Any]


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """A journal with an Optuna study of 8 trials, the first and the last of the same parameters."""
    path = tmp_path / "journal.log"
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(path))),
            study_name="theirs",
            sampler=optuna.samplers.RandomSampler(seed=1),
            directions=["minimize", "maximize"],
        )
        for depth, kernel in [*((depth, (3, 5, 7)[depth % 3]) for depth in range(1, 8)), (1, 5)]:
            study.enqueue_trial({"depth": depth, "kernel": kernel, "se": 0.25})
        study.optimize(objective, n_trials=8)
        study.ask()
    optuna.logging.set_verbosity(level)
    return path.name


def objective(trial: optuna.Trial) -> tuple[float, float]:
    depth = trial.suggest_int("depth", 1, 9)
    kernel = trial.suggest_categorical("kernel", [3, 5, 7])
    se = trial.suggest_float("se", 0.0, 0.5, step=0.25) if kernel == 5 else 0.0
    return depth * 1.5 + se, float("inf") if trial.number == 3 else float(kernel)


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def test_an_optuna_study_and_the_commands_that_read_it(cli: Cli, journal: str) -> None:
    words = (
        "import",
        "optuna",
        journal,
        "--objective",
        "cost",
        "--objective",
        "max:score",
        "--study",
        "mine",
    )
    content = json_of(cli, *words)
    assert content == {
        "study": "mine",
        "source": journal,
        "objectives": {"cost": "min", "score": "max"},
        "trials": 8,
        "written": 8,
        "states": {"finished": 7, "failed": 1},
        "repeats": 1,
        "skipped": {"have not ended": 1},
        "notes": ["se: trials without it have the option 'absent'"],
    }
    trials = json_of(cli, "show", "mine")["trials"]
    assert len(trials) == 8
    assert set(trials[0]["metrics"]) == {"cost", "score"}
    finished = [t["metrics"] for t in trials if t["state"] == "finished"]
    front = json_of(cli, "front", "mine")["front"]
    assert min(m["cost"] for m in finished) in [t["metrics"]["cost"] for t in front]
    assert max(m["score"] for m in finished) in [t["metrics"]["score"] for t in front]
    assert json_of(cli, "studies")["studies"][0]["data"] == "optuna:theirs"
    for command in (
        ("front", "mine"),
        ("show", "mine"),
        ("show", "mine#0"),
        ("report", "mine"),
        ("studies",),
    ):
        outcome = cli(*command)
        assert outcome.code == 0, outcome.err
    assert json_of(cli, *words)["written"] == 0


def test_what_is_printed(cli: Cli, journal: str) -> None:
    outcome = cli("import", "optuna", journal, "--store", "my.db")
    assert outcome.code == 0
    assert "study theirs: 8 trials of journal.log (7 finished, 1 failed)" in outcome.out
    assert "1 of them repeat an earlier one" in outcome.out
    assert "left out: 1 trials that have not ended" in outcome.out
    assert "Next: nas front theirs --store my.db" in outcome.out
    assert "note: se: trials without it" in outcome.err
    again = cli("import", "optuna", journal, "--store", "my.db")
    assert "8 trials were here already" in again.out


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (("sqlite:///no.db",), 2, "there is no file 'no.db'"),
        (("journal.log", "--study-name", "their"), 2, "Did you mean 'theirs'"),
        (("journal.log", "--objective", "one"), 2, "has 2 objectives"),
        (("journal.log", "--study", "No Name"), 2, "study name 'No Name' is not allowed"),
        (("journal.log", "--space", "tiny"), 2, "no trial can be imported"),
        (("journal.log", "--space", "no-space"), 2, "no-space"),
        (("journal.log", "--store", "no/folder.db"), 3, "the folder of the store"),
        ((), 2, "URL"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    cli: Cli, journal: str, words: tuple[str, ...], code: int, fragment: str, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    outcome = cli("import", "optuna", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert fragment in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_name_that_is_taken_is_refused(cli: Cli, journal: str) -> None:
    assert cli("import", "optuna", journal).code == 0
    outcome = cli("import", "optuna", journal, "--objective", "a", "--objective", "b")
    assert outcome.code == 3
    assert "choose another name by --study" in outcome.err


def test_the_group_says_what_it_can_import(cli: Cli) -> None:
    outcome = cli("import", "--help")
    assert outcome.code == 0
    assert "optuna" in outcome.out
    assert cli("import", "raytune").code == 2


def test_a_training_search_does_not_begin_with_it(cli: Cli, journal: str) -> None:
    assert cli("import", "optuna", journal).code == 0
    outcome = cli("search", "--space", "tiny", "--from", "theirs", "--workers", "1")
    assert outcome.code == 2
    assert "--from theirs: that study trained for another task (data: optuna:theirs → digits" in outcome.err


def test_a_study_that_was_imported_is_not_resumed(cli: Cli, journal: str) -> None:
    assert cli("import", "optuna", journal).code == 0
    outcome = cli("resume", "theirs", "--trials", "20", "--workers", "1")
    assert outcome.code == 2
    assert "warm_start='theirs'" in outcome.err
    assert json_of(cli, "studies")["studies"][0]["budget"] == 8
