"""``nas spaces``: the search spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nas.cli.options import json_option
from nas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.spaces import Space


@click.command("spaces")
@click.argument("name", required=False)
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the search spaces, or show the decisions of one.

    NAME is a space, or the path of a space file.
    """
    from nas.plugins import default_registry

    if name is None:
        _list(default_registry(), as_json)
    else:
        from nas.spaces import load_space

        _show(load_space(name, default_registry()), as_json)


def _list(registry: Registry, as_json: bool) -> None:
    sources = [registry.spaces[name] for name in sorted(registry.spaces)]
    if as_json:
        items = [
            {"name": s.name, "description": s.description, "plugin": str(registry.spaces.provider(s.name))}
            for s in sources
        ]
        print_json({"spaces": items})
        return
    print_table(("space", "description"), [(s.name, s.description) for s in sources])


def _show(space: Space, as_json: bool) -> None:
    size = space.size()
    decisions = [
        (decision.name, [_shown(option) for option in decision.options]) for decision in space.decisions
    ]
    if as_json:
        items = [{"name": name, "options": options} for name, options in decisions]
        print_json({"name": space.name, "size": size, "decisions": items})
        return
    shown = f"{size:,}" if size < 10**15 else f"{float(size):.2e}"
    click.echo(f"{space.name}: {shown} architectures, {len(decisions)} decisions. {space.description}\n")
    print_table(
        ("decision", "options"), [(name, ", ".join(map(str, options))) for name, options in decisions]
    )


def _shown(option: object) -> str | bool | int | float:
    return option if isinstance(option, str | bool | int | float) else str(option)
