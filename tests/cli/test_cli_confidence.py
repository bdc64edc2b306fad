"""``--confidence``: a limit on a predicted latency as a probability, in every command that takes limits."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from priced_studies import accuracies, priced_study

from nas.costs.confidence import probability_within
from nas.search.study import StudySpec
from nas.store import Store
from nas.studies import SearchOptions, read_study_file
from nas.studies.kept import kept_probabilities

Cli = Callable[..., Any]
PROFILE = ("profile", "--space", "tiny", "--samples", "120")
LIMIT = ("--constraint", "latency<=100us")


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


# -- nas profile -------------------------------------------------------------------------------------------


def test_the_surer_the_fewer_networks_keep_a_limit(cli: Cli) -> None:
    shares = [json_of(cli, *PROFILE, *LIMIT, "--confidence", p)["fit"] for p in ("0.1", "0.5", "0.95")]
    assert shares[0] > shares[1] > shares[2]
    assert json_of(cli, *PROFILE, *LIMIT)["fit"] == shares[1]


def test_the_limit_is_said_with_its_confidence(cli: Cli) -> None:
    outcome = cli(*PROFILE, *LIMIT, "--confidence", "0.9")
    assert "latency <= 0.100 ms with 90 %" in outcome.out
    content = json_of(cli, *PROFILE, *LIMIT, "--confidence", "0.9", "--constraint", "params<=1G")
    latency, params = content["constraints"]
    assert (latency["name"], latency["unit"], latency["confidence"]) == ("latency_p90", "ms", 0.9)
    assert (params["name"], params["confidence"]) == ("params", 0.5)


def test_the_nearest_limit_can_be_typed(cli: Cli) -> None:
    content = json_of(cli, *PROFILE, "--constraint", "latency<=1us", "--confidence", "0.9")
    (loosened,) = content["loosen"]
    assert re.fullmatch(r"latency_p90<=[\d.]+(us|ms)", loosened["write"])
    again = json_of(cli, *PROFILE, "--constraint", loosened["write"])
    assert again["fit"] + again["downhill"]["fit"] >= 1


@pytest.mark.parametrize("given", ["0", "1", "90", "nan"])
def test_a_confidence_that_is_none_is_refused(cli: Cli, given: str) -> None:
    outcome = cli(*PROFILE, *LIMIT, "--confidence", given)
    assert outcome.code == 2
    assert "from 0.001 to 0.999" in outcome.error[0]


def test_a_quantile_of_what_has_no_interval_is_unknown(cli: Cli) -> None:
    outcome = cli(*PROFILE, "--constraint", "params_p90<=5M")
    assert outcome.code == 2
    assert "params" in outcome.error[0]


# -- nas search --------------------------------------------------------------------------------------------


def test_a_search_stores_and_keeps_the_sure_limit(cli: Cli, tmp_path: Path) -> None:
    words = ["search", "--space", "tiny", "--trials", "4", "--study", "sure", "--confidence", "0.9"]
    words += ["--objective", "latency", "--objective", "max:macs", "--constraint", "latency<=150us"]
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    assert re.search(r"latency [\d.]+ ms T0, macs [\d.e+]+, latency_p90 [\d.]+ ms T0", outcome.out)
    assert "keeps latency<=0.15" in outcome.out
    with Store.open(str(tmp_path / "nas.db")) as store:
        spec = StudySpec.from_json(store.study("sure").spec)
        trials = store.trials("sure")
    assert [str(constraint) for constraint in spec.constraints] == ["latency_p90<=0.15"]
    for trial in trials:
        assert trial.metrics["latency"] < trial.metrics["latency_p90"] <= 0.15
        assert probability_within(trial.costs[0], 0.15) >= 0.9 - 1e-9


def test_what_cannot_be_kept_surely_is_said_before_a_trial(cli: Cli, tmp_path: Path) -> None:
    words = [
        "search",
        "--space",
        "tiny",
        "--trials",
        "2",
        "--constraint",
        "latency<=1us",
        "--confidence",
        "0.9",
    ]
    outcome = cli(*words)
    assert outcome.code == 2
    assert "meet latency <= 0.001 ms with 90 % confidence; smallest seen" in outcome.error[0]
    assert "--constraint 'latency_p90<=0.001'" in outcome.error[1]
    assert list(tmp_path.iterdir()) == []


def test_a_study_file_takes_a_confidence(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('space = "tiny"\nconfidence = 0.9\nlayout = "nhwc"\n', encoding="utf-8")
    options = read_study_file(path)
    assert (options.confidence, options.layout) == (0.9, "nhwc")
    assert SearchOptions().confidence == 0.5


# -- nas front, nas show, nas retarget ---------------------------------------------------------------------


def sure_study(folder: Path, **options: Any) -> StudySpec:
    given = {"study": "sure", "constraints": ("latency<=150us",), "confidence": 0.8, **options}
    return priced_study(folder, accuracies(), **given)


def test_each_network_says_with_which_probability_it_keeps_the_limit(cli: Cli, tmp_path: Path) -> None:
    sure_study(tmp_path)
    members = json_of(cli, "front", "sure")["front"]
    assert members
    for trial in members:
        cost = trial["costs"]["a100"]
        assert trial["kept"]["latency<=0.15"] >= 0.8
        assert trial["metrics"]["latency_p80"] <= 0.15
        assert cost["latency_ms"] == trial["metrics"]["latency"]
    number = members[0]["number"]
    assert json_of(cli, "show", f"sure#{number}")["kept"] == members[0]["kept"]
    assert re.search(r"^keeps latency<=0.15 with \d+ %$", cli("show", f"sure#{number}").out, re.M)
    assert "keeps latency<=0.15" in cli("front", "sure").out


def test_a_study_without_limits_on_latency_says_nothing_of_them(cli: Cli, tmp_path: Path) -> None:
    priced_study(tmp_path, accuracies(), study="free", constraints=("params<=1G",))
    content = json_of(cli, "front", "free")
    assert all("kept" not in trial for trial in content["front"])
    assert "keeps" not in cli("front", "free").out


def test_the_limit_of_each_target_is_judged_by_its_own_cost(tmp_path: Path) -> None:
    limits = ("latency@a100<=150us", "latency@pixel6>=1us")
    spec = sure_study(tmp_path, targets=("a100", "pixel6"), constraints=limits)
    assert [limit.name for limit in spec.constraints] == ["latency_p80@a100", "latency_p20@pixel6"]
    with Store.open(str(tmp_path / "nas.db")) as store:
        trial = store.trials("sure")[0]
    by_label = {cost.target: cost for cost in trial.costs}
    a100, pixel6 = (by_label[label] for label in spec.target_labels)
    assert kept_probabilities(spec, trial.costs) == {
        "latency@a100<=0.15": probability_within(a100, 0.15),
        "latency@pixel6>=0.001": 1 - probability_within(pixel6, 0.001),
    }


def test_a_retargeted_study_keeps_its_confidence(cli: Cli, tmp_path: Path) -> None:
    sure_study(tmp_path)
    words = ("retarget", "sure", "--target", "t4", "--suggest", "0")
    assert json_of(cli, *words)["constraints"] == ["latency_p80<=0.15"]
    assert json_of(cli, *words, "--constraint", "latency<=2ms")["constraints"] == ["latency_p80<=2"]
    assert json_of(cli, *words, "--confidence", "0.95")["constraints"] == ["latency_p95<=0.15"]
    given = ("--constraint", "latency<=2ms", "--confidence", "0.5")
    assert json_of(cli, *words, *given)["constraints"] == ["latency<=2"]


def test_every_number_of_a_latency_carries_its_tier(cli: Cli, tmp_path: Path) -> None:
    sure_study(tmp_path)
    interval = r"[\d.]+ ms \([\d.]+–[\d.]+\) T0"
    assert re.search(interval, cli("front", "sure").out)
    assert re.search(interval, cli("show", "sure#0").out)
    assert "latency (T0)" in cli("show", "sure").out
    assert re.search(interval, cli("retarget", "sure", "--target", "t4", "--suggest", "1").out)
