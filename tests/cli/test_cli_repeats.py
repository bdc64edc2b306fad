"""Repeats from the command line: a small study, its means with their errors, and wrong inputs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.errors import UsageError
from nas.plugins import default_registry
from nas.report.content import read_content
from nas.report.units import quantity
from nas.search.study import StudySpec
from nas.store import Store
from nas.studies.file import read_study_file
from nas.studies.retarget import RetargetOptions, retarget

Cli = Callable[..., Any]
SEARCH = ("search", "--space", "tiny", "--searcher", "random", "--epochs", "1", "--workers", "1")


ONE = """
name = "one"
description = "one network"
input = { domain = "image", channels = 3, size = [32, 32] }
classes = 10

[stem]
use = "conv_stem"
width = 8
stride = 2

[[stages]]
width = 8
blocks = [{ use = "inverted_residual", kernel = 3, expansion = 2 }]

[head]
use = "pool_linear"
"""


def mean_and_error(values: list[float]) -> tuple[float, float]:
    centre = sum(values) / len(values)
    spread = sum((value - centre) ** 2 for value in values) / (len(values) - 1)
    return centre, math.sqrt(spread / len(values))


def test_a_study_with_repeats(cli: Cli, tmp_path: Path) -> None:
    """One story, since its search takes seconds: a space of one network, which is trained twice."""
    (tmp_path / "one.toml").write_text(ONE)
    search = ("search", "--space", "one.toml", *SEARCH[3:], "--trials", "3", "--study", "again")
    done = cli(*search, "--repeats", "2")
    assert done.code == 0, done.err
    assert "space exhausted: 1 of 1" in done.out
    own = json.loads(cli("show", "again", "--json").out)["trials"]
    assert len(own) == 2
    assert own[0]["architecture_hash"] == own[1]["architecture_hash"]
    assert own[0]["seed"] != own[1]["seed"]
    assert own[0]["metrics"]["accuracy"] != own[1]["metrics"]["accuracy"]
    assert "runs" not in own[1]
    check_front(cli, own, done.out)
    check_report(cli, own, tmp_path)
    check_retarget(own, tmp_path)

    again = cli("resume", "again", "--workers", "1")
    assert "2 trials are done already" in again.out
    other = cli(*search)
    assert (other.code, "repeats: 2 → 1" in other.err) == (2, True)


def check_front(cli: Cli, own: list[dict[str, Any]], shown: str) -> None:
    accuracy, error = mean_and_error([trial["metrics"]["accuracy"] for trial in own])
    front = json.loads(cli("front", "again", "--json").out)["front"]
    (member,) = front
    assert (member["number"], member["runs"]) == (0, 2)
    assert member["metrics"]["accuracy"] == pytest.approx(accuracy)
    assert member["standard_error"] == {"accuracy": pytest.approx(error)}
    assert member["metrics"]["latency"] == own[0]["metrics"]["latency"]
    expected = f"{100 * accuracy:.2f} ± {100 * error:.2f} %"
    assert expected in shown
    table = cli("front", "again").out
    assert expected in table
    assert "runs" in table


def check_report(cli: Cli, own: list[dict[str, Any]], folder: Path) -> None:
    accuracy, error = mean_and_error([trial["metrics"]["accuracy"] for trial in own])
    with Store.open(str(folder / "nas.db"), read_only=True, create=False) as store:
        content = read_content(store, "again")
    assert content.listed == (0,)
    assert content.states == {"finished": 2}
    assert cli("report", "again", "-o", "report.html").code == 0
    page = (folder / "report.html").read_text()
    assert f"{100 * accuracy:.2f} ± {100 * error:.2f} %" in page
    assert "mean of 2 runs" in page


def check_retarget(own: list[dict[str, Any]], folder: Path) -> None:
    accuracy, error = mean_and_error([trial["metrics"]["accuracy"] for trial in own])
    with Store.open(str(folder / "nas.db"), read_only=True, create=False) as store:
        found = retarget(store, "again", RetargetOptions(("a100",), suggestions=0), default_registry())
    assert found.front == found.old_front
    member = found.members[own[0]["number"]]
    assert (member.runs, member.metrics["accuracy"]) == (2, pytest.approx(accuracy))
    assert member.standard_error == {"accuracy": pytest.approx(error)}


def test_without_repeats_nothing_is_shown_of_them(cli: Cli) -> None:
    done = cli(*SEARCH, "--trials", "2", "--study", "once")
    assert done.code == 0, done.err
    assert "±" not in done.out
    front = json.loads(cli("front", "once", "--json").out)["front"]
    assert not {"runs", "standard_error"} & {key for trial in front for key in trial}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--repeats", "0"), "repeats must be a whole number of at least 1, not 0"),
        (("--repeats", "-1"), "repeats must be a whole number of at least 1, not -1"),
        (("--repeats", "two"), "'two' is not a valid integer"),
        (
            ("--repeats", "2", "--rungs", "2", "--epochs", "9"),
            "2 repeats and 2 rungs do not go together: a mean needs trials of full length.",
        ),
    ],
)
def test_wrong_inputs(cli: Cli, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    outcome = cli("search", "--space", "tiny", *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "nas.db").exists()


def test_in_a_study_file(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('space = "tiny"\nrepeats = 3\n')
    assert read_study_file(path).repeats == 3
    path.write_text('space = "tiny"\nrepeats = "3"\n')
    with pytest.raises(UsageError, match="repeats"):
        read_study_file(path)


def test_a_study_of_before_has_none() -> None:
    from nas.search.objective import Objective

    spec = StudySpec("old", "tiny", "", ("a100",), (Objective.parse("accuracy"),))
    content = json.loads(spec.to_json())
    del content["repeats"]
    assert StudySpec.from_json(json.dumps(content)).repeats == 1


@pytest.mark.parametrize(
    ("name", "value", "error", "shown"),
    [
        ("accuracy", 0.982, 0.003, "98.20 ± 0.30 %"),
        ("accuracy", 0.982, None, "98.20 %"),
        ("loss", 0.25, 0.01, "0.250 ± 0.0100"),
    ],
)
def test_how_a_mean_is_written(name: str, value: float, error: float | None, shown: str) -> None:
    assert quantity(name).with_error(value, error) == shown
