"""``nas compare`` and ``nas search --baseline`` through the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from compared_studies import add_study, compared_store

from nas.search.study import StudySpec
from nas.store import Store
from nas.studies import read_study_file

Cli = Callable[..., Any]
SEARCH = ("search", "--space", "tiny", "--trials", "2", "--epochs", "1", "--workers", "1", "--study", "s")


@pytest.fixture
def compared(cli: Cli, tmp_path: Path) -> Cli:
    """The command line in a folder whose store holds two studies of known hypervolumes."""
    with compared_store(tmp_path) as store:
        add_study(store, "other-data", data="cifar10:x")
        add_study(store, "empty", ())
    return cli


def test_tables_reference_and_verdict(compared: Cli) -> None:
    outcome = compared("compare", "first", "second", "--at", "3", "--at", "4")
    assert outcome.code == 0, outcome.err
    assert "42.9 %" in outcome.out
    assert "reference point, the worst of all compared trials: error 4.00, latency 4.00 ms" in outcome.out
    assert "evolution beats random at 3 trials: gap 42.9 % against 57.1 %" in outcome.out


def test_json_is_one_object_and_stays_the_same(compared: Cli) -> None:
    words = ("compare", "first", "second", "--json", "-o", "c.svg")
    content = json.loads(compared(*words).out)
    assert list(content) == [
        "objectives",
        "reference",
        "ideal",
        "best_hypervolume",
        "groups",
        "verdicts",
        "notes",
        "path",
    ]
    assert content["path"] == "c.svg"
    assert json.loads(compared(*words).out) == content


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("first",), 2, "two studies or more"),
        (("first", "first"), 2, "given twice"),
        (("first", "empty"), 2, "no trial of empty has ended"),
        (("first", "secnd"), 2, "Did you mean 'second'?"),
        (("first", "other-data"), 2, "trained on other data (digits → cifar10:x)"),
        (("first", "second", "--objective", "accuracy"), 2, "accuracy"),
        (("first", "second", "-o", "c.png"), 2, ".svg or .html"),
        (("first", "second", "--at", "0"), 2, "--at"),
        (("first", "second", "--store", "none.db"), 3, "none.db"),
        ((), 2, "STUDY"),
    ],
)
def test_what_is_wrong_is_said(compared: Cli, words: tuple[str, ...], code: int, said: str) -> None:
    outcome = compared("compare", *words)
    assert outcome.code == code
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_warnings_go_to_the_standard_error(compared: Cli) -> None:
    outcome = compared("compare", "first", "empty", "second")
    assert outcome.code == 0, outcome.err
    assert outcome.warnings == ["warning: empty: no trial has ended, left out"]


def test_a_search_with_a_baseline(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*SEARCH, "--searcher", "evolution", "--baseline", "random")
    assert outcome.code == 0, outcome.err
    assert "beat random at 2 trials" in outcome.out or "beats random at 2 trials" in outcome.out
    with Store.open("nas.db") as store:
        assert store.count_states("s-baseline") == {"finished": 2}
        assert (tmp_path / "nas-artifacts" / "s-baseline" / "0").is_dir()
    assert cli("report", "s").code == 0
    assert "Against the baseline" in (tmp_path / "report.html").read_text(encoding="utf-8")
    resumed = cli("resume", "s", "--trials", "3", "--workers", "1", "--json")
    assert resumed.code == 0, resumed.err
    baseline = json.loads(resumed.out)["baseline"]
    assert [group["trials"] for group in baseline["groups"]] == [3, 3]
    assert json.loads(cli("compare", "s", "--json").out)["verdicts"] == baseline["verdicts"]


def test_the_baseline_trains_nothing_that_the_search_has_trained(cli: Cli) -> None:
    """A random search that claims to be another: its baseline proposes the very same networks."""
    assert cli(*SEARCH, "--searcher", "random").code == 0
    with Store.open("nas.db") as store:
        spec = StudySpec.from_json(store.study("s").spec)
        store.update_study_spec("s", replace(spec, searcher="evolution", baseline="random").to_json())
    outcome = cli("resume", "s", "--workers", "1")
    assert outcome.code == 0, outcome.err
    with Store.open("nas.db") as store:
        ours, theirs = store.trials("s"), store.trials("s-baseline")
    assert [trial.metrics for trial in ours] == [trial.metrics for trial in theirs]
    assert [trial.host for trial in theirs] == [f"as s#{number}" for number in range(2)]


def test_a_baseline_may_be_added_later_and_stays(cli: Cli) -> None:
    one = (*SEARCH, "--searcher", "evolution", "--trials", "1", "--json")
    assert "baseline" not in json.loads(cli(*one).out)
    assert "baseline" in json.loads(cli(*one, "--baseline", "random").out)
    assert "baseline" in json.loads(cli(*one).out)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--baseline", "rnadom"), "Did you mean 'random'?"),
        (("--baseline", "random", "--searcher", "random"), "is the searcher itself"),
        (("--baseline", "random", "--study", "x" * 60), "name of the baseline study"),
    ],
)
def test_a_baseline_that_cannot_be(cli: Cli, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    outcome = cli(*SEARCH, *words)
    assert outcome.code == 2
    assert said in outcome.err
    assert not (tmp_path / "nas.db").exists()


def test_another_study_of_the_baselines_name_is_found_before_the_search(cli: Cli) -> None:
    with Store.open("nas.db") as store:
        add_study(store, "s-baseline")
    outcome = cli(*SEARCH, "--baseline", "random", "--searcher", "evolution")
    assert outcome.code == 2
    assert "'s-baseline' exists with other settings" in outcome.err
    assert [item["study"] for item in json.loads(cli("studies", "--json").out)["studies"]] == ["s-baseline"]


def test_a_study_file_may_ask_for_a_baseline(tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('space = "tiny"\nbaseline = "random"\n', encoding="utf-8")
    assert read_study_file(tmp_path / "my.toml").baseline == "random"
