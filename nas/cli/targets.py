"""``nas targets``: the hardware a network can be priced on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, target_options
from nas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nas.costs.target import Target


@click.command("targets")
@click.argument("name", required=False)
@target_options
@json_option
def command(
    name: str | None, precision: str | None, batch_size: int | None, runtime: str | None, as_json: bool
) -> None:
    """List the hardware targets, or show the figures of one with their sources.

    NAME is a target, one of its aliases, or the path of a target file.
    """
    from nas.plugins import default_registry

    registry = default_registry()
    if name is None:
        _list([registry.targets[key] for key in registry.targets], as_json)
        return
    from nas.costs import resolve_target

    _show(
        resolve_target(name, registry, precision=precision, batch_size=batch_size, runtime=runtime), as_json
    )


def _list(targets: list[Target], as_json: bool) -> None:
    targets.sort(key=lambda t: (t.device.device_class, t.device.name))
    if as_json:
        print_json({"targets": [_target_json(target) for target in targets]})
        return
    rows = [
        (
            t.device.name,
            ", ".join(t.device.aliases),
            t.device.device_class,
            t.device.vendor,
            t.label.partition("/")[2],
        )
        for t in targets
    ]
    print_table(("target", "aliases", "class", "vendor", "default profile"), rows)


def _show(target: Target, as_json: bool) -> None:
    if as_json:
        figures = {
            k: {"value": f.value, "source": f.source, "trust": f.trust}
            for k, f in target.device.figures.items()
        }
        print_json({**_target_json(target), "figures": figures})
        return
    click.echo(f"{target.label}\n{target.device.vendor}, {target.device.device_class}\n")
    rows = [(key, f"{f.value:g}", f.trust, f.source) for key, f in target.device.figures.items()]
    print_table(("figure", ">value", "trust", "source"), rows)


def _target_json(target: Target) -> dict[str, Any]:
    return {
        "name": target.device.name,
        "aliases": list(target.device.aliases),
        "class": target.device.device_class,
        "vendor": target.device.vendor,
        "label": target.label,
        "precision": target.precision,
        "batch_size": target.batch_size,
        "runtime": target.runtime,
        "layout": target.layout,
    }
