"""Packages that are broken, clash or misbehave: one warning or one error each, and the command goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_outcome import Outcome

OFFER = """
from nas import Block, hookimpl

@hookimpl
def nas_blocks():
    return [Block(name="gate", role="mixer", domain="image", build="nowhere:Nothing")]
"""
BUILT = """
import torch
from torch import nn
from nas import Block, Choice, hookimpl

class Gate(nn.Module):
    def __init__(self, signature, **knobs):
        super().__init__()
        self.conv = nn.Conv2d(signature.channels, signature.channels, 1)

    def forward(self, x):
        return {result}

@hookimpl
def nas_blocks():
    return [Block(name="gate", role="mixer", domain="image", build=Gate)]
"""
PRICES = """
from dataclasses import replace
from nas import hookimpl
from nas.costs import CostModel

def predict(trace, target):
    from nas.plugins import default_registry
    return replace(default_registry().cost_models["roofline"].price(trace, target), {change})

@hookimpl
def nas_cost_models():
    return [CostModel("mine", predict, "1")]
"""
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
blocks = [{ use = "metaformer", mixer = [{ use = "gate" }] }]
[head]
use = "pool_linear"
"""
SEARCH = "search --space gated.toml --trials 2 --epochs 1 --workers 1 --study s"


class Installed:
    """A folder of installed packages, and the command line that sees them."""

    def __init__(self, folder: Path, process: Callable[..., Outcome]) -> None:
        self._process = process
        self.site = folder / "site"
        self.work = folder / "work"
        self.site.mkdir()
        self.work.mkdir()
        (self.work / "gated.toml").write_text(SPACE)

    def add(self, content: str, distribution: str = "nas-mine", entry_point: str = "mine") -> None:
        """What pip would leave behind: the module and the metadata of its distribution."""
        module = distribution.replace("-", "_")
        (self.site / f"{module}.py").write_text(content)
        metadata = self.site / f"{module}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[nas]\n{entry_point} = {module}\n")

    def run(self, command: str, **environment: str) -> Outcome:
        """One command, with the packages on its search path."""
        path = os.pathsep.join([str(self.site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        return self._process(self.work, command, PYTHONPATH=path, **environment)

    def blocks(self, **environment: str) -> tuple[Outcome, set[str]]:
        """The names that ``nas blocks`` lists."""
        result = self.run("blocks", **environment)
        return result, {line.split()[0] for line in result.out.splitlines() if line.strip()}


@pytest.fixture
def installed(tmp_path: Path, nas_process: Callable[..., Outcome]) -> Installed:
    return Installed(tmp_path, nas_process)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise ImportError('libmine.so.2 is missing')\n", "ImportError: libmine.so.2 is missing"),
        ("raise SystemExit(3)\n", "SystemExit: 3"),
        ("def broken(:\n", "SyntaxError: invalid syntax"),
        (OFFER.replace("nas_blocks", "nas_block"), "unknown hook 'nas_block'; did you mean 'nas_blocks'?"),
        (OFFER.replace("nas_blocks()", "nas_blocks(registry)"), "takes no arguments, not ['registry']"),
        (OFFER.replace("@hookimpl", ""), "implements no hook"),
        ("NAS_API_VERSION = 7\n" + OFFER, "made for plugin API 7; this nas has 1. Upgrade nas"),
        ("NAS_API_VERSION = 7\n" + OFFER.replace("nas_blocks", "nas_blocks_of_tomorrow"), "plugin API 7"),
        ("NAS_API_VERSION = 0\n" + OFFER, "this nas needs 1 or newer. Upgrade the plugin"),
        ("NAS_API_VERSION = '1'\n" + OFFER, "NAS_API_VERSION is '1'; it must be an integer"),
        (
            OFFER.replace("return [", "return 1 / 0, ["),
            "nas_blocks raised ZeroDivisionError: division by zero",
        ),
        (OFFER.replace("return [", "raise SystemExit(2); ["), "nas_blocks raised SystemExit: 2"),
        (OFFER.replace("return [", "["), "nas_blocks returned None, not an iterable of Block"),
        (
            OFFER.replace("return [", "return ['gate', "),
            "nas_blocks returned a str where an iterable of Block",
        ),
        (OFFER.replace('"gate"', '"my gate"'), "whose name is 'my gate'"),
        (OFFER.replace('build="nowhere:Nothing")]', 'build="a:B")] * 2'), "returned 'gate' twice"),
    ],
)
def test_a_broken_package_costs_one_warning_and_its_own_names(
    installed: Installed, content: str, said: str
) -> None:
    installed.add(content)
    installed.add(OFFER.replace("gate", "other"), "nas-fine", "fine")
    result, names = installed.blocks()
    assert result.code == 0
    (warning,) = result.warnings
    assert "nas-mine 1.2" in warning
    assert said in warning
    assert "gate" not in names
    assert {"conv", "other"} <= names


def test_what_is_wrong_is_shown_in_the_list(installed: Installed) -> None:
    installed.add("raise ImportError('libmine.so.2 is missing')\n")
    shown = json.loads(installed.run("plugins --json").out)["plugins"]
    (mine,) = [plugin for plugin in shown if plugin["name"] == "mine"]
    assert mine["error"] == "ImportError: libmine.so.2 is missing"
    assert mine["hooks"] == []
    assert "skipped: ImportError" in installed.run("plugins").out


def test_an_author_gets_the_error_itself(installed: Installed) -> None:
    installed.add("raise ImportError('libmine.so.2 is missing')\n")
    result = installed.run("blocks", NAS_PLUGIN_ERRORS="raise")
    assert result.code == 4
    assert result.error == ["error: plugin mine (nas-mine 1.2): ImportError: libmine.so.2 is missing"]


@pytest.mark.parametrize(
    "place", ["print('hello')\n" + OFFER, OFFER.replace("return", "print('hi'); return")]
)
def test_what_a_package_prints_does_not_reach_the_json(installed: Installed, place: str) -> None:
    installed.add(place.replace("nowhere:Nothing", "torch.nn:Identity"))
    result = installed.run("blocks --role mixer --json")
    assert result.err == ""
    assert "gate" in {block["name"] for block in json.loads(result.out)["blocks"]}


def test_two_providers_of_one_name_are_both_named(installed: Installed) -> None:
    installed.add(BUILT.format(result="x"), "nas-one", "one")
    installed.add(OFFER, "nas-two", "two")
    assert installed.blocks()[0].code == 0
    result = installed.run(SEARCH)
    assert result.code in (2, 4)
    error = " ".join(result.error)
    assert "nas-one 1.2" in error
    assert "nas-two 1.2" in error
    assert "'one/gate' or 'two/gate'" in error
    space = installed.work / "gated.toml"
    space.write_text(space.read_text().replace('"gate"', '"one/gate"'))
    assert installed.run(SEARCH).code == 0


def test_equal_entry_point_names_are_both_loaded(installed: Installed) -> None:
    installed.add(OFFER, "nas-one", "blocks")
    installed.add(OFFER.replace("gate", "other"), "nas-two", "blocks")
    result, names = installed.blocks()
    assert result.warnings == []
    assert {"gate", "other"} <= names


def test_equal_names_in_equal_entry_points_are_told_apart_by_their_distribution(installed: Installed) -> None:
    installed.add(BUILT.format(result="x"), "nas-one", "blocks")
    installed.add(OFFER, "nas-two", "blocks")
    assert "'nas-one/gate' or 'nas-two/gate'" in " ".join(installed.run("blocks gate").error)
    assert installed.run("blocks nas-two/gate --json").code == 0


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("x[:, :, ::2]", "declared is (1, 16, 16, 16)"),
        ("x[:, :1]", "gives an output of shape (1, 1, 16, 16)"),
        ("[x]", "gives a list, not a tensor"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_block_of_another_shape_than_declared_is_named_with_its_package(
    installed: Installed, result: str, said: str
) -> None:
    installed.add(BUILT.format(result=result))
    found = installed.run(SEARCH)
    assert found.code == 1
    error = " ".join(found.error)
    assert "block 'gate' of plugin mine (nas-mine 1.2)" in error
    assert said in error
    assert len(found.error) <= 2


def test_a_nan_is_a_failed_trial_and_never_a_winner(installed: Installed) -> None:
    installed.add(BUILT.format(result="self.conv(x) * float('nan')"))
    found = installed.run(SEARCH)
    assert found.code == 1
    assert "no trial finished" in " ".join(found.error)
    trials = json.loads(installed.run("show s --json").out)["trials"]
    assert {trial["state"] for trial in trials} == {"failed"}
    assert all("not finite" in trial["error"] or "nan" in trial["error"].lower() for trial in trials)
    assert json.loads(installed.run("front s --json").out)["front"] == []


@pytest.mark.parametrize(
    "change",
    [
        "latency_ms=-1.0",
        "latency_ms=float('nan')",
        "energy_mj=-1.0",
        "params=-1",
        "low_ms=9e9",
        "high_ms=0.0",
    ],
)
def test_an_impossible_cost_is_named_with_its_model(installed: Installed, change: str) -> None:
    installed.add(PRICES.format(change=change))
    commands = ["cost published/mobilenet_v2 --cost-model mine"]
    if change == "latency_ms=-1.0":
        commands.append("search --space tiny --cost-model mine --trials 2 --epochs 1 --workers 1")
    for command in commands:
        found = installed.run(command)
        assert found.code == 1, found.err
        error = " ".join(found.error)
        assert "cost model 'mine' of plugin mine (nas-mine 1.2)" in error
        assert change.partition("=")[0] in error
        assert len(found.error) <= 2


def test_without_plugins_only_the_first_party_ones_are_loaded(installed: Installed) -> None:
    installed.add("raise ImportError('broken')\n")
    result = installed.run("--no-plugins blocks")
    assert result.err == ""
    assert "conv" in result.out


def test_the_environment_may_list_plugins_or_packages(installed: Installed) -> None:
    installed.add(OFFER)
    for listed, there in (
        ("mine", True),
        ("nas-mine", True),
        ("", False),
        ("base", False),
        ("base, mine", True),
    ):
        names = installed.blocks(NAS_PLUGINS=listed)[1]
        assert ("gate" in names, "conv" in names) == (there, "base" in listed)
    typo = installed.blocks(NAS_PLUGINS="mine,bse")[0]
    assert typo.warnings == [
        "warning: NAS_PLUGINS lists 'bse', which no installed plugin is called. Did you mean 'base'?"
    ]


def test_a_study_goes_on_only_with_the_plugins_it_uses(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed.add(BUILT.format(result="self.conv(x)"))
    installed.add(OFFER.replace("gate", "unused"), "nas-unused", "unused")
    assert installed.run(SEARCH).code == 0
    without: Callable[[str], Outcome] = lambda command: installed.run(command, NAS_PLUGINS="nas")  # noqa: E731
    assert without("resume s --trials 3").code == 4
    error = " ".join(without("resume s --trials 3").error)
    assert "study 's' uses plugin 'mine' (package nas-mine 1.2), not loaded now" in error
    assert "pip install 'nas-mine==1.2'" in error
    assert installed.run("resume s --trials 3 --workers 1", NAS_PLUGINS="nas,mine").code == 0


def test_another_version_of_a_plugin_is_said(installed: Installed) -> None:
    installed.add(BUILT.format(result="self.conv(x)"))
    assert installed.run(SEARCH).code == 0
    metadata = installed.site / "nas_mine-1.2.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.2", "1.3"))
    result = installed.run("resume s --trials 3 --workers 1")
    assert result.code == 0
    assert "warning: study 's' began with plugin mine (nas-mine 1.2); it is 1.3 now" in result.warnings


def test_what_nas_calls_its_own_stays_its_own(installed: Installed) -> None:
    """A package that takes a first-party name costs one warning, and no space stops working."""
    installed.add(OFFER.replace("gate", "conv_stem"))
    result = installed.run("spaces tiny")
    assert result.code == 0
    (warning,) = result.warnings
    assert (
        "block 'conv_stem' of plugin mine (nas-mine 1.2) is called like that of plugin base (nas " in warning
    )
    assert "write 'mine/conv_stem' for it" in warning
    shown = installed.run("blocks")
    assert {"conv_stem", "mine/conv_stem"} <= {
        line.split()[0] for line in shown.out.splitlines() if line.strip()
    }


def test_the_list_shows_hooks_that_fail_when_they_are_called(installed: Installed) -> None:
    installed.add(OFFER.replace("return [", "raise ValueError('no device'); ["))
    shown = json.loads(installed.run("plugins --json").out)["plugins"]
    (mine,) = [plugin for plugin in shown if plugin["name"] == "mine"]
    assert mine["error"] == "nas_blocks raised ValueError: no device"
    result = installed.run("plugins check mine")
    assert result.code == 4
    assert result.error == [
        "error: plugin mine (nas-mine 1.2) was skipped: nas_blocks raised ValueError: no device"
    ]


def test_a_plugin_without_anything_to_check_says_so(installed: Installed) -> None:
    observer = "from nas import hookimpl\n@hookimpl\ndef nas_trial_finished(study):\n    pass\n"
    installed.add(observer)
    result = installed.run("plugins check mine")
    assert result.code == 2
    assert "offers nothing that the kit checks; its hooks are nas_trial_finished" in " ".join(result.error)
