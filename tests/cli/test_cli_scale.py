"""``nas scale``: what is printed, what is written, and how it fails."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nas.cli.main import cli, main
from nas.spaces import Architecture

NETWORK = "published/mobilenet_v1"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["scale", *arguments])


def test_it_shows_what_was_reached_and_what_was_aimed_for() -> None:
    found = run(NETWORK, "--by", "4", "--alpha", "1")
    assert found.exit_code == 0, found.output
    assert "depth x 1, width x 2, resolution x 1" in found.output
    rows = {line.split()[0]: line.split() for line in found.output.splitlines() if line.strip()}
    assert rows["MACs"][-1] == "4.00"
    assert rows["activations"][-1] == "2.00"
    assert "latency on a100" in found.output


def test_json_holds_the_architecture_and_both_costs() -> None:
    found = run(NETWORK, "--by", "0.25", "--target", "t4", "--target", "rpi4", "--json")
    content = json.loads(found.output)
    assert (content["by"], content["alpha"], content["path"]) == (0.25, 0.8, None)
    assert content["aims"] == pytest.approx({"macs": 0.25, "params": 0.25**0.9, "activations": 0.25**0.6})
    assert len(content["before"]) == len(content["after"]) == 2
    assert content["after"][0]["macs"] < content["before"][0]["macs"]
    architecture = Architecture.from_json(json.dumps(content["architecture"]))
    assert architecture.hash == content["hash"]


def test_what_is_written_can_be_priced_and_scaled_back(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    found = run(NETWORK, "--by", "4", "--alpha", "1", "--output", str(path))
    assert f"wrote {path}" in found.output
    priced = CliRunner().invoke(cli, ["cost", str(path), "--json"])
    back = json.loads(run(str(path), "--by", "0.25", "--alpha", "1", "--json").output)
    original = json.loads(run(NETWORK, "--by", "1", "--json").output)
    assert json.loads(priced.output)["params"] == back["before"][0]["params"]
    assert back["hash"] == original["hash"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NETWORK, "--by", "0"), "above 0"),
        ((NETWORK, "--by", "nan"), "above 0"),
        ((NETWORK, "--by", "2", "--alpha", "2"), "from 0 to 1"),
        (("mobile", "--by", "2"), "is a space of"),
        (("nothing.json", "--by", "2"), "No such file"),
        (("published/resnext50_32x4d", "--by", "4"), "multiple"),
        ((NETWORK, "--by", "2", "--target", "nowhere"), "unknown target"),
        ((NETWORK, "--by", "2", "--output", "no/folder/x.json"), "does not exist"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["scale", *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
