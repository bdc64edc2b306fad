"""``nas import``: studies of other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import DEFAULT_STORE, json_option, store_option
from nas.cli.output import print_json

if TYPE_CHECKING:
    from nas.studies.import_study import Import


@click.group("import")
def command() -> None:
    """Import a study of another program, to look at it and to go on from it.

    \b
    nas import optuna sqlite:///study.db
    """


@command.command("optuna")
@click.argument("url")
@click.option("--study-name", metavar="NAME", help="Optuna's name of the study, where there are several.")
@click.option("--study", help="Name of the study here. [default: made from Optuna's]")
@click.option("--space", help="Space whose decisions the parameters are. [default: a flat space of them]")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    help="Name of an objective, e.g. error or min:error; repeatable, in Optuna's order.",
)
@store_option
@json_option
def optuna(
    url: str,
    study_name: str | None,
    study: str | None,
    space: str | None,
    objectives: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Import an Optuna study: URL is a database URL, a SQLite file or a journal file. It is only read."""
    from nas.plugins import default_registry
    from nas.spaces import load_space
    from nas.store import Store
    from nas.store.address import mask
    from nas.studies.import_optuna import read_optuna
    from nas.studies.import_study import plan_import, write_import

    used = load_space(space, default_registry()) if space is not None else None
    planned = plan_import(read_optuna(url, study_name), name=study, objectives=objectives, space=used)
    with Store.open(store) as opened:
        written = write_import(opened, planned)
    if as_json:
        print_json(_import_json(planned, written))
    else:
        _print(planned, written, "" if store == DEFAULT_STORE else f" --store {mask(store)}")


def _import_json(planned: Import, written: int) -> dict[str, Any]:
    spec = planned.spec
    return {
        "study": spec.name,
        "source": planned.source,
        "objectives": {objective.name: objective.direction for objective in spec.objectives},
        "trials": len(planned.trials),
        "written": written,
        "states": planned.states,
        "repeats": planned.repeats,
        "skipped": dict(planned.skipped),
        "notes": list(planned.notes),
    }


def _print(planned: Import, written: int, where: str) -> None:
    states = ", ".join(f"{count} {state}" for state, count in planned.states.items())
    click.echo(f"study {planned.spec.name}: {len(planned.trials)} trials of {planned.source} ({states})")
    if planned.repeats:
        click.echo(f"{planned.repeats} of them repeat an earlier one, whose result counts")
    for reason, count in planned.skipped.items():
        click.echo(f"left out: {count} trials that {reason}")
    for note in planned.notes:
        click.echo(f"note: {note}", err=True)
    if written < len(planned.trials):
        click.echo(f"{len(planned.trials) - written} trials were here already")
    click.echo(f"Next: nas front {planned.spec.name}{where}")
