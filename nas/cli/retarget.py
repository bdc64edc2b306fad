"""``nas retarget``: a study's front on other hardware, with no training."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, store_option, target_options
from nas.cli.output import cost_json, count, latency, print_json, print_table, trial_json

if TYPE_CHECKING:
    from nas.studies.retarget import Retargeting, Suggestion


@click.command("retarget")
@click.argument("study")
@click.option("--target", "targets", multiple=True, required=True, help="Target name or file; repeatable.")
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    metavar="TEXT",
    help="A limit in place of the study's own on that cost or metric: latency<=20ms; repeatable.",
)
@click.option(
    "--confidence",
    type=float,
    metavar="P",
    help="Probability with which limits on a predicted latency are kept. [default: those of the study]",
)
@click.option(
    "--suggest",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="How many untrained networks to suggest.",
)
@target_options
@store_option
@json_option
def command(
    study: str,
    targets: tuple[str, ...],
    constraints: tuple[str, ...],
    confidence: float | None,
    suggest: int,
    store: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Price every trial of a study on other targets: the new front, and what would improve it most.

    Nothing is trained and nothing is written.

    \b
    nas retarget mobile-a100 --target pixel6
    nas retarget mobile-a100 --target a100 --precision int8 --constraint 'latency<=1ms'
    """
    from nas.plugins import default_registry
    from nas.store import Store
    from nas.studies.retarget import RetargetOptions, retarget

    options = RetargetOptions(targets, overrides, constraints, suggest, confidence)
    with Store.open(store, create=False, read_only=True) as opened:
        found = retarget(opened, study, options, default_registry())
    if as_json:
        _print_json(found, store)
    else:
        _print(found, store)


def _print_json(found: Retargeting, store: str) -> None:
    from nas.cli.front import member_json

    spec = found.spec
    names = dict(zip(spec.target_labels, spec.target_names, strict=True))
    members = found.members
    print_json(
        {
            "study": spec.name,
            "targets": dict(zip(spec.target_names, spec.target_labels, strict=True)),
            "objectives": {o.name: o.direction for o in spec.objectives},
            "constraints": [str(constraint) for constraint in spec.constraints],
            "front": [member_json(members[number], spec) for number in found.front],
            "fronts": {target: list(numbers) for target, numbers in found.fronts.items()},
            "old_front": list(found.old_front),
            "stayed": list(found.stayed),
            "new": list(found.new),
            "left": list(found.left),
            "trials": [trial_json(trial, names) for trial in found.trials],
            "suggestions": [_suggestion_json(item, names) for item in found.suggestions],
            "note": found.note or None,
            "command": search_command(found, store) if found.suggestions else None,
        }
    )


def _suggestion_json(item: Suggestion, names: dict[str, str]) -> dict[str, Any]:
    import json

    from nas.report.describe import describe

    return {
        "architecture_hash": item.architecture.hash,
        "architecture": json.loads(item.architecture.to_json()),
        "description": describe(item.architecture),
        "metrics": dict(item.known),
        "costs": {names[cost.target]: cost_json(cost) for cost in item.costs},
    }


def _print(found: Retargeting, store: str) -> None:
    from nas.cli.front import print_front
    from nas.studies.front import on_target

    spec = found.spec
    members = found.members
    for target, numbers in found.fronts.items():
        if numbers:
            notes = {number: "stayed" if number in found.old_front else "new" for number in numbers}
            print_front(on_target(spec, target), [members[n] for n in numbers], target=target, notes=notes)
    click.echo(_summary(found))
    if found.suggestions:
        _print_suggestions(found, store)
    if found.note:
        click.echo(f"No suggestion: {found.note}")


def _summary(found: Retargeting) -> str:
    """What became of the old front, in a line or two."""
    number = len(found.trials)
    trials = "stored trial" if number == 1 else "stored trials"
    priced = f"{number:,} {trials} priced on {', '.join(found.spec.target_names)}."
    if not found.front:
        limits = " and ".join(str(constraint) for constraint in found.spec.constraints)
        return f"{priced} None that finished keeps {limits}." if limits else f"{priced} None has finished."
    return (
        f"{priced} Of {len(found.old_front)} on the old front {len(found.stayed)} stayed and "
        f"{len(found.left)} left it{_listed(found.left)}; {len(found.new)} came to it{_listed(found.new)}."
    )


def _listed(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(f"#{number}" for number in numbers[:8])
    return f" ({shown}{', …' if len(numbers) > 8 else ''})" if numbers else ""


def _print_suggestions(found: Retargeting, store: str) -> None:
    from nas.report.describe import describe

    spec = found.spec
    columns = ["architecture", *(f">latency {name} (90 %)" for name in spec.target_names)]
    rows = []
    for item in found.suggestions:
        costs = {cost.target: cost for cost in item.costs}
        row = [item.architecture.hash[:12], *(latency(costs[label]) for label in spec.target_labels)]
        first = item.costs[0]
        rows.append([*row, count(first.params), count(first.macs), describe(item.architecture)])
    title = "Not trained yet, and most likely to improve the front"
    print_table([*columns, ">params", ">MACs", "network"], rows, title)
    line = search_command(found, store)
    if line is not None:
        click.echo(f"Train them:\n  {line}")


def search_command(found: Retargeting, store: str) -> str | None:
    """The command line that goes on with the search there, from what the study has learnt.

    None where no command can: the trials are those of a function, or of another program.
    """
    from nas.errors import UsageError
    from nas.report.provenance import command as repeated
    from nas.studies.retarget import further_search

    sources = [found.spec.name, *(name for name, _ in found.spec.warm_start)]
    words = shlex.join(word for name in sources for word in ("--from", name))
    try:
        return f"{repeated(further_search(found), store)} {words}"
    except UsageError:
        return None
