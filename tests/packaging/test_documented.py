"""Docs cannot rot: every command, option, setting and key is described where a user looks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nas.cli.main import COMMANDS, cli

ROOT = Path(__file__).parents[2]
COMMAND_DOCS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
ANY_COMMAND = COMMAND_DOCS.partition("\n## ")[0]
"""What stands in front of the sections: it holds for every command."""
COMMON = {"--plugin", "--help"}
"""Options that every command takes."""


def command(*names: str) -> click.Command:
    found: click.Command = cli
    for name in names:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), name)
        assert inner is not None
        found = inner
    return found


def sub_commands() -> Iterator[tuple[str, str]]:
    """Commands of commands: ``plugins check``."""
    for name in COMMANDS:
        group = command(name)
        if isinstance(group, click.Group):
            yield from ((name, inner) for inner in group.commands)


EVERY = [*((name,) for name in COMMANDS), *sub_commands()]


def section_of(name: str) -> str:
    return COMMAND_DOCS.partition(f"## nas {name}\n")[2].partition("\n## ")[0]


def part_of(words: tuple[str, ...]) -> str:
    """Where a command is described: its section, or the part of it that is about a sub-command."""
    section = section_of(words[0])
    inner = [name for group, name in sub_commands() if group == words[0]]
    if len(words) > 1:
        return section.partition(f"`nas {' '.join(words)} ")[2]
    for name in inner:
        section = section.partition(f"`nas {words[0]} {name} ")[0]
    return section


def options_of(words: tuple[str, ...]) -> list[str]:
    options = [p for p in command(*words).params if isinstance(p, click.Option)]
    return [name for option in options for name in option.opts if name.startswith("--")]


def test_there_is_a_command_of_a_command() -> None:
    assert ("plugins", "check") in EVERY


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_has_a_section_and_help(words: tuple[str, ...]) -> None:
    assert f"## nas {words[0]}\n" in COMMAND_DOCS
    assert len(part_of(words)) > 80
    assert command(*words).help


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_option_is_documented(words: tuple[str, ...]) -> None:
    text = part_of(words)
    assert [o for o in options_of(words) if o not in COMMON and f"`{o}" not in text] == []


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_no_option_is_documented_that_does_not_exist(words: tuple[str, ...]) -> None:
    documented = set(re.findall(r"^\| `(--[\w-]+)`", part_of(words), re.M))
    assert documented - set(options_of(words)) == set()


def test_the_options_of_every_command_stand_once_at_the_top() -> None:
    own = [option for option in options_of(()) if option not in COMMON]
    assert "--no-plugins" in own
    assert [option for option in ("--plugin", "--help", *own) if f"`{option}`" not in ANY_COMMAND] == []
    assert COMMAND_DOCS.count("| `--plugin` |") == 1
    for words in EVERY:
        assert "--plugin" in options_of(words)


def test_no_section_is_about_a_command_that_does_not_exist() -> None:
    assert set(re.findall(r"^## nas (\S+)$", COMMAND_DOCS, re.M)) == set(COMMANDS)


def settings() -> set[str]:
    """The environment variables that the sources name."""
    found = set()
    for folder in ("nas", "plugins"):
        for path in (ROOT / folder).rglob("*.py"):
            found.update(re.findall(r"[\"'](NAS_[A-Z_]+)[\"']", path.read_text(encoding="utf-8")))
    return found - {"NAS_API_VERSION"}  # what a module declares


def test_every_environment_variable_is_documented() -> None:
    assert {"NAS_STORE", "NAS_PLUGINS", "NAS_PLUGIN_FILES", "NAS_PLUGIN_ERRORS"} <= settings()
    assert [name for name in sorted(settings()) if f"| `{name}` |" not in ANY_COMMAND] == []
    plugins = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    of_plugins = [name for name in sorted(settings()) if "PLUGIN" in name]
    assert [name for name in (*of_plugins, "NAS_API_VERSION = ") if f"`{name}" not in plugins] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("blocks", ["blocks", "conv_stem"]), ("plugins", ["plugins"])],
    ids=["blocks", "plugins"],
)
def test_every_key_of_the_json_is_documented(name: str, words: list[str]) -> None:
    content = json.loads(CliRunner().invoke(cli, [*words, "--json"], catch_exceptions=False).stdout)
    keys = set(content["plugins"][0] if "plugins" in content else content)
    assert len(keys) > 5
    assert [key for key in sorted(keys) if f'"{key}"' not in section_of(name)] == []


def test_every_key_of_the_json_of_checks_is_documented() -> None:
    from nas.cli.plugins import _outcome_json
    from nas.plugins import Plugin
    from nas.testing.check import KITS, Item, Outcome

    outcome = Outcome(
        Item(KITS[0], "gate", Plugin("mine", "mine", "nas-mine", "1")), "is described", "passed"
    )
    text = part_of(("plugins", "check"))
    assert [key for key in _outcome_json(outcome) if f'"{key}"' not in text] == []
    assert [kit.kind for kit in KITS if kit.kind not in text] == []


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


@pytest.mark.parametrize("number", [0, 1])
def test_the_python_of_the_readme_runs(number: int) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[number + 1].partition("```")[0]
    exec(compile(code, f"README.md, snippet {number}", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("text", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_the_readme_names_every_page(text: str) -> None:
    assert f"`{text}`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_every_plugin_and_where_the_pages_of_the_hooks_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    plugins = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
    assert len(plugins) > 5
    assert [name for name in plugins if f"`{name}`" not in readme] == []
    assert "`docs/hooks/`" in readme


def consoles() -> Iterator[tuple[str, str]]:
    """Every command line of the docs that calls ``nas``, with its page."""
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]):
        for block in re.findall(r"```console\n(.*?)```", path.read_text(encoding="utf-8"), re.S):
            for line in re.findall(r"^\$ (nas .*)$", block, re.M):
                yield str(path.relative_to(ROOT)), line


@pytest.mark.parametrize(("page", "line"), list(dict.fromkeys(consoles())))
def test_every_command_line_of_the_docs_names_what_there_is(page: str, line: str) -> None:
    """Commands and options; what they do is tested with each command."""
    import shlex

    words = shlex.split(line, comments=True)[1:]
    while words[0] in ("--plugin", "--no-plugins", "--debug"):
        words = words[2 if words[0] == "--plugin" else 1 :]
    if words[0] not in COMMANDS:
        assert page == "docs/hooks/nas_commands.md"
        return
    found = tuple(words[:2]) if tuple(words[:2]) in EVERY else (words[0],)
    known = {name for p in command(*found).params for name in p.opts}
    assert [word for word in words if word.startswith("-") and word not in known] == []
