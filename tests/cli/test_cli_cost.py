"""``nas cost`` and ``nas targets``: what a user reads of a network and of the hardware."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., Any]
MODULE = """
import torch




def build():
    return torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.GELU(), torch.nn.Linear(64, 8))
"""
BOARD = """
name = "board"
class = "edge-gpu"
vendor = "me"

[profile]
precision = "fp16"

[figures]
fp16_tflops = { value = 10.0, source = "page 2", trust = "high" }
fp32_tflops = { value = 5.0, source = "page 2", trust = "high" }
memory_bandwidth_gbs = { value = 100.0, source = "page 4", trust = "medium" }
memory_gb = { value = 4.0, source = "page 5", trust = "high" }
idle_w = { value = 3.0, source = "guess", trust = "low" }
int8_tops = { value = 20.0, source = "guess", trust = "low" }
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "priced_module.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "board.toml").write_text(BOARD, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "priced_module:build"


def text_of(cli: Cli, *words: str) -> str:
    outcome = cli(*words)
    assert outcome.code == 0, outcome.err
    text: str = outcome.out
    return text


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text_of(cli, *words, "--json"))
    return content


def section(command: str) -> str:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")
    return page.partition(f"\n## nas {command}\n")[2].partition("\n## ")[0]


# -- nas cost ----------------------------------------------------------------------------------------------


def test_targets_stand_side_by_side_with_interval_and_tier(cli: Cli, network: str) -> None:
    text = text_of(cli, "cost", network, "--input", "32", "--target", "a100", "--target", "./board.toml")
    assert text.startswith("priced_module:build: 2,632 params, 2.56 k MACs (2,560) for one sample\n")
    interval = r"[\d.]+ ms \([\d.]+–[\d.]+\) T0"
    assert re.search(rf"a100-sxm4-80gb/compiled/fp16/b1/nchw +{interval} +predicted by", text)
    assert re.search(rf"board/compiled/fp16/b1/nchw +{interval} +predicted by", text)
    assert re.search(r"block +a100 \(T0\) +board \(T0\)", text)
    assert "board/compiled/fp16/b1/nchw: T0, figures: 3 high, 1 medium, 1 low trust; unsure: idle_w" in text


def test_operators_say_where_they_run_and_what_bounds_them(cli: Cli, network: str) -> None:
    text = text_of(cli, "cost", network, "--input", "32", "--operators", "2")
    assert re.search(r"The 2 most expensive of \d operators \(T0\)", text)
    assert re.search(r"^ [02] +linear +gemm +[\d.]+ k .* ms +[\d.]+ % +(launch|memory|compute)", text, re.M)
    assert "block " not in text
    assert "most expensive" not in text_of(cli, "cost", network, "--input", "32", "--operators", "0")


def test_the_json_is_complete_and_documented(cli: Cli, network: str) -> None:
    words = ("--input", "32", "--target", "a100", "--target", "./board.toml", "--batch-size", "4")
    content = json_of(cli, "cost", network, *words, "--layout", "nhwc")
    docs = section("cost")
    assert [key for key in content if f'"{key}"' not in docs] == []
    first, second = content["costs"]
    documented = {word for line in docs.splitlines() for word in re.findall(r"`\"?([a-z_]+)\"?`", line)}
    assert [key for key in first if key not in documented] == []
    for part in ("profile", "trust"):
        assert [key for key in first[part] if f'"{key}"' not in docs] == []
    assert [key for key in first["operators"][0] if f'"{key}"' not in docs] == []
    assert first["profile"] == {
        "device": "a100-sxm4-80gb",
        "runtime": "compiled",
        "precision": "fp16",
        "batch_size": 4,
        "layout": "nhwc",
    }
    assert (second["name"], second["tier"], second["kind"]) == ("board", "T0", "predicted")
    assert second["trust"] == {"counts": {"high": 3, "medium": 1, "low": 1}, "unsure": ["idle_w"]}
    assert second["low_ms"] <= second["latency_ms"] <= second["high_ms"]
    assert content["path"] is None


def test_the_time_of_the_blocks_is_that_of_the_operators(cli: Cli, network: str) -> None:
    content = json_of(cli, "cost", network, "--input", "32", "--target", "./board.toml", "--operators", "50")
    (cost,) = content["costs"]
    assert cost["operator_count"] == len(cost["operators"])
    times = sum(operator["latency_ms"] for operator in cost["operators"])
    assert sum(row["latency_ms"]["board"] for row in content["modules"]) == pytest.approx(times)


