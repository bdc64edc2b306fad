"""``nas retarget`` and the fronts of several targets, as a user meets them."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from priced_studies import accuracies, priced_study

from nas.cli.front import print_fronts
from nas.cli.retarget import search_command
from nas.plugins import default_registry
from nas.store import Store
from nas.studies import SearchOptions, check_options
from nas.studies.front import study_front, target_fronts
from nas.studies.retarget import Retargeting, RetargetOptions, further_search, retargeted_spec

Cli = Callable[..., Any]


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def documented(command: str) -> str:
    """The section of a command in the docs."""
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    return page.partition(f"\n## nas {command}\n")[2].partition("\n## ")[0]


def numbers(trials: list[dict[str, Any]]) -> list[int]:
    return [trial["number"] for trial in trials]


# -- one front for each target -----------------------------------------------------------------------------


def test_a_table_for_each_target(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(), study="both", targets=("a100", "pixel6"))
    outcome = cli("front", "both")
    first, _, second = outcome.out.partition("Pareto front of both on pixel6")
    assert "Pareto front of both on a100" in first
    assert "latency a100" in first
    assert "latency pixel6" not in first
    assert "latency pixel6" in second
    assert [f" #{number} " in first for number in (0, 1, 5, 7, 8)] == [True, True, False, True, True]
    assert [f" #{number} " in second for number in (0, 1, 5, 7, 8)] == [True, True, True, False, True]


def test_the_json_of_several_targets(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(), study="both", targets=("a100", "pixel6"))
    together = json_of(cli, "front", "both")
    assert {name: sorted(front) for name, front in together["fronts"].items()} == {
        "a100": [0, 1, 7, 8],
        "pixel6": [0, 1, 5, 8],
    }
    assert sorted(numbers(together["front"])) == [0, 1, 5, 7, 8]
    assert list(together["objectives"]) == ["accuracy", "latency@a100", "latency@pixel6"]
    one = json_of(cli, "front", "both", "--target", "pixel6")
    assert numbers(one["front"]) == together["fronts"]["pixel6"]
    assert list(one["objectives"]) == ["accuracy", "latency@pixel6"]
    assert one["fronts"] == together["fronts"]


def test_the_front_of_one_target_alone(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(), study="both", targets=("a100", "pixel6"))
    outcome = cli("front", "both", "--target", "pixel6")
    assert "on pixel6" in outcome.out
    assert "a100" not in outcome.out
    refused = cli("front", "both", "--target", "pixel7")
    assert (refused.code, refused.err) == (2, "error: unknown target 'pixel7'. Did you mean 'pixel6'?\n")


def test_a_study_of_one_target_has_one_table(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(), study="one")
    assert cli("front", "one").out.count("Pareto front of one: ") == 1
    content = json_of(cli, "front", "one")
    assert content["fronts"] == {"a100": numbers(content["front"])}


def test_a_compromise_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = priced_study(tmp_path, accuracies(), study="both", targets=("a100", "pixel6"))
    with Store.open(str(tmp_path / "nas.db")) as store:
        front, fronts = study_front(store, spec), target_fronts(store, spec)
    print_fronts(spec, front, fronts)
    assert "Beaten on each target" not in capsys.readouterr().out
    without = {target: [t for t in own if t.number != 5] for target, own in fronts.items()}
    print_fronts(spec, front, without)
    assert capsys.readouterr().out.endswith("Beaten on each target, but by none on all of them: #5\n")


def test_a_search_ends_with_the_front_of_each_target(cli: Cli) -> None:
    words = ("search", "--space", "tiny", "--trials", "2", "--epochs", "1", "--workers", "1")
    both = (*words, "--study", "both", "--target", "a100", "--target", "pixel6")
    shown = cli(*both).out
    assert "Pareto front of both on a100" in shown
    assert "Pareto front of both on pixel6" in shown
    content = json_of(cli, *both)
    assert content["fronts"] == json_of(cli, "front", "both")["fronts"]
    assert list(content["fronts"]) == ["a100", "pixel6"]


# -- retarget ----------------------------------------------------------------------------------------------


def test_the_json_of_a_retargeted_study(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, [*accuracies(), "no memory"], study="small")
    content = json_of(cli, "retarget", "small", "--target", "pixel6", "--suggest", "2")
    assert content["study"] == "small"
    assert content["targets"] == {"pixel6": "google-tensor-g1-cpu/tflite/fp32/b1/nhwc"}
    assert content["objectives"] == {"accuracy": "max", "latency": "min"}
    assert numbers(content["front"]) == content["fronts"]["pixel6"]
    assert sorted(numbers(content["front"])) == [0, 1, 5, 8]
    assert sorted(content["old_front"]) == [0, 1, 7, 8]
    assert (sorted(content["stayed"]), content["new"], content["left"]) == ([0, 1, 8], [5], [7])
    assert numbers(content["trials"]) == list(range(13))
    for trial in content["trials"]:
        assert list(trial["costs"]) == ["pixel6"]
        assert trial["costs"]["pixel6"]["latency_ms"] == trial["metrics"]["latency"]
    stored = {trial["architecture_hash"] for trial in content["trials"]}
    assert len(content["suggestions"]) == 2
    for item in content["suggestions"]:
        assert item["architecture_hash"] not in stored
        assert item["metrics"] == {"latency": item["costs"]["pixel6"]["latency_ms"]}
        assert item["description"].startswith("2 stages")
    assert content["note"] is None
    section = documented("retarget")
    cells = {word.strip("` ") for line in section.splitlines() for word in line.split("|")[1:2]}
    assert set(content) <= {word.strip("` ") for cell in cells for word in cell.split(",")}
    assert [key for key in content["suggestions"][0] if f'"{key}"' not in section] == []


def test_its_prices_are_those_of_nas_cost(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(2), study="small")
    options = ("--target", "t4", "--batch-size", "4", "--precision", "fp32")
    trials = json_of(cli, "retarget", "small", *options, "--suggest", "0")["trials"]
    for trial in trials:
        (cost,) = json_of(cli, "cost", f"small#{trial['number']}", *options, "--operators", "0")["costs"]
        assert trial["costs"]["t4"]["target"] == cost["target"]
        for key in ("latency_ms", "low_ms", "high_ms", "energy_mj", "peak_memory_bytes", "params", "macs"):
            assert trial["costs"]["t4"][key] == pytest.approx(cost[key])


def test_the_tables_of_a_retargeted_study(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(), study="small")
    outcome = cli("retarget", "small", "--target", "pixel6", "--suggest", "1")
    assert "Pareto front of small on pixel6" in outcome.out
    states = {
        line.split()[0]: line.split()[1] for line in outcome.out.splitlines() if line.lstrip().startswith("#")
    }
    assert states == {"#0": "stayed", "#1": "stayed", "#5": "new", "#8": "stayed"}
    expected = "Of 4 on the old front 3 stayed and 1 left it (#7); 1 came to it (#5)."
    assert f"12 stored trials priced on pixel6. {expected}" in outcome.out
    assert "Not trained yet" in outcome.out


def test_the_command_shown_trains_the_first_suggestion_first(cli: Cli, tmp_path: Path) -> None:
    from nas.training import open_task

    fingerprint = open_task("digits", default_registry()).fingerprint
    priced_study(tmp_path, accuracies(8), study="small", changes={"data_fingerprint": fingerprint})
    content = json_of(cli, "retarget", "small", "--target", "pixel6", "--suggest", "1")
    words = shlex.split(content["command"])
    assert words[:2] == ["nas", "search"]
    done = cli(*words[1:], "--workers", "1")
    assert done.code == 0, done.err
    (trial,) = json_of(cli, "show", "small-pixel6")["trials"]
    assert trial["architecture_hash"] == content["suggestions"][0]["architecture_hash"]
    assert list(trial["costs"]) == ["pixel6"]


def test_the_command_keeps_what_the_study_asks_for() -> None:
    registry = default_registry()
    asked = SearchOptions(
        space="tiny",
        study="small",
        objectives=("min:loss", "energy"),
        constraints=("params<=20k",),
        seed=3,
        recipe={"learning_rate": 0.1},
        baseline="random",
        warm_start=("first",),
        searcher="evolution",
    )
    options = RetargetOptions(("t4",), {"precision": "fp32"}, ("energy<=5mJ",))
    spec = retargeted_spec(check_options(asked, registry)[0], options, registry)
    line = search_command(Retargeting(spec, (), (), (), {}), "my store.db")
    assert line is not None
    words = shlex.split(line)
    pairs = set(itertools.pairwise(words))
    assert {("--from", "small"), ("--from", "first"), ("--target", "t4"), ("--precision", "fp32")} <= pairs
    assert {("--objective", "loss"), ("--objective", "energy"), ("--constraint", "params<=20000")} <= pairs
    assert {("--constraint", "energy<=5"), ("--recipe", "learning_rate=0.1"), ("--seed", "3")} <= pairs
    assert {("--searcher", "pareto"), ("--study", "small-t4"), ("--store", "my store.db")} <= pairs
    assert "--baseline" not in words


def test_the_further_search_has_a_name_of_its_own() -> None:
    asked = SearchOptions(space="tiny", study="a" * 64)
    spec, _ = check_options(asked, default_registry())
    for targets, suffix in ((("t4",), "-t4"), (("pixel6", "a100"), "-pixel6-a100")):
        there = retargeted_spec(spec, RetargetOptions(targets), default_registry())
        name = further_search(Retargeting(there, (), (), (), {})).name
        assert name == "a" * (64 - len(suffix)) + suffix


def test_no_command_goes_on_with_the_search_of_a_function(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(3), study="mine", changes={"data": "function"})
    assert sorted(numbers(json_of(cli, "retarget", "mine", "--target", "a100", "--suggest", "0")["front"]))
    spec = retargeted_spec(
        check_options(SearchOptions(space="tiny"), default_registry())[0],
        RetargetOptions(("t4",)),
        default_registry(),
    )
    assert search_command(Retargeting(replace(spec, data="function"), (), (), (), {}), "nas.db") is None


def test_a_search_over_choices_has_nothing_to_price(cli: Cli, tmp_path: Path) -> None:
    import nas

    space = nas.Space.flat({"a": [1, 2, 3], "b": [1, 2]})
    nas.search(
        space,
        lambda a: {"error": a.values()["a"]},
        objectives={"error": "min"},
        trials=2,
        store=str(tmp_path / "nas.db"),
        study="flat",
    )
    outcome = cli("retarget", "flat", "--target", "t4")
    assert outcome.code == 2
    assert outcome.err == (
        "error: study 'flat' is a search over choices, not over networks: there is nothing to price\n"
    )


def test_a_limit_that_nothing_keeps_is_said(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(3), study="small")
    outcome = cli("retarget", "small", "--target", "rpi4", "--constraint", "latency<=1us")
    assert outcome.code == 0
    assert "None that finished keeps latency<=0.001." in outcome.out
    assert "No suggestion: 0 of 1,000 samples meet latency <= 0.001 ms; smallest seen" in outcome.out


def test_a_study_without_a_finished_trial(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, ["running"], study="small")
    outcome = cli("retarget", "small", "--target", "t4", "--suggest", "0")
    assert outcome.code == 0
    assert outcome.out == "1 stored trial priced on t4. None has finished.\n"
    content = json_of(cli, "retarget", "small", "--target", "t4", "--suggest", "0")
    assert [content[key] for key in ("front", "suggestions", "note", "command")] == [[], [], None, None]


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (("small",), 2, "Missing option '--target'"),
        (("small", "--target", "pixel66"), 2, "unknown target 'pixel66'. Did you mean 'pixel6'?"),
        (("smell", "--target", "t4"), 2, "unknown study 'smell'. Did you mean 'small'?"),
        (("small", "--target", "t4", "--suggest", "-1"), 2, "--suggest"),
        (("small", "--target", "t4", "--constraint", "latency"), 2, "is not of the form"),
        (("small", "--target", "t4", "--precision", "fp99"), 2, "fp99"),
        (("small", "--target", "t4", "--store", "none.db"), 3, "none.db"),
    ],
)
def test_what_is_refused(cli: Cli, tmp_path: Path, words: tuple[str, ...], code: int, error: str) -> None:
    priced_study(tmp_path, [], study="small")
    outcome = cli("retarget", *words)
    assert outcome.code == code
    assert error in outcome.err
    assert len(outcome.err.splitlines()) <= 2
