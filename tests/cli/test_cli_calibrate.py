"""``nas calibrate`` and ``nas measure``, as a user meets them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from priced_studies import priced_study

from nas.costs import read_target
from nas.costs.measuring import calibrating
from nas.costs.measuring.reference import Reference
from nas.costs.reading import Reading
from nas.store import Store

Cli = Callable[..., Any]
MODULE = (
    "import torch\n\ndef build():\n    return torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU())\n"
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NAS_CALIBRATIONS", str(tmp_path / "calibrations"))
    monkeypatch.setattr(calibrating, "NETWORKS", 3)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # no test waits for another that measures
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield tmp_path / "calibrations"


def json_of(cli: Cli, *words: str) -> dict[str, Any]:
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    content: dict[str, Any] = json.loads(outcome.out)
    return content


def calibrated(cli: Cli, *words: str) -> dict[str, Any]:
    return json_of(cli, "calibrate", "--seconds", "1", "--threads", "1", *words)


def test_this_is_calibrated_and_found_again(cli, folder):
    before = json_of(cli, "cost", "published/resnet50", "--target", "this-cpu")["costs"][0]
    found = calibrated(cli, "--target", "this-cpu")
    assert Path(found["path"]).parent == folder
    assert found["tier"] == "T2" and found["low"] <= 1 <= found["high"]
    assert set(found["figures"]) >= {"fp32_tflops", "memory_bandwidth_gbs", "launch_floor_us"}
    after = json_of(cli, "cost", "published/resnet50", "--target", "this-cpu")["costs"][0]
    assert (before["tier"], after["tier"]) == ("T0", "T2")
    assert after["target"] == found["target"]


def test_a_calibrated_file_is_a_target(cli, tmp_path, folder):
    calibrated(cli, "--target", "this-cpu", "-o", "this.toml")
    assert not folder.exists()
    assert read_target(tmp_path / "this.toml").calibration is not None
    (tmp_path / "mine.py").write_text(MODULE)
    cost = json_of(cli, "cost", "mine:build", "--input", "32", "--target", "this.toml")["costs"][0]
    assert cost["tier"] == "T2"


def test_networks_of_a_space_are_measured_too(cli, folder):
    found = calibrated(cli, "--target", "this-cpu", "--space", "tiny")
    assert found["tier"] == "T3"
    assert " networks" in found["source"]
    printed = cli("cost", "published/mobilenet_v1", "--target", "this-cpu", "--input", "3,64,64")
    assert "T3" in printed.out


def test_an_unknown_space_is_refused_before_anything_is_measured(cli, folder):
    outcome = cli("calibrate", "--target", "this-cpu", "--space", "mobil", "--seconds", "600")
    assert outcome.code == 2
    assert "Did you mean 'mobile'" in outcome.err


def test_a_space_is_not_measured_beside_a_file(cli, tmp_path):
    words = ("--target", "a100", "--measurements", "none.csv", "-o", "x.toml", "--space", "tiny")
    outcome = cli("calibrate", *words)
    assert outcome.code == 2
    assert "--space" in outcome.err and "--measurements" in outcome.err


def test_interrupted_it_writes_nothing(cli, monkeypatch, tmp_path, folder):
    def interrupted(*given: Any, **named: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrating, "measure_in_company", interrupted)
    outcome = cli("calibrate", "--target", "this-cpu", "-o", "this.toml", "--seconds", "1")
    assert outcome.code == 130
    assert not (tmp_path / "this.toml").exists() and not folder.exists()


def test_networks_measured_elsewhere_give_a_scale(cli, tmp_path):
    plain = json_of(cli, "cost", "published/resnet50", "--target", "a100")["costs"][0]
    (tmp_path / "mine.py").write_text(MODULE)
    rows = [f"published/resnet50,{3 * plain['latency_ms']},1,", 'mine:build,0.02,4,"32"']
    (tmp_path / "measured.csv").write_text("\n".join(["what,latency_ms,batch_size,input", *rows]))
    words = ("calibrate", "--target", "a100", "--measurements", "measured.csv")
    outcome = cli(*words)
    assert outcome.code == 2 and "-o" in outcome.err
    found = json_of(cli, *words, "-o", "ours.toml")
    assert (found["tier"], found["kernels"]) == ("T1", {})
    assert "2 measured networks of measured.csv" in found["source"]
    cost = json_of(cli, "cost", "published/resnet50", "--target", "ours.toml")["costs"][0]
    assert cost["tier"] == "T1" and cost["latency_ms"] > plain["latency_ms"]


WRONG = {
    "nothing measured": ("what,latency_ms\n", "no network"),
    "another column": ("what,latency_ms,speed\na,1,2\n", "columns are"),
    "no latency": ("what\na\n", "columns are"),
    "a word for a number": ("what,latency_ms\na,fast\n", "measured.csv:2"),
    "a latency of zero": ("what,latency_ms\npublished/resnet50,1\nb,0\n", "measured.csv:3"),
    "not a number": ("what,latency_ms\na,nan\n", "measured.csv:2"),
    "no network named": ("what,latency_ms\n,1\n", "measured.csv:2"),
    "an unknown network": ("what,latency_ms\npublished/resnet51,1\n", "resnet51"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_of_measurements(cli, tmp_path, what):
    text, word = WRONG[what]
    (tmp_path / "measured.csv").write_text(text)
    outcome = cli("calibrate", "--target", "a100", "--measurements", "measured.csv", "-o", "x.toml")
    assert outcome.code == 2 and word in outcome.err
    assert not (tmp_path / "x.toml").exists()


def test_a_missing_file_of_measurements(cli):
    outcome = cli("calibrate", "--target", "a100", "--measurements", "none.csv", "-o", "x.toml")
    assert outcome.code == 2 and "none.csv" in outcome.err


@pytest.mark.parametrize("command", [("calibrate",), ("measure", "published/resnet50")])
def test_another_machine_cannot_be_measured(cli, command):
    outcome = cli(*command, "--target", "rpi5", "--seconds", "1")
    assert outcome.code == 2 and "this machine is" in outcome.err


def test_a_runtime_that_cannot_be_measured(cli):
    outcome = cli("measure", "published/resnet50", "--target", "this-cpu", "--runtime", "tflite")
    assert outcome.code == 2 and "--runtime eager or compiled" in outcome.err


def test_a_module_is_measured_beside_its_prediction(cli, tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    words = ("measure", "mine:build", "--input", "32", "--seconds", "0.01", "--target", "this-cpu")
    found = json_of(cli, *words)["networks"][0]
    assert found["measured"]["kind"] == "measured" and found["predicted"]["kind"] == "predicted"
    assert found["measured"]["tier"] == "T4"
    assert found["measured"]["params"] == found["predicted"]["params"] == 32 * 64 + 64
    inside = found["predicted"]["low_ms"] <= found["measured"]["latency_ms"] <= found["predicted"]["high_ms"]
    assert found["inside"] is inside
    printed = cli(*words)
    assert printed.code == 0 and "measured" in printed.out and "not calibrated" in printed.out


@pytest.mark.parametrize(("slower", "speed", "is_told"), [(1.25, 0.8, True), (1.005, 0.995, False)])
def test_latencies_are_told_at_the_speed_of_the_calibration(
    cli, tmp_path, monkeypatch, slower, speed, is_told
):
    """A machine whose reference takes a quarter longer than it did; a little is not worth a word."""
    calibrated(cli, "--target", "this-cpu", "-o", "this.toml")
    (tmp_path / "mine.py").write_text(MODULE)
    calibration = read_target(tmp_path / "this.toml").calibration
    assert calibration is not None and calibration.reference is not None
    usual = calibration.reference
    now = Reading(usual.product_ms * slower, usual.convolution_ms * slower)
    monkeypatch.setattr(Reference, "read", lambda reference: now)
    words = ("measure", "mine:build", "--input", "32", "--seconds", "0.01", "--target", "this.toml")
    found = json_of(cli, *words)["networks"][0]
    assert found["measurement"]["speed"] == pytest.approx(speed, rel=1e-3)
    assert "speed of the calibration" in found["measurement"]["conditions"]["clock"]
    assert "at the speed of the calibration" in found["measured"]["model"]
    assert ("at 80 % of the speed it was calibrated at" in cli(*words).out) is is_told


def test_a_front_is_measured_and_stored_beside_its_predictions(cli, tmp_path):
    spec = priced_study(tmp_path, [0.5, 0.9, 0.7], targets=("a100",))
    words = ("--seconds", "0.01", "--target", "this-cpu")
    found = json_of(cli, "measure", spec.name, "--front", *words)
    assert found["networks"]
    with Store.open(str(tmp_path / "nas.db")) as store:
        by_name = {f"{spec.name}#{trial.number}": trial for trial in store.trials(spec.name)}
    for network in found["networks"]:
        costs = by_name[network["name"]].costs
        assert [cost.kind for cost in costs if cost.target == found["target"]] == ["measured"]
        assert {cost.kind for cost in costs if cost.target != found["target"]} == {"predicted"}
    one = found["networks"][0]["name"]
    assert json_of(cli, "measure", one, *words)["networks"][0]["name"] == one
    assert cli("measure", one, "--front", *words).code == 2
    for network in found["networks"]:
        assert network["measured"]["energy_mj"] is None and network["measured"]["peak_memory_bytes"] is None
        assert network["predicted"]["energy_mj"] > 0 and network["predicted"]["peak_memory_bytes"] > 0
    shown = cli("show", one).out
    (line,) = [line for line in shown.splitlines() if ", measured;" in line]
    assert "MACs" in line and "mJ" not in line and "memory" not in line
    assert " mJ" in shown
    assert cli("front", spec.name).code == 0


@pytest.mark.parametrize("command", ["measure", "cost"])
def test_a_study_is_no_network(cli, tmp_path, command):
    spec = priced_study(tmp_path, [0.5], targets=("a100",))
    outcome = cli(command, spec.name, "--target", "this-cpu")
    assert outcome.code == 2
    assert f"{spec.name!r} is a study of nas.db" in outcome.err
    assert f"{spec.name}#0" in outcome.err and "--front" in outcome.err
    assert "unknown space" in cli(command, "nothing", "--target", "this-cpu").err


def test_a_study_without_trials_has_no_front(cli, tmp_path):
    spec = priced_study(tmp_path, ["failed"], targets=("a100",))
    outcome = cli("measure", spec.name, "--front", "--target", "this-cpu")
    assert outcome.code == 2 and "no finished trial" in outcome.err
    assert cli("measure", "nothing", "--front", "--target", "this-cpu").code == 2