def test_a_network_that_does_not_fit_is_told(cli: Cli, network: str, tmp_path: Path) -> None:
    small = BOARD.replace("memory_gb = { value = 4.0", "memory_gb = { value = 1e-6")
    (tmp_path / "small.toml").write_text(small, encoding="utf-8")
    words = ("cost", network, "--input", "32", "--target", "./small.toml")
    note = r"needs [\d.e-]+ GB at its peak, and the device has 1e-06 GB: it does not fit"
    assert re.search(rf"^note: {note}", text_of(cli, *words), re.M)
    assert re.search(note, json_of(cli, *words)["costs"][0]["notes"][0])
    assert (
        json_of(cli, "cost", network, "--input", "32", "--target", "./board.toml")["costs"][0]["notes"] == []
    )


def test_the_page_opens_offline(cli: Cli, network: str, tmp_path: Path) -> None:
    words = ("cost", network, "--input", "32", "--target", "a100", "--target", "./board.toml")
    text = text_of(cli, *words, "-o", str(tmp_path / "cost.html"))
    assert text.endswith(f"wrote {tmp_path / 'cost.html'}\n")
    page = (tmp_path / "cost.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page
    for label in ("a100-sxm4-80gb/compiled/fp16/b1/nchw", "board/compiled/fp16/b1/nchw"):
        assert f"<h3>{label}</h3>" in page


@pytest.mark.parametrize("name", ["cost.pdf", "nowhere/cost.html"])
def test_a_page_that_cannot_be_written_is_refused_first(cli: Cli, name: str) -> None:
    outcome = cli("cost", "no_such_module:build", "-o", name)
    assert outcome.code == 2
    assert name in outcome.error[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--target", "a1000"), "a100"),
        (("--precision", "fp12"), "fp32, tf32, fp16"),
        (("--layout", "nwhc"), "known: nchw, nhwc"),
        (("--runtime", "eagre"), "eager"),
        (("--target", "a100", "--target", "a100"), "given twice"),
        (("--input", "3;224"), "3,224,224"),
    ],
)
def test_a_wrong_option_says_what_there_is(cli: Cli, words: tuple[str, ...], said: str) -> None:
    outcome = cli("cost", "published/resnet50", *words)
    assert outcome.code == 2
    assert said in " ".join(outcome.error)


# -- nas targets -------------------------------------------------------------------------------------------


def test_every_target_has_class_profile_tier_and_trust(cli: Cli) -> None:
    content = json_of(cli, "targets")
    docs = section("targets")
    assert len(content["targets"]) >= 74
    assert [key for key in content["targets"][0] if f'"{key}"' not in docs] == []
    for target in content["targets"]:
        assert target["tier"] in ("T0", "T1", "T2", "T3")
        assert sum(target["trust"]["counts"].values()) >= 4
    text = text_of(cli, "targets")
    assert f"{len(content['targets'])} targets" in text
    assert re.search(r"a100-sxm4-80gb +a100.* dc-gpu +NVIDIA +compiled/fp16/b1/nchw +T0 +[1-9]", text)


def test_a_target_shows_each_figure_with_trust_and_source(cli: Cli, network: str) -> None:
    text = text_of(cli, "targets", "./board.toml")
    assert text.startswith("board/compiled/fp16/b1/nchw\nme, edge-gpu; T0\n")
    assert "Figures this profile rests on: 3 high, 1 medium, 1 low trust; unsure: idle_w" in text
    assert re.search(r"memory_bandwidth_gbs +100 +medium +page 4", text)
    content = json_of(cli, "targets", "./board.toml", "--precision", "int8", "--layout", "nhwc")
    assert content["label"] == "board/compiled/int8/b1/nhwc"
    assert content["figures"]["idle_w"] == {"value": 3.0, "source": "guess", "trust": "low"}
    assert content["calibration"] is None


CALIBRATED = """
[calibration]
tier = "T2"
model = "roofline"
source = "me, 2026-01-02"
scale = 1.5
low = 0.8
high = 1.25

[calibration.conditions]
torch = "2.13"
"""


def test_a_calibration_says_who_measured_what(cli: Cli, network: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(BOARD + CALIBRATED, encoding="utf-8")
    text = text_of(cli, "targets", "./mine.toml")
    assert "me, edge-gpu; T2" in text
    assert "Calibrated (T2, for the cost model roofline): me, 2026-01-02" in text
    assert "0.80 to 1.25 times what is predicted" in text
    content = json_of(cli, "targets", "./mine.toml")
    docs = section("targets")
    assert (content["tier"], content["calibration"]["scale"]) == ("T2", 1.5)
    assert [key for key in content["calibration"] if f'"{key}"' not in docs] == []


def test_a_profile_is_that_of_one_target(cli: Cli) -> None:
    outcome = cli("targets", "--batch-size", "4")
    assert outcome.code == 2
    assert "--batch-size completes one target" in outcome.error[0]
