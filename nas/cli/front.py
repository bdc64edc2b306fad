"""``nas front``: the Pareto front of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, store_option
from nas.cli.output import count, latency, print_json, print_table, trial_json

if TYPE_CHECKING:
    from nas.search.objective import Constraint
    from nas.search.study import StudySpec
    from nas.store import TrialRecord

Fronts = Mapping[str, Sequence["TrialRecord"]]


@click.command("front")
@click.argument("study")
@click.option("--target", metavar="NAME", help="Only the front on this target of the study.")
@store_option
@json_option
def command(study: str, target: str | None, store: str, as_json: bool) -> None:
    """Show the Pareto front of a study: the finished trials that no other one beats.

    Where the study has several targets, each has its own front, from the same trials.
    """
    from nas.cli.reused import print_reused, reused_json
    from nas.plugins import default_registry
    from nas.search.study import StudySpec
    from nas.store import Store
    from nas.studies.front import on_target, study_front, target_fronts
    from nas.studies.warm_start import read_warm_start, reused_front

    with Store.open(store, create=False, read_only=True) as opened:
        spec = StudySpec.from_json(opened.study(study).spec)
        fronts = target_fronts(opened, spec)
        shown = spec if target is None else on_target(spec, target)
        front = study_front(opened, shown)
        earlier = read_warm_start(opened, spec, default_registry()) if spec.warm_start else None
    reused = reused_front(shown, front, earlier) if earlier is not None else None
    if as_json:
        print_json({**front_json(shown, front, fronts), **(reused_json(reused) if reused else {})})
    elif not front:
        click.echo(f"study {study!r} has no finished trial yet.")
    elif target is None:
        print_fronts(spec, front, fronts)
    else:
        print_front(shown, front, target)
    if reused is not None and not as_json:
        print_reused(reused)


def front_json(spec: StudySpec, front: Sequence[TrialRecord], fronts: Fronts) -> dict[str, Any]:
    """The front as the documented JSON object; `fronts` are those of each target."""
    return {
        "study": spec.name,
        "objectives": {o.name: o.direction for o in spec.objectives},
        "front": [member_json(trial, spec) for trial in front],
        "fronts": {target: [trial.number for trial in trials] for target, trials in fronts.items()},
    }


def member_json(trial: TrialRecord, spec: StudySpec) -> dict[str, Any]:
    """A trial of a front; in a study with repeats also its runs, and the standard error of their means."""
    from nas.studies.front import target_names

    found = with_kept(trial_json(trial, target_names(spec)), trial, spec)
    if spec.repeats == 1:
        return found
    return {**found, "runs": trial.runs, "standard_error": dict(trial.standard_error)}


def with_kept(found: dict[str, Any], trial: TrialRecord, spec: StudySpec) -> dict[str, Any]:
    """The JSON of a trial; where the study limits a latency, with the probability that each limit is kept."""
    from nas.studies.kept import kept_probabilities

    kept = kept_probabilities(spec, trial.costs)
    return {**found, "kept": kept} if kept else found


def print_fronts(spec: StudySpec, front: Sequence[TrialRecord], fronts: Fronts) -> None:
    """A table for each target where there are several, and which trials are compromises between them."""
    from nas.studies.front import on_target

    if len(fronts) < 2:
        print_front(spec, front)
        return
    for target, trials in fronts.items():
        print_front(on_target(spec, target), trials, target)
    own = {trial.number for trials in fronts.values() for trial in trials}
    between = [f"#{trial.number}" for trial in front if trial.number not in own]
    if between:
        click.echo(f"Beaten on each target, but by none on all of them: {', '.join(between)}")


def print_front(
    spec: StudySpec,
    front: Sequence[TrialRecord],
    target: str | None = None,
    notes: Mapping[int, str] | None = None,
) -> None:
    """The front as a table: the objectives, then what every engineer asks for.

    With `target` only the latency there is shown; `notes` says something about each trial by its number.
    """
    from nas.report.describe import describe
    from nas.report.tiers import tier_of, tiers_of, with_tier
    from nas.search.per_target import target_of
    from nas.studies.front import target_names
    from nas.studies.kept import kept_probabilities, median_text

    tiers = tiers_of(spec, (cost for trial in front for cost in trial.costs))
    names = {label: name for label, name in target_names(spec).items() if target in (None, name)}
    extra = [o.name for o in spec.objectives if o.name != "accuracy" and not o.name.startswith("latency")]
    columns = [">trial", ">accuracy", *(f">latency {name} (90 %)" for name in names.values())]
    limits = [limit for limit in _limits(spec) if target in (None, target_of(limit.name, spec.target_names))]
    columns += [f">keeps {median_text(limit)}" for limit in limits]
    columns += [f">{with_tier(name, tier_of(name, spec.target_names, tiers))}" for name in extra] + [
        ">params",
        ">MACs",
        "network",
    ]
    if notes:
        columns.insert(1, "front")
    has_runs = any(trial.runs > 1 for trial in front)
    if has_runs:
        columns.insert(-1, ">runs")
    rows = []
    for trial in front:
        costs = {cost.target: cost for cost in trial.costs}
        row: list[Any] = [f"#{trial.number}", *([notes[trial.number]] if notes else [])]
        errors = trial.standard_error
        row.append(_percent(trial.metrics.get("accuracy"), errors.get("accuracy")))
        row += [latency(costs[label]) if label in costs else "–" for label in names]
        kept = kept_probabilities(spec, trial.costs)
        row += [_share(kept.get(median_text(limit))) for limit in limits]
        row += [_number(trial.metrics[name], errors.get(name)) for name in extra]
        any_cost = trial.costs[0] if trial.costs else None
        row += [count(any_cost.params), count(any_cost.macs)] if any_cost else ["–", "–"]
        row += [trial.runs] if has_runs else []
        rows.append([*row, describe(trial.architecture)])
    where = f" on {target}" if target else ""
    title = f"Pareto front of {spec.name}{where}: latency is predicted, with its 90 % interval and tier"
    print_table(columns, rows, title)


def _limits(spec: StudySpec) -> list[Constraint]:
    """The limits on a latency, each once."""
    from nas.studies.kept import latency_limits, median_text

    return list({median_text(limit): limit for limit in latency_limits(spec.constraints)}.values())


def _share(probability: float | None) -> str:
    return "–" if probability is None else f"{100 * probability:.0f} %"


def _percent(value: float | None, error: float | None) -> str:
    """A share, and the standard error where it is a mean of several runs: ``98.20 ± 0.30 %``."""
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if error is None else f"{100 * value:.2f} ± {100 * error:.2f} %"


def _number(value: float, error: float | None) -> str:
    return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.2g}"
