"""``nas export``: take a trained network away."""

from __future__ import annotations

from pathlib import Path

import click

from nas.cli.options import json_option, split_trial, store_option
from nas.cli.output import print_json
from nas.errors import UnknownNameError


@click.command("export")
@click.argument("trial", metavar="STUDY#TRIAL")
@click.option(
    "--format",
    "format_name",
    default="onnx",
    show_default=True,
    help="onnx, exported-program, python or weights.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="File to write. [default: STUDY-TRIAL with the format's suffix]",
)
@click.option(
    "--artifacts", type=click.Path(path_type=Path), help="Folder for weights, where the search was given one."
)
@store_option
@json_option
def command(
    trial: str, format_name: str, output: Path | None, artifacts: Path | None, store: str, as_json: bool
) -> None:
    """Export a trained trial: onnx, exported-program, python or weights.

    The file holds the trained network in its deployed form and is checked against torch; the largest
    difference is printed.
    """
    from nas.export import export_trial
    from nas.plugins import default_registry
    from nas.store import Store
    from nas.studies.plugins import check_plugins

    study, number = split_trial(trial)
    if number is None:
        raise click.BadParameter(
            f"{trial!r}: name a trial, e.g. {study}#3; 'nas front {study}' lists the best"
        )
    registry = default_registry()
    exporter = registry.exporters[format_name]
    path = output or Path(f"{study}-{number}{exporter.suffix}")
    with Store.open(store, create=False, read_only=True) as opened:
        folder = None if artifacts is None else artifacts / study
        try:
            report = export_trial(opened, study, number, format_name, path, registry, artifacts_root=folder)
        except UnknownNameError:
            check_plugins(opened, study, registry)  # the plugin that knows the name may not be loaded
            raise
    if as_json:
        print_json(
            {
                "study": study,
                "trial": number,
                "format": format_name,
                "path": str(report.path),
                "difference": report.difference,
                "notes": list(report.notes),
            }
        )
        return
    agreed = (
        "not checked" if report.difference is None else f"largest difference to torch {report.difference:.1e}"
    )
    click.echo(f"wrote {report.path} ({agreed})")
    for note in report.notes:
        click.echo(note)
