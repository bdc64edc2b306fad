"""``nas new-plugin``: a package to start from."""

from __future__ import annotations

from pathlib import Path

import click

from nas.cli.options import json_option
from nas.cli.output import print_json
from nas.plugins.scaffold import KINDS, write_plugin


@click.command("new-plugin")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(tuple(KINDS)), default="block", show_default=True, help="What it will offer."
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Folder to write it into. [default: the current one]",
)
@json_option
def command(name: str, kind: str, into: Path, as_json: bool) -> None:
    """Write a package NAME for a new block, cost model, target, task, searcher, proxy or space.

    It works at once: install it, run its tests, search with it, then change it.
    """
    files = write_plugin(name, kind, into)
    root = into / name
    if as_json:
        print_json({"name": name, "kind": kind, "files": [str(path) for path in files]})
        return
    click.echo(f"wrote {root}:")
    for path in files:
        click.echo(f"  {path.relative_to(root)}")
    click.echo(f"Next:\n  cd {root}\n  pip install -e '.[test]' && pytest\n  README.md tells the rest")
