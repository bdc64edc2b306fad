"""Searches that train nothing: of costs, of zero-cost proxies; and those that follow proxies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
SMALL = """
name = "small"
input = { domain = "image", channels = 3, size = [16, 16] }
classes = 10

[stem]
use = "conv_stem"
width = [8, 16]
stride = 2

[[stages]]
width = [8, 16]
blocks = [{ use = "inverted_residual", kernel = [3, 5], expansion = 2 }]

[head]
use = "pool_linear"
"""
TINY = ("search", "--space", "tiny", "--workers", "1")


def front_of(outcome: Any) -> list[dict[str, Any]]:
    assert outcome.code == 0, outcome.err
    trials: list[dict[str, Any]] = json.loads(outcome.out)["front"]
    return trials


def test_costs_alone_are_searched_without_training(cli: Cli, tmp_path: Path) -> None:
    options = ("--objective", "latency", "--objective", "max:params", "--trials", "30", "--json")
    front = front_of(cli(*TINY, *options))
    assert len(front) > 3
    latencies = [trial["metrics"]["latency"] for trial in front]
    params = [trial["metrics"]["params"] for trial in front]
    assert latencies == sorted(latencies, reverse=latencies[0] > latencies[-1])
    assert params == sorted(params, reverse=params[0] > params[-1])
    assert all(trial["epochs"] == 1 for trial in front)
    assert not (tmp_path / "nas-artifacts").exists()


def test_it_says_nothing_of_weights_it_has_not(cli: Cli) -> None:
    said = cli(*TINY, "--objective", "latency", "--objective", "params", "--trials", "4", "--study", "s").out
    assert "weights in" not in said
    assert "nas export" not in said
    assert "nas resume s" in said


def test_it_goes_on_like_any_study(cli: Cli) -> None:
    options = ("--objective", "latency", "--objective", "max:params", "--study", "s", "--json")
    straight = front_of(cli(*TINY, *options, "--trials", "16", "--store", "straight.db"))
    cli(*TINY, *options, "--trials", "7")
    resumed = front_of(cli("resume", "s", "--trials", "16", "--json"))
    assert [t["architecture_hash"] for t in resumed] == [t["architecture_hash"] for t in straight]


def test_a_proxy_may_be_an_objective(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SMALL)
    options = ("--objective", "naswot", "--objective", "latency", "--trials", "8", "--study", "s", "--json")
    front = front_of(cli("search", "--space", "small.toml", *options))
    assert all(set(trial["metrics"]) == {"naswot", "latency"} for trial in front)
    proxies = json.loads(cli("show", "s", "--json").out)
    assert len(proxies["trials"]) == 8


def test_a_proxy_is_maximised(cli: Cli) -> None:
    outcome = cli(*TINY, "--objective", "min:naswot", "--objective", "latency")
    assert outcome.code == 2
    assert "a proxy is always maximised; write 'naswot'" in outcome.err


def test_an_unknown_proxy_is_named(cli: Cli) -> None:
    outcome = cli(*TINY, "--proxy", "naswut")
    assert outcome.code == 2
    assert "'naswut'" in outcome.err
    assert "naswot" in outcome.err


@pytest.mark.slow
def test_what_became_of_the_proxies_is_said(cli: Cli) -> None:
    options = ("--proxy", "params", "--proxy", "naswot", "--epochs", "1", "--trials", "9", "--study", "s")
    outcome = cli(*TINY, *options)
    assert outcome.code == 0, outcome.err
    lines = [line for line in outcome.out.splitlines() if line.startswith("proxy ")]
    assert [line.split()[1] for line in lines] == ["params", "naswot"]
    assert all(" was " in line for line in lines)
