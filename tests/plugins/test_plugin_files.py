"""Plugins that are one file: ``--plugin FILE``, here and on workers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.errors import MissingPluginError, PluginError, UsageError
from nas.plugins import (
    Plugin,
    PluginManager,
    PluginNeeds,
    Registry,
    add_plugin_files,
    default_registry,
    load_plugins,
)
from nas.plugins.files import VARIABLE, plugin_files

OFFER = """
from nas import Block, hookimpl

@hookimpl
def nas_blocks():
    return [Block(name="{name}", role="mixer", domain="image", build="nowhere:Nothing")]
"""


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """No plugin file before and none left behind."""
    before, modules = os.environ.pop(VARIABLE, None), set(sys.modules)
    yield
    os.environ.pop(VARIABLE, None)
    if before is not None:
        os.environ[VARIABLE] = before
    for name in set(sys.modules) - modules:
        if "plugin_of_a_test" in name:
            del sys.modules[name]
    default_registry.cache_clear()


def plugin_file(
    folder: Path, content: str = OFFER.format(name="gate"), stem: str = "plugin_of_a_test"
) -> Path:
    path = folder / f"{stem}.py"
    path.write_text(content, encoding="utf-8")
    return path


def loaded(path: Path) -> PluginManager:
    manager = PluginManager()
    manager.load_files([path])
    return manager


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    manager = loaded(plugin_file(tmp_path))
    (plugin,) = manager.plugins
    assert plugin.is_loaded
    assert plugin.is_file
    assert plugin.name == "plugin_of_a_test"
    assert plugin.distribution == "plugin_of_a_test.py"
    assert len(plugin.version) == 12
    assert list(Registry(manager).blocks) == ["gate"]


def test_its_version_changes_with_its_content(tmp_path: Path) -> None:
    (one,) = loaded(plugin_file(tmp_path, stem="plugin_of_a_test_1")).plugins
    other_content = OFFER.format(name="other")
    (other,) = loaded(plugin_file(tmp_path, other_content, "plugin_of_a_test_2")).plugins
    assert one.version != other.version


def test_a_file_that_is_given_twice_is_loaded_once(tmp_path: Path) -> None:
    path = plugin_file(tmp_path)
    add_plugin_files([path, str(path)])
    add_plugin_files([path])
    assert plugin_files() == [path]
    manager = load_plugins()
    assert [plugin.name for plugin in manager.plugins].count("plugin_of_a_test") == 1


def test_builders_may_be_named_by_the_file(tmp_path: Path) -> None:
    content = (
        OFFER.format(name="gate").replace("nowhere:Nothing", "plugin_of_a_test:Built") + "\nBuilt = dict\n"
    )
    block = Registry(loaded(plugin_file(tmp_path, content))).blocks["gate"]
    assert block.builder() is dict


@pytest.mark.parametrize("name", ["missing.py", "folder.py", "module.txt"])
def test_what_is_no_python_file_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "module.txt").write_text("x = 1")
    with pytest.raises(UsageError, match=rf"--plugin .*{name}: .*\.py file"):
        add_plugin_files([tmp_path / name])
    assert plugin_files() == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("x = 1\n1 / 0\n", r"plugin_of_a_test\.py:2: ZeroDivisionError"),
        ("x = 1\n\ny = (\n", r"plugin_of_a_test\.py:3: SyntaxError"),
        ("raise SystemExit(3)\n", r"plugin_of_a_test\.py:1: SystemExit: 3"),
        ("import nothing_of_that_name\n", r"ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("x = 1\n", r"implements no hook; mark its functions with nas\.hookimpl"),
        (OFFER.format(name="gate").replace("nas_blocks", "nas_block"), r"did you mean 'nas_blocks'\?"),
        (OFFER.format(name="gate").replace("nas_blocks()", "nas_blocks(space)"), r"not \['space'\]"),
        (f"NAS_API_VERSION = 99\n{OFFER.format(name='gate')}", r"made for plugin API 99.*Upgrade nas"),
    ],
)
def test_a_broken_file_is_one_error_with_its_line(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(PluginError, match=said) as caught:
        loaded(plugin_file(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "--plugin" in str(caught.value)


def test_a_file_that_prints_at_import_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(plugin_file(tmp_path, "print('hello')\n" + OFFER.format(name="gate")))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("stem", ["json", "pytest", "my-block", "1st"])
def test_a_name_that_another_module_has_or_none_can_have_is_refused(tmp_path: Path, stem: str) -> None:
    with pytest.raises(PluginError, match=r"rename the file"):
        loaded(plugin_file(tmp_path, stem=stem))


def test_a_file_on_the_search_path_is_not_taken_for_another_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert loaded(plugin_file(tmp_path)).broken == ()


def test_needs_without_anything_are_met() -> None:
    PluginNeeds().meet()
    assert plugin_files() == []


def test_a_file_travels_to_a_process_that_does_not_have_it(tmp_path: Path) -> None:
    path = plugin_file(tmp_path)
    (plugin,) = loaded(path).plugins
    needs = PluginNeeds.of([plugin])
    path.unlink()
    del sys.modules["plugin_of_a_test"]

    needs.meet()
    (arrived,) = plugin_files()
    assert arrived.name == path.name
    assert arrived != path
    assert "gate" in default_registry().blocks
    needs.meet()
    assert plugin_files() == [arrived]


def test_a_file_that_is_here_is_not_written_again(tmp_path: Path) -> None:
    path = plugin_file(tmp_path)
    add_plugin_files([path])
    PluginNeeds.of(loaded(path).plugins).meet()
    assert plugin_files() == [path]


def test_an_installed_plugin_that_is_missing_is_one_sentence() -> None:
    ghost = Plugin("ghost", "nas_ghost", "nas-ghost", "1.4")
    with pytest.raises(MissingPluginError) as caught:
        PluginNeeds.of([ghost]).meet()
    said = str(caught.value)
    assert "\n" not in said
    assert "nas-ghost 1.4" in said
    assert f"on host {os.uname().nodename}" in said
    assert "not installed" in said


def test_installed_plugins_that_are_here_are_enough() -> None:
    base = next(plugin for plugin in load_plugins().plugins if plugin.name == "base")
    PluginNeeds.of([base]).meet()
