"""``nas blocks``: the building blocks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option
from nas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.plugins import Registry
    from nas.spaces.knobs import Choice


@click.command("blocks")
@click.argument("name", required=False)
@click.option("--role", help="Only blocks of this role.")
@json_option
def command(name: str | None, role: str | None, as_json: bool) -> None:
    """List the building blocks, or show what the knobs of one mean."""
    from nas.plugins import default_registry

    registry = default_registry()
    if name is not None:
        _show(registry.blocks[name], registry, as_json)
        return
    blocks = sorted((registry.blocks[key] for key in registry.blocks), key=lambda b: (b.role, b.name))
    chosen = [block for block in blocks if role is None or block.role == role]
    if as_json:
        print_json({"blocks": [_block_json(block, registry) for block in chosen]})
        return
    rows = [(b.name, b.role, b.domain, _knobs(b), b.source) for b in chosen]
    print_table(("block", "role", "domain", "knobs", "source"), rows)


def _show(block: Block, registry: Registry, as_json: bool) -> None:
    if as_json:
        print_json(_block_json(block, registry))
        return
    plugin = registry.blocks.provider(block.name)
    click.echo(f"{block.name} ({block.role}, {block.domain}) from {plugin}. {block.source}\n")
    click.echo(inspect.getdoc(block.builder()) or block.description)
    print_table(("knob", "values"), [(knob, _values(choice)) for knob, choice in block.knobs.items()])


def _knobs(block: Block) -> str:
    return "; ".join(f"{knob} {_values(choice)}" for knob, choice in block.knobs.items())


def _values(choice: Choice) -> str:
    return f"<{choice.role}>" if choice.role else "|".join(str(value) for value in choice.values)


def _block_json(block: Block, registry: Registry) -> dict[str, Any]:
    knobs = {
        knob: {"role": choice.role} if choice.role else {"values": list(choice.values)}
        for knob, choice in block.knobs.items()
    }
    return {
        "name": block.name,
        "role": block.role,
        "domain": block.domain,
        "knobs": knobs,
        "source": block.source,
        "description": block.description,
        "plugin": str(registry.blocks.provider(block.name)),
    }
