"""``nas plugins``: what is loaded, from where, and what is wrong with it."""

from __future__ import annotations

import click

from nas.cli.options import json_option
from nas.cli.output import print_json, print_table


@click.command("plugins")
@click.option("--timings", is_flag=True, help="Show how long each plugin took to import.")
@json_option
def command(timings: bool, as_json: bool) -> None:
    """List the plugins, with their hooks and errors."""
    from nas.plugins import default_registry

    plugins = default_registry().manager.plugins
    if as_json:
        items = [
            {
                "name": p.name,
                "module": p.module,
                "distribution": p.distribution,
                "version": p.version,
                "hooks": list(p.hooks),
                "error": p.error,
                "seconds": p.seconds,
            }
            for p in plugins
        ]
        print_json({"plugins": items})
        return
    columns = ["plugin", "distribution", "hooks", "status"]
    rows = [
        [
            p.name,
            f"{p.distribution} {p.version}",
            ", ".join(p.hooks),
            "loaded" if p.is_loaded else f"skipped: {p.error}",
        ]
        for p in plugins
    ]
    if timings:
        columns.append(">import")
        rows = [[*row, f"{1000 * p.seconds:.0f} ms"] for row, p in zip(rows, plugins, strict=True)]
    print_table(columns, rows)
