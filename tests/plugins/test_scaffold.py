"""``nas new-plugin``: every kind of package installs, passes its own tests and is searched with at once."""

from __future__ import annotations

import ast
import json
import os
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from warm_process import NAS, PIP, PYTEST, run_warm

from nas.cli.new_plugin import command
from nas.errors import UsageError
from nas.plugins.scaffold import KINDS, write_plugin


def test_the_command_offers_every_kind() -> None:
    said = CliRunner().invoke(command, ["--help"]).output
    assert all(
        kind in said for kind in ("block", "cost-model", "target", "task", "searcher", "proxy", "space")
    )
    assert len(KINDS) == 7


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_holds_what_it_needs(tmp_path: Path, kind: str) -> None:
    files = {path.relative_to(tmp_path).as_posix() for path in write_plugin("nas-my-thing", kind, tmp_path)}
    expected = {"README.md", "pyproject.toml", "nas_my_thing/__init__.py", "tests/test_nas_my_thing.py"}
    assert {f"nas-my-thing/{name}" for name in expected} <= files
    assert len(files) <= 5


@pytest.mark.parametrize("kind", KINDS)
def test_names_follow_from_the_name_of_the_package(tmp_path: Path, kind: str) -> None:
    write_plugin("nas-my-thing", kind, tmp_path)
    root = tmp_path / "nas-my-thing"
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["name"] == "nas-my-thing"
    assert project["project"]["entry-points"]["nas"] == {"my-thing": "nas_my_thing"}
    for path in root.rglob("*"):
        assert not path.is_file() or "{{" not in path.read_text()
        if path.suffix == ".py":
            assert ast.get_docstring(ast.parse(path.read_text()))
            assert max(map(len, path.read_text().splitlines())) <= 110


def test_a_name_without_the_prefix_does_not_hide_another_module(tmp_path: Path) -> None:
    files = write_plugin("json", "block", tmp_path)
    assert "nas_json/__init__.py" in {path.relative_to(tmp_path / "json").as_posix() for path in files}


@pytest.mark.parametrize(
    "name", ["", "My-Block", "my_block", "-x", "x-", "a--b", "../up", "a b", "x" * 61, "1st"]
)
def test_what_is_no_package_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no package name"):
        write_plugin(name, "block", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "nas-mine").mkdir()
    with pytest.raises(UsageError, match="exists already; choose another name"):
        write_plugin("nas-mine", "block", tmp_path)
    assert list((tmp_path / "nas-mine").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written: Not a directory"):
        write_plugin("nas-mine", "block", tmp_path / "file")


def test_the_command_tells_what_comes_next(tmp_path: Path) -> None:
    words = ["nas-mine", "--kind", "task", "--into", str(tmp_path)]
    said = CliRunner().invoke(command, words).output
    assert "nas_mine/__init__.py" in said
    assert f"cd {tmp_path}/nas-mine" in said
    assert "pip install -e '.[test]' && pytest" in said
    shown = json.loads(CliRunner().invoke(command, ["nas-other", "--into", str(tmp_path), "--json"]).output)
    assert shown["kind"] == "block"
    assert all(Path(path).is_file() for path in shown["files"])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_it_works_at_once(tmp_path: Path, kind: str) -> None:
    """Installed by pip, its own tests pass, and the search of its README uses it for two trials."""
    write_plugin("nas-my-thing", kind, tmp_path)
    root, site = tmp_path / "nas-my-thing", tmp_path / "site"
    environment = {**os.environ, "PYTHONPATH": str(site), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def run(code: str, *words: str) -> str:
        done = run_warm(words, root, environment, code, seconds=280)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(PIP, "install", "--quiet", "--no-deps", "--target", str(site), ".")
    assert " passed" in run(PYTEST, "-q", "-p", "no:cacheprovider")
    readme = (root / "README.md").read_text()
    (search,) = [line for line in readme.splitlines() if line.startswith("nas search")]
    shown = json.loads(run(NAS, *search.split()[1:], "--study", "mine", "--workers", "1", "--json"))
    assert shown["front"]
    trials = json.loads(run(NAS, "show", "mine", "--json"))["trials"]
    assert [trial["state"] for trial in trials] == ["finished", "finished"]
