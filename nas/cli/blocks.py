"""``nas blocks``: the building blocks."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option
from nas.cli.output import count, print_json, print_table

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.costs.example import BlockExample
    from nas.plugins import Plugin, Registry
    from nas.spaces.knobs import Choice


@click.command("blocks")
@click.argument("name", required=False)
@click.option("--role", help="Only blocks of this role.")
@json_option
def command(name: str | None, role: str | None, as_json: bool) -> None:
    """List the building blocks, or show what the knobs of one mean and what it takes."""
    from nas.plugins import default_registry

    registry = default_registry()
    if name is not None:
        _show(name, registry, as_json)
        return
    entries = [entry for entry in registry.blocks.entries() if role is None or entry[2].role == role]
    entries.sort(key=lambda entry: (entry[2].role, entry[0]))
    if as_json:
        print_json({"blocks": [_block_json(*entry, registry) for entry in entries]})
        return
    rows = [(name, b.role, b.domain, _knobs(b), b.source) for name, _, b in entries]
    print_table(("block", "role", "domain", "knobs", "source"), rows)


def _show(name: str, registry: Registry, as_json: bool) -> None:
    block, plugin = registry.blocks[name], registry.blocks.provider(name)
    if as_json:
        print_json(_block_json(name, plugin, block, registry))
        return
    source = f". {block.source}" if block.source else ""
    click.echo(f"{block.name} ({block.role}, {block.domain}) from {plugin}{source}\n")
    click.echo(inspect.getdoc(block.builder()) or block.description)
    print_table(("knob", "values"), [(knob, _values(choice)) for knob, choice in block.knobs.items()])
    example = _example(name, registry)
    if example is not None:
        size = "x".join(map(str, example.signature.shape))
        click.echo(f"With its defaults on {size}: {example.params:,} params, {count(example.macs)} MACs")


def _knobs(block: Block) -> str:
    return "; ".join(f"{knob} {_values(choice)}" for knob, choice in block.knobs.items())


def _values(choice: Choice) -> str:
    return f"<{choice.role}>" if choice.role else "|".join(str(value) for value in choice.values)


def _example(name: str, registry: Registry) -> BlockExample | None:
    """What the block takes; None where it fits nowhere, or where its plugin cannot build it."""
    from nas.costs.example import block_example
    from nas.errors import NasError

    try:
        return block_example(name, registry.blocks)
    except NasError as error:
        click.echo(f"warning: {error}".replace("\n", " "), err=True)
        return None


def _block_json(name: str, plugin: Plugin, block: Block, registry: Registry) -> dict[str, Any]:
    knobs = {
        knob: {"role": choice.role} if choice.role else {"values": list(choice.values)}
        for knob, choice in block.knobs.items()
    }
    example = _example(name, registry)
    return {
        "name": name,
        "role": block.role,
        "domain": block.domain,
        "knobs": knobs,
        "source": block.source,
        "description": block.description,
        "exportable": block.exportable,
        "plugin": str(plugin),
        "size": None if example is None else list(example.signature.shape),
        "params": None if example is None else example.params,
        "macs": None if example is None else example.macs,
    }
