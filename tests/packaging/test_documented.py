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
