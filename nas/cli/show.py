"""``nas show``: the trials of a study, or one trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nas.cli.front import with_kept
from nas.cli.options import json_option, split_trial, store_option
from nas.cli.output import count, duration, epochs, latency, millijoules, print_json, print_table, trial_json

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.search.study import StudySpec
    from nas.store import Store, TrialRecord


@click.command("show")
@click.argument("what", metavar="STUDY[#TRIAL]")
@store_option
@json_option
def command(what: str, store: str, as_json: bool) -> None:
    """Show a study's trials, or one trial: STUDY or STUDY#TRIAL."""
    from nas.search.study import StudySpec
    from nas.store import Store

    study, number = split_trial(what)
    with Store.open(store, create=False, read_only=True) as opened:
        spec = StudySpec.from_json(opened.study(study).spec)
        if number is None:
            _show_study(opened, spec, as_json)
        else:
            _show_trial(opened, spec, number, as_json)


def _show_study(store: Store, spec: StudySpec, as_json: bool) -> None:
    from nas.report.describe import describe
    from nas.report.tiers import tier_of, tiers_of, with_tier
    from nas.studies.front import target_names

    trials = store.trials(spec.name)
    names = target_names(spec)
    if as_json:
        print_json(
            {
                "study": spec.name,
                "trials": [with_kept(trial_json(trial, names), trial, spec) for trial in trials],
            }
        )
        return
    objectives = [objective.name for objective in spec.objectives]
    rows = [
        (
            trial.number,
            trial.state,
            *(f"{trial.metrics[name]:.4g}" if name in trial.metrics else "–" for name in objectives),
            epochs(trial.last_step, trial.fidelity),
            duration(trial.seconds) if trial.seconds is not None else "–",
            trial.error.splitlines()[0] if trial.error else describe(trial.architecture),
        )
        for trial in trials
    ]
    tiers = tiers_of(spec, (cost for trial in trials for cost in trial.costs))
    headings = [f">{with_tier(name, tier_of(name, spec.target_names, tiers))}" for name in objectives]
    print_table(
        (">trial", "state", *headings, ">epochs", ">time", "network or error"),
        rows,
    )


def _show_trial(store: Store, spec: StudySpec, number: int, as_json: bool) -> None:
    from nas.studies.front import target_names

    trial = store.trial(spec.name, number)
    steps = store.steps(spec.name, number)
    if as_json:
        history = [{"step": step, "metrics": dict(metrics)} for step, metrics in steps]
        print_json(
            {
                **with_kept(trial_json(trial, target_names(spec)), trial, spec),
                "study": spec.name,
                "steps": history,
            }
        )
        return
    _print_trial(trial, spec)
    if steps:
        names = sorted({name for _, metrics in steps for name in metrics})
        rows = [(step, *(f"{m[name]:.4g}" if name in m else "–" for name in names)) for step, m in steps]
        print_table((">step", *(f">{name}" for name in names)), rows)


def _taken(cost: Cost) -> str:
    """The memory and the energy of a cost, where they are known."""
    memory, energy = cost.found("peak_memory_bytes"), cost.found("energy_mj")
    shown = "" if memory is None else f", peak memory {count(memory)}B"
    return shown if energy is None else f"{shown}, {millijoules(energy)}"


def _print_trial(trial: TrialRecord, spec: StudySpec) -> None:
    from nas.report.describe import describe
    from nas.studies.kept import kept_probabilities

    done = epochs(trial.last_step, trial.fidelity)
    click.echo(f"{trial.study}#{trial.number}: {trial.state}, epochs {done}, seed {trial.seed}")
    click.echo(f"architecture {trial.architecture.hash[:12]}: {describe(trial.architecture)}")
    for cost in trial.costs:
        click.echo(
            f"{cost.target}: {latency(cost)}, {cost.kind}; {count(cost.params)} params, "
            f"{count(cost.macs)} MACs{_taken(cost)}"
        )
    for limit, probability in kept_probabilities(spec, trial.costs).items():
        click.echo(f"keeps {limit} with {100 * probability:.0f} %")
    if trial.error:
        click.echo(f"error: {trial.error}")
        if trial.traceback:
            click.echo(trial.traceback)
    rows = [(name, value) for name, value in trial.architecture.values().items()]
    print_table(("decision", "choice"), rows)
