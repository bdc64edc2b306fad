"""``nas front``: the Pareto front of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, store_option
from nas.cli.output import count, latency, print_json, print_table, trial_json

if TYPE_CHECKING:
    from nas.search.study import StudySpec
    from nas.store import TrialRecord


@click.command("front")
@click.argument("study")
@store_option
@json_option
def command(study: str, store: str, as_json: bool) -> None:
    """Show the Pareto front of a study: the finished trials that no other one beats."""
    from nas.search.study import StudySpec
    from nas.store import Store
    from nas.studies.front import study_front, target_names

    with Store.open(store, create=False, read_only=True) as opened:
        spec = StudySpec.from_json(opened.study(study).spec)
        front = study_front(opened, spec)
    if as_json:
        names = target_names(spec)
        objectives = {o.name: o.direction for o in spec.objectives}
        print_json({"study": study, "objectives": objectives, "front": [trial_json(t, names) for t in front]})
        return
    if not front:
        click.echo(f"study {study!r} has no finished trial yet.")
        return
    print_front(spec, front)


def print_front(spec: StudySpec, front: Sequence[TrialRecord]) -> None:
    """The front as a table: the objectives, then what every engineer asks for."""
    from nas.report.describe import describe
    from nas.studies.front import target_names

    names = target_names(spec)
    extra = [o.name for o in spec.objectives if o.name != "accuracy" and not o.name.startswith("latency")]
    columns = [">trial", ">accuracy", *(f">latency {name} (90 %)" for name in names.values())]
    columns += [f">{name}" for name in extra] + [">params", ">MACs", "network"]
    rows = []
    for trial in front:
        costs = {cost.target: cost for cost in trial.costs}
        row: list[Any] = [f"#{trial.number}", _percent(trial.metrics.get("accuracy"))]
        row += [latency(costs[label]) if label in costs else "–" for label in names]
        row += [f"{trial.metrics[name]:.4g}" for name in extra]
        any_cost = trial.costs[0] if trial.costs else None
        row += [count(any_cost.params), count(any_cost.macs)] if any_cost else ["–", "–"]
        rows.append([*row, describe(trial.architecture)])
    title = f"Pareto front of {spec.name}: latency is predicted, with its 90 % interval"
    print_table(columns, rows, title)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.2f} %"
