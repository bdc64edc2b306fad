"""The command line with plugins: files, checks, lists and what blocks take."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import pytest
from command_outcome import Outcome

from nas.cli.main import COMMANDS, cli

GATE = '''
import torch
from torch import nn

from nas import Block, Choice, hookimpl


class Gate(nn.Module):
    """``conv(x) * sigmoid(x)``; keeps (N, C, H, W). `kernel`: side in pixels, odd."""

    def __init__(self, signature, *, kernel=3):
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, signature.channels, kernel, padding=kernel // 2)

    def forward(self, x):
        return self.conv(x) * torch.sigmoid(x)


@hookimpl
def nas_blocks():
    return [
        Block(
            name="gate_of_a_test",
            role="mixer",
            domain="image",
            build=Gate,
            knobs={"kernel": Choice(3, 5)},
            description="a gated convolution",
        )
    ]
'''
SPACE = """
name = "gated"
input = { domain = "image", channels = 3, size = [32, 32] }
classes = 10
[stem]
use = "conv_stem"
width = 8
stride = 2
[[stages]]
depth = [1, 2]
width = [8, 16]
blocks = [{ use = "metaformer", mixer = { use = "gate_of_a_test", kernel = [3, 5] } }]
[head]
use = "pool_linear"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gate_file.py").write_text(GATE)
    (tmp_path / "gated.toml").write_text(SPACE)
    return tmp_path


@pytest.fixture
def run(nas_process: Callable[..., Outcome], folder: Path) -> Callable[..., Outcome]:
    """Runs one command in the folder."""
    return partial(nas_process, folder)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_takes_a_plugin_file(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    for one in commands:
        (option,) = [parameter for parameter in one.params if parameter.name == "plugin"]
        assert isinstance(option, click.Option)
        assert option.multiple


@pytest.mark.parametrize("words", ["--plugin gate_file.py blocks", "blocks --plugin ./gate_file.py"])
def test_a_file_is_taken_in_front_of_the_command_and_behind_it(
    run: Callable[..., Outcome], folder: Path, words: str
) -> None:
    result = run(words)
    assert result.code == 0
    assert "gate_of_a_test" in result.out
    assert "gate_of_a_test" not in run("blocks").out


@pytest.mark.ray
@pytest.mark.slow
def test_a_study_with_a_file_runs_on_workers_and_resumes_only_with_it(
    run: Callable[..., Outcome], folder: Path
) -> None:
    search = (
        "search --space gated.toml --trials 2 --epochs 1 --study s --plugin gate_file.py --workers 2 --json"
    )
    assert run(search).code == 0
    trials = json.loads(run("show s --json").out)["trials"]
    assert [trial["state"] for trial in trials] == ["finished", "finished"]

    without = run("resume s --trials 3 --workers 1")
    assert without.code == 4
    assert f"Add --plugin {folder / 'gate_file.py'}." in without.err

    (folder / "gate_file.py").write_text(GATE + "\n# changed\n")
    again = run("resume s --trials 3 --workers 1 --plugin gate_file.py --json")
    assert again.code == 0
    assert "the file has changed since" in again.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("blocks --plugin nothing.py", "no such Python file"),
        ("blocks --plugin gated.toml", "give the path of a .py file"),
        ("plugins check gate_of_a_tst --plugin gate_file.py", "Did you mean 'gate_of_a_test'?"),
    ],
)
def test_mistakes_are_usage_errors(run: Callable[..., Outcome], folder: Path, words: str, said: str) -> None:
    result = run(words)
    assert result.code == 2
    assert said in result.err
    assert result.err.count("\n") <= 3


def test_a_block_that_keeps_its_promises_passes_the_check(run: Callable[..., Outcome], folder: Path) -> None:
    result = run("plugins check gate_file --plugin gate_file.py --json")
    assert result.code == 0, result.err
    checks = json.loads(result.out)["checks"]
    assert {check["status"] for check in checks} == {"passed"}
    assert {check["name"] for check in checks} == {"gate_of_a_test"}
    assert len(checks) >= 12


def test_a_block_that_does_not_is_shown_with_what_it_breaks(
    run: Callable[..., Outcome], folder: Path
) -> None:
    broken = GATE.replace("self.conv(x) * torch.sigmoid(x)", "self.conv(x) - x.mean(0, keepdim=True)")
    (folder / "gate_file.py").write_text(broken)
    result = run("plugins check gate_of_a_test --plugin gate_file.py")
    assert result.code == 4
    assert "a sample does not see the others in eval" in result.out
    assert "checks failed, in 1 of 1 items" in result.err
    assert "gate_of_a_test(kernel=" in result.out


def test_imports_are_timed_slowest_first(run: Callable[..., Outcome], folder: Path) -> None:
    (folder / "slow_file.py").write_text("import time\ntime.sleep(0.3)\n" + GATE.replace("of_a_test", "slow"))
    result = run("plugins --timings --json --plugin slow_file.py")
    plugins = json.loads(result.out)["plugins"]
    seconds = [plugin["seconds"] for plugin in plugins]
    assert seconds == sorted(seconds, reverse=True)
    assert plugins[0]["name"] == "slow_file"
    assert seconds[0] >= 0.3
    assert " ms" in run("plugins --timings").out


def test_blocks_are_listed_with_what_they_take(run: Callable[..., Outcome], folder: Path) -> None:
    result = run("blocks --json --role mixer --plugin gate_file.py")
    assert result.err == ""
    blocks = {block["name"]: block for block in json.loads(result.out)["blocks"]}
    gate = blocks["gate_of_a_test"]
    assert gate["size"] == [64, 56, 56]
    assert gate["params"] == 64 * 64 * 9 + 64
    assert gate["macs"] == 56 * 56 * 64 * 64 * 9
    assert gate["knobs"] == {"kernel": {"values": [3, 5]}}
    assert gate["plugin"].startswith("gate_file (gate_file.py ")
    for block in blocks.values():
        assert block["role"] == "mixer"
        assert isinstance(block["params"], int), block["name"]
        assert block["macs"] >= 0
        assert block["description"]


def test_a_block_says_what_it_takes(run: Callable[..., Outcome], folder: Path) -> None:
    assert (
        "With its defaults on 64x56x56: 36,928 params"
        in run("blocks gate_of_a_test --plugin gate_file.py").out
    )


def test_what_comes_next_names_the_file_and_works(run: Callable[..., Outcome], folder: Path) -> None:
    search = "search --space gated.toml --trials 2 --epochs 1 --study s --workers 1"
    said = run(f"{search} --plugin gate_file.py").out
    (export,) = [line.strip() for line in said.splitlines() if "nas export" in line]
    (resume,) = [line.strip() for line in said.splitlines() if "nas resume" in line]
    assert "--plugin gate_file.py" in export
    assert resume == "nas resume s --plugin gate_file.py --trials 4"
    assert run(f"{resume.removeprefix('nas ')} --workers 1").code == 0
    without = run("export s#0 --format weights")
    assert without.code == 4
    assert f"Add --plugin {folder / 'gate_file.py'}." in without.err
    assert run("export s#0 --format weights --plugin gate_file.py").code == 0
