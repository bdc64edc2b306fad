"""A whole study through the command line: search, look, resume, report, export, and what is refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from warm_process import run_warm

SEARCH = ("search", "--space", "tiny", "--trials", "3", "--epochs", "1", "--workers", "1")
Cli = Callable[..., Any]


@pytest.fixture
def study(cli: Cli) -> Cli:
    """The command line in a folder that holds a finished study called ``small``."""
    outcome = cli(*SEARCH, "--study", "small")
    assert outcome.code == 0, outcome.err
    return cli


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def check_trial(trial: dict[str, Any]) -> None:
    keys = {"number", "state", "architecture_hash", "architecture", "epochs", "seed", "metrics", "costs"}
    assert keys <= set(trial)
    cost = trial["costs"]["a100"]
    assert {"latency_ms", "low_ms", "high_ms", "tier"} <= set(cost)
    assert 0 < cost["low_ms"] <= cost["latency_ms"] <= cost["high_ms"]
    assert len(trial["architecture_hash"]) == 64


def test_a_search_ends_with_its_front_and_the_next_commands(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*SEARCH)
    assert outcome.code == 0, outcome.err
    assert "Pareto front of tiny-a100" in outcome.out
    assert "a100-sxm4-80gb/compiled/fp16/b1/nchw" in outcome.out
    for command in ("nas report tiny-a100", "nas export 'tiny-a100#", "nas resume tiny-a100 --trials 6"):
        assert command in outcome.out
    assert outcome.out.count(" finished: ") == 3
    assert (tmp_path / "nas.db").exists()


def test_a_trial_is_priced_as_its_study_priced_it(cli: Cli) -> None:
    options = ("--target", "t4", "--target", "pixel6", "--batch-size", "4", "--study", "two")
    assert cli(*SEARCH, *options).code == 0
    trial = json_of(cli, "show", "two")["trials"][0]
    costs = json_of(cli, "cost", "two#0", "--operators", "0")["costs"]
    assert [cost["target"].partition("/")[2].split("/")[2] for cost in costs] == ["b4", "b4"]
    stored = [trial["costs"][name]["latency_ms"] for name in ("t4", "pixel6")]
    assert [cost["latency_ms"] for cost in costs] == pytest.approx(stored)
    (other,) = json_of(cli, "cost", "two#0", "--target", "a100")["costs"]
    assert "/b1/" in other["target"]


def test_the_json_of_a_study(study: Cli) -> None:
    front = json_of(study, "front", "small")
    assert front["study"] == "small"
    assert front["objectives"] == {"accuracy": "max", "latency": "min"}
    assert front["front"]
    shown = json_of(study, "show", "small")
    assert [trial["number"] for trial in shown["trials"]] == [0, 1, 2]
    for trial in [*front["front"], *shown["trials"]]:
        check_trial(trial)
        assert trial["state"] == "finished"
    one = json_of(study, "show", "small#1")
    check_trial(one)
    assert [step["step"] for step in one["steps"]] == [1]
    listed = json_of(study, "studies")["studies"]
    assert [(item["study"], item["states"]) for item in listed] == [("small", {"finished": 3})]


def test_no_trial_on_the_front_is_beaten(study: Cli) -> None:
    trials = json_of(study, "show", "small")["trials"]
    values = {t["number"]: (-t["metrics"]["accuracy"], t["metrics"]["latency"]) for t in trials}
    front = {trial["number"] for trial in json_of(study, "front", "small")["front"]}
    beaten = {
        n
        for n, v in values.items()
        for w in values.values()
        if w != v and all(a <= b for a, b in zip(w, v, strict=True))
    }
    assert front == set(values) - beaten


def test_an_equal_search_goes_on_and_another_is_refused(study: Cli) -> None:
    again = study(*SEARCH, "--study", "small")
    assert again.code == 0
    assert len(json_of(study, "show", "small")["trials"]) == 3
    other = study(*SEARCH, "--study", "small", "--seed", "7")
    assert other.code == 2
    assert "seed: 0 → 7" in other.err
    assert "nas resume small" in other.err


def test_resume_adds_trials_and_repeats_none(study: Cli) -> None:
    outcome = study("resume", "small", "--trials", "5", "--workers", "1")
    assert outcome.code == 0, outcome.err
    trials = json_of(study, "show", "small")["trials"]
    assert len(trials) == 5
    assert len({trial["architecture_hash"] for trial in trials}) == 5


def test_a_second_unnamed_search_has_a_name_of_its_own(cli: Cli) -> None:
    words = ("search", "--space", "tiny", "--trials", "1", "--epochs", "1", "--workers", "1")
    assert [json_of(cli, *words)["study"] for _ in range(2)] == ["tiny-a100", "tiny-a100-2"]


def test_report_cost_and_export_of_a_trial(study: Cli, tmp_path: Path) -> None:
    report = json_of(study, "report", "small", "-o", "page.html")
    assert (tmp_path / "page.html").stat().st_size == report["bytes"]
    number = json_of(study, "front", "small")["front"][0]["number"]
    cost = json_of(study, "cost", f"small#{number}", "--target", "t4", "--operators", "2")
    assert cost["params"] > 0
    assert cost["costs"][0]["latency_ms"] > 0
    assert len(cost["costs"][0]["operators"]) == 2
    exported = json_of(study, "export", f"small#{number}", "--format", "weights")
    assert Path(exported["path"]).is_file()
    assert exported["difference"] < 1e-5


def test_a_constraint_on_a_cost_holds_for_every_trial(cli: Cli) -> None:
    words = (*SEARCH, "--study", "limited", "--constraint", "params<=3000")
    assert cli(*words).code == 0
    trials = json_of(cli, "show", "limited")["trials"]
    assert len(trials) == 3
    assert all(trial["costs"]["a100"]["params"] <= 3000 for trial in trials)


def test_two_targets_are_two_objectives(cli: Cli) -> None:
    outcome = json_of(cli, *SEARCH, "--study", "both", "--target", "a100", "--target", "pixel6")
    assert list(outcome["objectives"]) == ["accuracy", "latency@a100", "latency@pixel6"]
    assert set(outcome["front"][0]["costs"]) == {"a100", "pixel6"}


def test_a_study_file_and_an_option_beside_it(cli: Cli, tmp_path: Path) -> None:
    text = 'space = "tiny"\ntrials = 9\nepochs = 1\nstudy = "filed"\n'
    (tmp_path / "my.toml").write_text(text, encoding="utf-8")
    assert cli("search", "my.toml", "--trials", "2", "--workers", "1").code == 0
    assert len(json_of(cli, "show", "filed")["trials"]) == 2


def test_another_store(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    outcome = cli(*SEARCH, "--store", "deep/x.db")
    assert "--store deep/x.db" in outcome.out
    assert not (tmp_path / "nas.db").exists()
    monkeypatch.setenv("NAS_STORE", "deep/x.db")
    assert [item["study"] for item in json_of(cli, "studies")["studies"]] == ["tiny-a100"]


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (("targets",), "targets"),
        (("targets", "a100"), "figures"),
        (("spaces",), "spaces"),
        (("spaces", "tiny"), "decisions"),
        (("blocks",), "blocks"),
        (("blocks", "metaformer"), "knobs"),
        (("plugins",), "plugins"),
        (("cost", "published/mobilenet_v2", "--target", "pixel6"), "costs"),
    ],
)
def test_listings_are_one_json_object(cli: Cli, words: tuple[str, ...], key: str) -> None:
    assert key in json_of(cli, *words)
    plain = cli(*words)
    assert plain.code == 0
    assert plain.out.strip()


def test_resnet_50_costs_what_is_published(cli: Cli) -> None:
    outcome = cli("cost", "published/resnet50")
    assert "25,557,032 params" in outcome.out
    assert "4.09 G MACs" in outcome.out


def test_the_cost_of_a_module_of_ones_own(cli: Cli, tmp_path: Path) -> None:
    code = "from torch import nn\ndef build():\n    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())\n"
    (tmp_path / "my_networks.py").write_text(code, encoding="utf-8")
    cost = json_of(cli, "cost", "my_networks:build", "--input", "3,32,32", "--target", "t4")
    assert (cost["params"], cost["macs"]) == (224, 8 * 27 * 30 * 30)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupt_leaves_a_study_that_resumes(tmp_path: Path, number: int) -> None:
    words = [
        "search",
        "--space",
        "tiny",
        "--trials",
        "50",
        "--epochs",
        "1",
        "--workers",
        "1",
        "--study",
        "cut",
    ]
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # as in a terminal
    command = [sys.executable, "-c", f"{heard}; from nas.cli.main import main; main()"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*command, *words],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as driver:
        assert driver.stdout is not None
        assert driver.stderr is not None
        for line in driver.stdout:
            if " finished: " in line:
                break
        began = time.monotonic()
        driver.send_signal(number)
        driver.stdout.read()
        error = driver.stderr.read()
        assert driver.wait(timeout=60) == 130, error
    assert time.monotonic() - began < 60
    assert "nas resume cut" in error
    shown = run_warm(["show", "cut", "--json"], tmp_path)
    assert shown.returncode == 0
    finished = [t for t in json.loads(shown.stdout)["trials"] if t["state"] == "finished"]
    total = len(finished) + 1
    resume = ["resume", "cut", "--trials", str(total), "--workers", "1", "--json"]
    assert run_warm(resume, tmp_path).returncode == 0
    shown = run_warm(["show", "cut", "--json"], tmp_path)
    assert shown.returncode == 0
    trials = [t for t in json.loads(shown.stdout)["trials"] if t["state"] == "finished"]
    assert len(trials) == total
    assert len({t["architecture_hash"] for t in trials}) == total
