"""Two packages as strangers would write them: installed, tested, and used through the command line alone."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from warm_process import run_warm

HERE = Path(__file__).parent
BLOCK, COSTS = "nas-gated-depthwise", "nas-latency-table"
PACKAGES = (BLOCK, COSTS)
PRICED = "every architecture is priced"
SHORT = ("--trials", "2", "--epochs", "1", "--workers", "1")


class Place:
    """A working folder, and the packages installed each in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / "work"
        self.work.mkdir()
        self.sites = {name: root / "sites" / name for name in PACKAGES}
        for name, site in self.sites.items():
            # A copy, because a build leaves files in the folder of the sources.
            shutil.copytree(HERE / name, root / name, ignore=shutil.ignore_patterns("build", "*.egg-info"))
            options = ["--quiet", "--no-deps", "--disable-pip-version-check", *_without_isolation()]
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                *options,
                "--target",
                str(site),
                str(root / name),
            ]
            self.done(command, root, ())

    def environment(self, packages: tuple[str, ...]) -> dict[str, str]:
        """The environment of a command that sees these of the packages."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("NAS_")}
        paths = [str(self.sites[name]) for name in packages]
        paths += [path for path in [environment.get("PYTHONPATH")] if path]
        return environment | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OMP_NUM_THREADS": "1",  # two commands at a time would wait for each other's threads
        }

    def done(self, command: list[str], folder: Path, packages: tuple[str, ...]) -> str:
        """What the command printed; it succeeded."""
        environment = self.environment(packages)
        result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def nas(self, *arguments: str, packages: tuple[str, ...] = PACKAGES) -> subprocess.CompletedProcess[str]:
        """`nas ARGUMENTS` in the working folder."""
        return run_warm(arguments, self.work, self.environment(packages))

    def json(self, *arguments: str, packages: tuple[str, ...] = PACKAGES) -> Any:
        """What `nas ARGUMENTS --json` printed; it succeeded."""
        result = self.nas(*arguments, "--json", packages=packages)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)


def _without_isolation() -> list[str]:
    """Builds with the setuptools that is here, where it is new enough: no network, and sooner."""
    try:
        enough = int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        enough = False
    return ["--no-build-isolation"] if enough else []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("outside"))


@pytest.fixture(scope="module")
def studies(place: Place) -> dict[str, list[dict[str, Any]]]:
    """The trials of two studies: one of the packages' space and target, one priced by the cost model."""
    searches = {
        "gated": ["--space", "gated-small", "--target", "table-host", "--seed", "0"],
        "priced": ["--space", "tiny", "--target", "cpu", "--cost-model", "latency_table"],
    }

    def search(name: str) -> list[dict[str, Any]]:
        store = ["--store", f"{name}.db"]
        front = place.json("search", *searches[name], "--study", name, *store, *SHORT)
        assert front["study"] == name
        assert front["front"]
        return place.json("show", name, *store)["trials"]

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(searches, pool.map(search, searches), strict=True))


@pytest.fixture(scope="module")
def report(place: Place, studies: dict[str, list[dict[str, Any]]]) -> str:
    """The page of the study that the cost model priced."""
    printed = place.json("report", "priced", "--store", "priced.db", "-o", "priced.html")
    page = (place.work / "priced.html").read_text(encoding="utf-8")
    assert printed["bytes"] == len(page.encode())
    return page


def test_the_tests_of_the_packages_pass(place: Place) -> None:
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with ThreadPoolExecutor(2) as pool:
        runs = pool.map(lambda name: place.done(command, place.root / name, (name,)), PACKAGES)
        for printed in runs:
            assert " passed" in printed
            assert "skipped" not in printed


def test_both_are_listed_as_plugins(place: Place) -> None:
    plugins = {plugin["name"]: plugin for plugin in place.json("plugins")["plugins"]}
    for name, hooks in (
        ("gated-depthwise", ["nas_blocks", "nas_spaces"]),
        ("latency-table", ["nas_cost_models", "nas_targets"]),
    ):
        plugin = plugins[name]
        assert (plugin["distribution"], plugin["version"], plugin["error"]) == (f"nas-{name}", "0.1.0", None)
        assert plugin["hooks"] == hooks


@pytest.fixture(scope="module")
def checks(place: Place) -> dict[str, str]:
    """What the conformance kit says of the space while the cost model is installed too."""
    result = place.nas("plugins", "check", "gated-small", "--json")
    checks = json.loads(result.stdout)["checks"]
    assert {(check["kind"], check["name"]) for check in checks} == {("space", "gated-small")}
    return {check["check"]: check["status"] for check in checks}


def test_the_conformance_kit_agrees(checks: dict[str, str]) -> None:
    others = {name: status for name, status in checks.items() if name != PRICED}
    assert len(others) == len(checks) - 1 >= 10
    assert set(others.values()) == {"passed"}


def test_a_cost_model_that_refuses_a_device_is_no_fault_of_a_space(checks: dict[str, str]) -> None:
    assert checks[PRICED] == "passed"


