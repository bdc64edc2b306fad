"""``nas profile`` and ``nas search --force``: what a user reads before a trial is spent."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
PROFILE = ("profile", "--space", "tiny", "--samples", "120")
SEARCH = ("search", "--space", "tiny", "--trials", "2", "--epochs", "1", "--workers", "1", "--study", "s")
IMPOSSIBLE = ("--constraint", "latency<=1us")


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def text_of(cli: Cli, *words: str) -> str:
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    text: str = outcome.out
    return text


# -- nas profile -------------------------------------------------------------------------------------------


def test_the_space_and_its_costs(cli: Cli, tmp_path: Path) -> None:
    text = text_of(cli, *PROFILE)
    assert text.startswith("tiny: 1,056 architectures, 14 decisions; looked at 120 random ones\n")
    assert "a100: a100-sxm4-80gb/compiled/fp16/b1/nchw, predicted by utilisation" in text
    assert re.search(r"latency on a100 \(T0\) +0\.\d+ ms +0\.\d+ ms +0\.\d+ ms", text)
    assert re.search(r"params +[\d.]+ k +[\d.]+ k +[\d.]+ k", text)
    assert "constraint" not in text
    assert list(tmp_path.iterdir()) == []


def test_a_whole_space_is_said_to_be_one(cli: Cli) -> None:
    text = text_of(cli, "profile", "--space", "tiny", "--samples", "2000", "--constraint", "params<=1G")
    assert "looked at all of them" in text
    assert "1,056 of 1,056 architectures keep the constraint (100%)." in text


def test_the_binding_constraint_is_named(cli: Cli) -> None:
    text = text_of(cli, *PROFILE, "--constraint", "latency<=100us", "--constraint", "params<=1G")
    assert re.search(r"^\d+ of 120 samples keep all constraints \(\d+\.\d %\)\.$", text, re.M)
    assert re.search(r"^Binding: latency <= 0\.100 ms removes .* of the 120 samples that keep", text, re.M)
    assert "Nearest limit" not in text


def test_nothing_binds(cli: Cli) -> None:
    text = text_of(cli, *PROFILE, "--constraint", "latency<=1s", "--constraint", "params<=1G")
    assert "Binding: none" in text


def test_the_nearest_limit_can_be_typed(cli: Cli) -> None:
    text = text_of(cli, *PROFILE, *IMPOSSIBLE)
    assert "0 of 120 samples keep the constraint (0%)." in text
    (limit,) = re.findall(r"^Nearest limit .*: --constraint '(latency<=[\d.]+us)'\.$", text, re.M)
    again = json_of(cli, *PROFILE, "--constraint", limit)
    assert again["fit"] + again["downhill"]["fit"] > 0
    assert again["loosen"] == []


def test_two_limits_that_must_both_give_way(cli: Cli) -> None:
    text = text_of(cli, *PROFILE, *IMPOSSIBLE, "--constraint", "params<=10")
    assert "No single limit can be loosened" in text
    assert "no sample keeps all but one" in text


def test_a_name_without_a_target_is_completed_where_there_are_several(cli: Cli) -> None:
    text = text_of(cli, *PROFILE, "--target", "t4", "--target", "pixel6", "--constraint", "latency<=1s")
    assert "latency@t4 <= 1.00 s" in text
    assert "latency on pixel6" in text


def test_the_json_is_one_object_with_every_key_documented(cli: Cli) -> None:
    content = json_of(cli, *PROFILE, *IMPOSSIBLE, "--constraint", "params<=5M")
    docs = Path(__file__).parents[2] / "docs" / "commands.md"
    section = docs.read_text(encoding="utf-8").partition("## nas profile\n")[2].partition("\n## ")[0]
    assert [key for key in content if f"`{key}`" not in section] == []
    for part in ("costs", "constraints", "loosen"):
        assert [key for key in content[part][0] if f'"{key}"' not in section] == []
    assert (content["space"], content["size"], content["samples"], content["is_whole"]) == (
        "tiny",
        1_056,
        120,
        False,
    )
    latency, params = content["constraints"]
    assert (latency["fit"], latency["share"], latency["others"], latency["removed"]) == (0, 0.0, 120, 1.0)
    assert (params["fit"], params["others"], params["removed"], params["tightest"]) == (120, 0, None, None)
    assert content["binding"] == "latency<=0.001"
    (loosened,) = content["loosen"]
    assert loosened["limit"] == latency["tightest"] == latency["extreme"]
    assert content["targets"] == {"a100": "a100-sxm4-80gb/compiled/fp16/b1/nchw"}
    assert [c["target"] for c in content["costs"] if c["cost"] in ("params", "macs")] == [None, None]
    assert all(c["min"] <= c["median"] <= c["max"] for c in content["costs"])


def test_a_space_of_more_architectures_than_a_float_counts(cli: Cli) -> None:
    content = json_of(cli, "profile", "--space", "mobile", "--samples", "1")
    assert content["size"] > 10**29
    assert content["samples"] == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--space", "tinny"), "Did you mean 'tiny'?"),
        (("--target", "a1000"), "Did you mean"),
        (("--cost-model", "none"), "unknown cost model 'none'"),
        (("--constraint", "accuracy>=90%"), "is on a metric, which only training tells"),
        (("--constraint", "latency=3"), "is not of the form"),
        (("--constraint", "latency<=3kg"), "unknown unit 'kg'"),
        (("--constraint", "speed<=3"), "unknown cost 'speed'"),
        (("--samples", "0"), "--samples"),
        (("--samples", "1000000000"), "--samples"),
        (("--seed", "-1"), "--seed"),
    ],
)
def test_wrong_input(cli: Cli, words: tuple[str, ...], message: str) -> None:
    outcome = cli(*PROFILE, *words)
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.error) <= 2
    assert outcome.out == ""


# -- nas search --force ------------------------------------------------------------------------------------


def test_a_search_that_cannot_keep_its_limits_says_how_to_go_on(cli: Cli, tmp_path: Path) -> None:
    outcome = cli(*SEARCH, *IMPOSSIBLE, "--precision", "fp32")
    assert outcome.code == 2
    first, second = outcome.error
    assert re.fullmatch(
        r"error: 0 of 1,000 samples meet latency <= 0\.001 ms; smallest seen 0\.\d+ ms", first
    )
    assert "--force" in second
    command = second.partition("nas profile ")[2].replace("'", "").split()
    assert command == ["--space", "tiny", "--target", "a100", "--constraint", "latency<=0.001", *(
        "--precision", "fp32"
    )]  # fmt: skip
    assert json_of(cli, "profile", *command, "--samples", "50")["fit"] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_forced_search_tries_and_ends_with_a_message(cli: Cli) -> None:
    outcome = cli(*SEARCH, *IMPOSSIBLE, "--force")
    assert outcome.code == 1
    assert outcome.error == ["error: space exhausted: 1,056 of 1,056 (1,056 break a constraint)"]
    assert json_of(cli, "show", "s")["trials"] == []


def test_force_changes_nothing_where_the_limits_can_be_kept(cli: Cli) -> None:
    assert len(json_of(cli, *SEARCH, "--constraint", "params<=1M", "--force")["front"]) > 0
