"""``nas report``: a study as one HTML page."""

from __future__ import annotations

from pathlib import Path

import click

from nas.cli.options import json_option, store_option
from nas.cli.output import print_json


@click.command("report")
@click.argument("study")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="File to write.",
)
@store_option
@json_option
def command(study: str, output: Path, store: str, as_json: bool) -> None:
    """Write a study as one HTML page that opens offline."""
    from nas.plugins import default_registry
    from nas.report import write_report
    from nas.store import Store

    with Store.open(store, create=False, read_only=True) as opened:
        path = write_report(opened, study, output, default_registry())
    if as_json:
        print_json({"study": study, "path": str(path), "bytes": path.stat().st_size})
    else:
        click.echo(
            f"wrote {path} ({path.stat().st_size / 1000:.0f} kB): open it in any browser, no network needed"
        )
