"""``nas proxies``: a table, one JSON object, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.plugins.registry import default_registry
from nas.search.objective import Objective
from nas.search.study import StudySpec
from nas.spaces import load_space
from nas.store import Store, StudyRecord

QUICK = ("--proxy", "params", "--proxy", "naswot")
Cli = Callable[..., Any]


def make_study(folder: Path, name: str, trials: int, *objectives: str) -> None:
    """A study of the space tiny in ``nas.db``, its trials finished with made-up accuracies."""
    space = load_space("tiny", default_registry())
    wanted = tuple(map(Objective.parse, objectives or ("accuracy", "latency")))
    spec = StudySpec(name, "tiny", space.text, ("a100",), wanted, target_names=("a100",))
    rng = np.random.default_rng(0)
    with Store.open(folder / "nas.db") as store:
        store.create_study(StudyRecord(name, spec.to_json()))
        for number in range(trials):
            store.add_trial(name, space.sample(rng), fidelity=1, seed=number)
            store.start_trial(name, number, attempt=1, host="here")
            store.record_step(name, number, attempt=1, step=1, metrics={"accuracy": number / 10})
            store.finish_trial(name, number, attempt=1, seconds=1.0)


def test_the_proxies_of_a_study(cli: Cli, tmp_path: Path) -> None:
    make_study(tmp_path, "small", 5)
    first = cli("proxies", "small", *QUICK)
    assert first.code == 0, first.err
    assert "scoring 5 networks" in first.err
    assert "rank correlation with accuracy of 5 networks" in first.out
    again = cli("proxies", "small", *QUICK, "--json")
    assert again.err == ""
    content = json.loads(again.out)
    assert (content["study"], content["objective"], content["direction"]) == ("small", "accuracy", "max")
    assert content["networks"] == 5
    assert {proxy["name"] for proxy in content["proxies"]} == {"params", "naswot"}
    for proxy in content["proxies"]:
        assert proxy["count"] == 5
        assert -1 <= proxy["low"] <= proxy["spearman"] <= proxy["high"] <= 1
        assert proxy["verdict"] in ("helps", "unclear", "harmful")
        assert (proxy["trust"], proxy["failed"], proxy["error"]) == (0.0, 0, None)
    assert "scoring" not in cli("proxies", "small", *QUICK).err


@pytest.mark.parametrize("trials", [0, 2])
def test_too_few_networks_have_no_correlation(cli: Cli, tmp_path: Path, trials: int) -> None:
    make_study(tmp_path, "few", trials)
    shown = cli("proxies", "few", "--proxy", "params")
    assert shown.code == 0
    assert ("unclear: too few networks" if trials else "has no finished trial yet") in shown.out
    (proxy,) = json.loads(cli("proxies", "few", "--proxy", "params", "--json").out)["proxies"]
    assert (proxy["spearman"], proxy["low"], proxy["high"], proxy["kendall"]) == (None,) * 4


def test_what_is_refused(cli: Cli, tmp_path: Path) -> None:
    missing = cli("proxies", "small")
    assert missing.code == 3
    assert "there is no store" in missing.err
    make_study(tmp_path, "costs", 1, "latency", "params")
    make_study(tmp_path, "one", 1)
    for words, reason in (
        (("cost",), "Did you mean 'costs'?"),
        (("costs",), "every objective of study 'costs' is a cost"),
        (("one", "--proxy", "parms"), "unknown proxy 'parms'. Did you mean 'params'?"),
    ):
        refused = cli("proxies", *words)
        assert refused.code == 2
        assert reason in refused.err
