"""`nas search --from`: results of an earlier study, through the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SEARCH = ("search", "--space", "tiny", "--trials", "2", "--epochs", "1", "--workers", "1")
SECOND = (*SEARCH, "--study", "second", "--from", "first", "--seed", "3")
Cli = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds a finished study called ``first``; made once, since it trains."""
    from nas.cli.main import main

    path = tmp_path_factory.mktemp("first") / "nas.db"
    with pytest.raises(SystemExit) as ended:
        main([*SEARCH, "--study", "first", "--store", str(path)])
    assert ended.value.code == 0
    return path


@pytest.fixture
def first(cli: Cli, store: Path, tmp_path: Path) -> Cli:
    """The command line in a folder with a copy of that store."""
    shutil.copy(store, tmp_path / "nas.db")
    return cli


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def hashes(cli: Cli, study: str) -> list[str]:
    return [trial["architecture_hash"] for trial in json_of(cli, "show", study)["trials"]]


def beats(one: dict[str, float], other: dict[str, float]) -> bool:
    pairs = [(-one["accuracy"], -other["accuracy"]), (one["latency"], other["latency"])]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def test_a_search_begins_with_another_study(first: Cli) -> None:
    outcome = first(*SECOND, "--target", "t4")
    assert outcome.code == 0, outcome.err
    assert "reuses 2 results of study 'first'" in outcome.err
    own, known = hashes(first, "second"), hashes(first, "first")
    assert len(own) == 2
    assert not set(own) & set(known)
    shown = json_of(first, "front", "second")
    trials = json_of(first, "show", "second")["trials"]
    values = [t["metrics"] for t in trials] + [t["values"] for t in shown["reused"]]
    for item in shown["reused"]:
        assert (item["study"], item["architecture_hash"]) == ("first", known[item["number"]])
        assert not any(beats(other, item["values"]) for other in values)
    by_number = {t["number"]: t["metrics"] for t in trials}
    for number in shown["beaten"]:
        assert any(beats(item["values"], by_number[number]) for item in shown["reused"])
    for trial in shown["front"]:
        is_beaten = any(beats(item["values"], trial["metrics"]) for item in shown["reused"])
        assert is_beaten == (trial["number"] in shown["beaten"])
    text = first("front", "second").out
    assert ("Reused results that no trial here beats" in text) == bool(shown["reused"])


def test_reused_costs_are_those_of_the_new_target(first: Cli) -> None:
    limit = ("--constraint", "latency<=1s")
    assert first(*SECOND, "--trials", "1", "--target", "t4", "--objective", "accuracy", *limit).code == 0
    (number,) = (item["number"] for item in json_of(first, "front", "first")["front"][-1:])
    cost = json_of(first, "cost", f"first#{number}", "--target", "t4", "--operators", "0")
    for item in json_of(first, "front", "second")["reused"]:
        if item["number"] == number:
            assert item["values"]["latency"] == pytest.approx(cost["costs"][0]["latency_ms"])


def test_the_same_search_goes_on_though_its_source_has_grown(first: Cli) -> None:
    short = (*SECOND, "--trials", "1")
    assert first(*short).code == 0
    assert first("resume", "first", "--trials", "3", "--workers", "1").code == 0
    for words in (short, ("resume", "second", "--trials", "1", "--workers", "1")):
        again = first(*words)
        assert again.code == 0, again.err
        assert "reuses 2 results of study 'first'" in again.err
    other = first(*SEARCH, "--study", "second", "--seed", "3")
    assert other.code == 2
    assert "warm_start" in other.err


def test_other_epochs_only_guide(first: Cli) -> None:
    outcome = first(*SEARCH, "--trials", "1", "--epochs", "2", "--study", "second", "--from", "first")
    assert outcome.code == 0, outcome.err
    assert "reuses 0 results of study 'first'; 2 of another fidelity only guide the search" in outcome.err
    shown = json_of(first, "front", "second")
    assert (shown["reused"], shown["beaten"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "code", "fragment"),
    [
        (("--from", "frist"), 2, "Did you mean 'first'"),
        (("--from", "first", "--recipe", "learning_rate=0.2"), 2, "learning_rate=0.2"),
        (("--from", "first", "--data", "cbf"), 2, "data: digits → cbf"),
        (("--from", "first", "--space", "mobile"), 2, "2 results are of another space"),
        (("--from", "first", "--store", "other.db"), 3, "there is no store other.db"),
    ],
)
def test_what_cannot_be_reused_is_refused(
    first: Cli, words: tuple[str, ...], code: int, fragment: str, tmp_path: Path
) -> None:
    outcome = first(*SEARCH, "--study", "second", *words)
    assert outcome.code == code
    assert fragment in outcome.err
    assert [item["study"] for item in json_of(first, "studies")["studies"]] == ["first"]
    assert not (tmp_path / "other.db").exists()


def test_a_study_file_names_its_sources(first: Cli, tmp_path: Path) -> None:
    text = 'space = "tiny"\ntrials = 1\nepochs = 1\nstudy = "third"\nfrom = ["first"]\n'
    (tmp_path / "third.toml").write_text(text)
    outcome = first("search", "third.toml", "--workers", "1")
    assert outcome.code == 0, outcome.err
    assert "reuses 2 results of study 'first'" in outcome.err