def test_the_block_is_listed_with_its_provider(place: Place) -> None:
    blocks = {block["name"]: block for block in place.json("blocks")["blocks"]}
    block = blocks["gated_depthwise"]
    assert block["plugin"] == f"gated-depthwise ({BLOCK} 0.1.0)"
    assert (block["role"], block["domain"], block["exportable"]) == ("block", "image", True)
    assert block["knobs"]["gate"] == {"values": ["sigmoid", "gelu"]}
    assert block["size"] == [64, 56, 56]
    # The defaults keep the width: kernel 3, halves of 128 channels.
    assert block["params"] == 64 * 256 + 128 * 9 + 128 * 64 + 2 * (256 + 128 + 64)
    assert block["macs"] == 56 * 56 * (64 * 256 + 128 * 9 + 128 * 64)


def test_the_space_has_its_size(place: Place) -> None:
    space = place.json("spaces", "gated-small")
    assert space["size"] == 200
    decisions = {decision["name"]: decision["options"] for decision in space["decisions"]}
    assert decisions["stages.0.layers.0.block"] == ["gated_depthwise", "inverted_residual"]


def test_a_search_trains_the_block(place: Place, studies: dict[str, list[dict[str, Any]]]) -> None:
    gated = studies["gated"]
    assert [trial["state"] for trial in gated] == ["finished", "finished"]
    used = {layer["use"] for trial in gated for layer in trial["architecture"]["network"]["layers"]}
    assert "gated_depthwise" in used
    assert all(0 < trial["metrics"]["accuracy"] <= 1 for trial in gated)
    with closing(sqlite3.connect(place.work / "gated.db")) as store:
        query = "SELECT plugin.version FROM plugin JOIN study ON study.id = plugin.study_id"
        rows = store.execute(f"{query} WHERE study.name = 'gated' AND distribution = ?", [BLOCK]).fetchall()
    assert rows == [("0.1.0",)]


def test_a_search_stores_the_name_of_the_cost_model(studies: dict[str, list[dict[str, Any]]]) -> None:
    assert [trial["state"] for trial in studies["priced"]] == ["finished", "finished"]
    for trial in studies["priced"]:
        assert list(trial["costs"]) == ["cpu"]
        cost = trial["costs"]["cpu"]
        assert (cost["kind"], cost["tier"], cost["model"]) == ("predicted", "T1", "latency_table 1")
        assert 0 < cost["low_ms"] < cost["latency_ms"] < cost["high_ms"]
        assert trial["metrics"]["latency"] == cost["latency_ms"]


def test_a_published_network_is_priced(place: Place) -> None:
    options = ["--cost-model", "latency_table", "--target", "table-host"]
    printed = place.json("cost", "published/mobilenet_v2", *options)
    assert (printed["params"], printed["macs"]) == (3_504_872, 300_774_272)
    (cost,) = printed["costs"]
    assert cost["target"] == "latency-table-host/eager/fp32/b1/nchw"
    assert (cost["kind"], cost["tier"], cost["model"]) == ("predicted", "T2", "latency_table 1")
    assert 1 < cost["low_ms"] < cost["latency_ms"] < cost["high_ms"] < 1000


def test_what_the_cost_model_refuses_is_one_line(place: Place) -> None:
    result = place.nas(
        "search", "--space", "tiny", "--cost-model", "latency_table", "--target", "a100", *SHORT
    )
    assert result.returncode == 1
    assert result.stderr == (
        "error: latency_table was measured on a CPU and has no figures for a100-sxm4-80gb: name a CPU\n"
    )


def test_the_report_names_cost_model_and_package(report: str) -> None:
    assert "latency_table" in report
    assert COSTS in report


def test_the_report_shows_where_the_time_goes_by_the_cost_model_of_the_study(report: str) -> None:
    assert "latency_table 1" in report


def test_a_trial_with_the_block_runs_as_onnx(place: Place, studies: dict[str, list[dict[str, Any]]]) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    numpy = pytest.importorskip("numpy")
    number = next(
        trial["number"]
        for trial in studies["gated"]
        if any(layer["use"] == "gated_depthwise" for layer in trial["architecture"]["network"]["layers"])
    )
    printed = place.json(
        "export", f"gated#{number}", "--store", "gated.db", "--format", "onnx", "-o", "gated.onnx"
    )
    assert printed["difference"] < 1e-4
    session = runtime.InferenceSession(place.work / "gated.onnx", providers=["CPUExecutionProvider"])
    (entering,) = session.get_inputs()
    (scores,) = session.run(None, {entering.name: numpy.zeros((2, 3, 8, 8), numpy.float32)})
    assert scores.shape == (2, 10)
    assert numpy.isfinite(scores).all()


@pytest.mark.usefixtures("studies")
@pytest.mark.parametrize(
    ("study", "package"),
    [
        ("gated", BLOCK),
        ("priced", COSTS),
        ("gated", COSTS),
    ],
)
def test_a_package_that_is_gone_is_named(place: Place, study: str, package: str) -> None:
    others = tuple(name for name in PACKAGES if name != package)
    result = place.nas("resume", study, "--store", f"{study}.db", "--trials", "3", packages=others)
    assert f"package {package} 0.1.0" in result.stderr
    assert f"pip install '{package}==0.1.0'" in result.stderr
    assert result.returncode == 4
    assert len(place.json("show", study, "--store", f"{study}.db")["trials"]) == 2
