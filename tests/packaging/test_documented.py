"""Docs cannot rot: every command, option and hook is described where a user looks."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from nas.cli.main import COMMANDS, cli
from nas.plugins import hookspecs

ROOT = Path(__file__).parents[2]
COMMAND_DOCS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
PLUGIN_DOCS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section_and_help(name: str) -> None:
    assert f"## nas {name}" in COMMAND_DOCS
    assert command(name).help


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_documented(name: str) -> None:
    section = COMMAND_DOCS.partition(f"## nas {name}\n")[2].partition("\n## ")[0]
    missing = [
        option
        for parameter in command(name).params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
        if option.startswith("--") and f"`{option}" not in section
    ]
    assert missing == []


@pytest.mark.parametrize("name", [name for name in vars(hookspecs) if name.startswith("nas_")])
def test_every_hook_is_documented(name: str) -> None:
    assert f"`{name}" in PLUGIN_DOCS
    assert getattr(hookspecs, name).__doc__


def snippet(page: str, language: str) -> str:
    """The first fenced block of a language on a page of the docs."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.partition(f"```{language}\n")[2].partition("```")[0]


def test_the_space_file_of_the_docs_is_a_space() -> None:
    from nas.plugins import default_registry
    from nas.spaces import parse_space

    assert parse_space(snippet("docs/spaces.md", "toml"), default_registry().blocks).size() > 100


def test_every_key_of_a_space_file_is_documented() -> None:
    from nas.spaces import document

    page = (ROOT / "docs" / "spaces.md").read_text(encoding="utf-8")
    tables = (document.SpaceDocument, document.StageDocument, document.CellDocument, document.InputDocument)
    keys = {key for table in tables for key in table.model_fields}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_the_target_file_of_the_docs_is_a_target(tmp_path: Path) -> None:
    from nas.costs import read_target
    from nas.costs.target_file import FIGURES

    path = tmp_path / "my-board.toml"
    path.write_text(snippet("docs/targets.md", "toml"), encoding="utf-8")
    assert read_target(path).label == "my-board/tensorrt/fp16/b1/nchw"
    page = (ROOT / "docs" / "targets.md").read_text(encoding="utf-8")
    assert [figure for figure in sorted(FIGURES) if f"`{figure}`" not in page] == []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_python_of_the_readme_runs(number: int) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[number + 1].partition("```")[0]
    exec(compile(code, f"README.md, snippet {number}", "exec"), {"__name__": "readme"})


def test_the_block_of_the_plugin_page_is_a_plugin() -> None:
    from types import ModuleType

    from nas.plugins import PluginManager, Registry

    module = ModuleType("documented_plugin")
    exec(compile(snippet("docs/plugins.md", "python"), "docs/plugins.md", "exec"), vars(module))
    manager = PluginManager()
    assert manager.register(module, "documented").error is None
    assert "gated_depthwise" in Registry(manager).blocks
