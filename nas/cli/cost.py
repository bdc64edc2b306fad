"""``nas cost``: what a network takes on named hardware."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.architectures import read_architecture
from nas.cli.options import (
    input_option,
    json_option,
    parse_shape,
    split_trial,
    store_option,
    target_options,
)
from nas.cli.output import (
    cost_json,
    count,
    latency,
    millijoules,
    milliseconds,
    print_json,
    print_table,
    profile_json,
    trust_json,
)
from nas.cli.training_costs import OPTIMIZERS, price_training, print_training, training_json
from nas.costs.cost import DEFAULT_MODEL

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.target import Target
    from nas.costs.training import TrainingCost
    from nas.plugins import Registry
    from nas.search.study import StudySpec


@click.command("cost")
@click.argument("what")
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="Target name or file; repeatable. [default: those of the study, else a100]",
)
@input_option
@click.option(
    "--operators",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many operators to list.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write rooflines and operators as a page that opens offline (.html).",
)
@click.option(
    "--training", type=click.Choice(OPTIMIZERS), help="Price a training step with this optimizer too."
)
@click.option(
    "--cost-model", help=f"Who predicts the costs. [default: that of the study, else {DEFAULT_MODEL}]"
)
@target_options
@store_option
@json_option
def command(
    what: str,
    targets: tuple[str, ...],
    input_shape: str,
    operators: int,
    output: Path | None,
    training: str | None,
    cost_model: str | None,
    store: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Price a network on targets: latency with its interval, memory, energy, params, MACs.

    WHAT is STUDY#TRIAL, an architecture file (.json), a published network, or package.module:callable that
    returns a torch module.

    \b
    nas cost published/resnet50 --target a100 --target pixel6
    nas cost mypackage.models:build --input 3,192,192 --target t4
    """
    from nas.plugins import default_registry
    from nas.report.cost_page import check_cost_page, write_cost_page
    from nas.studies.options import resolve_targets

    if output is not None:
        check_cost_page(output)
    registry = default_registry()
    model = cost_model or DEFAULT_MODEL
    if "#" in what:
        spec = _study(what, store)
        model = cost_model or spec.cost_model
        if not targets:
            targets = spec.targets
            given = {key: value for key, value in overrides.items() if value is not None}
            overrides = {**dict(spec.target_overrides), **given}
    resolved = resolve_targets(targets or ("a100",), overrides, registry)
    costs = _price(what, parse_shape(input_shape), resolved, store, registry, model)
    steps = (
        price_training(what, parse_shape(input_shape), resolved, store, registry, model, training)
        if training
        else None
    )
    if output is not None:
        write_cost_page(what, resolved, costs, output)
    if as_json:
        _print_json(what, resolved, costs, operators, output, steps)
    else:
        _print(what, resolved, costs, operators)
        if steps:
            print_training(steps)
        if output is not None:
            click.echo(f"wrote {output}")


def _price(
    what: str,
    shape: tuple[int, ...],
    targets: tuple[Target, ...],
    store: str,
    registry: Registry,
    model: str,
) -> list[Cost]:
    """The cost on each target, found by what `what` looks like."""
    from nas.costs import estimate, estimate_architecture, load_module

    if ":" in what and "#" not in what:
        module = load_module(what)
        return [estimate(module, shape, target, model=model, registry=registry) for target in targets]
    architecture = read_architecture(what, store, registry)
    return [estimate_architecture(architecture, target, registry, model) for target in targets]


def _study(what: str, store: str) -> StudySpec:
    """The settings of the study that ``STUDY#TRIAL`` names."""
    from nas.search.study import StudySpec
    from nas.store import Store

    with Store.open(store, create=False, read_only=True) as opened:
        return StudySpec.from_json(opened.study(split_trial(what)[0]).spec)


def _print_json(
    what: str,
    targets: Sequence[Target],
    costs: Sequence[Cost],
    operators: int,
    output: Path | None,
    steps: Sequence[TrainingCost] | None,
) -> None:
    from nas.costs.summary import module_times

    names = [target.name for target in targets]
    modules = [
        {"module": row.module, "latency_ms": dict(zip(names, row.latencies, strict=True))}
        for row in module_times(costs, operators)
    ]
    items = [_cost_json(cost, target, operators) for cost, target in zip(costs, targets, strict=True)]
    first = costs[0]
    found = {"what": what, "params": first.params, "macs": first.macs, "costs": items, "modules": modules}
    trained = None if steps is None else training_json(steps)
    print_json({**found, "training": trained, "path": None if output is None else str(output)})


def _cost_json(cost: Cost, target: Target, operators: int) -> dict[str, Any]:
    from dataclasses import asdict

    from nas.costs.summary import largest_operators, warnings

    return {
        **cost_json(cost),
        "energy_low_mj": cost.energy_low_mj,
        "energy_high_mj": cost.energy_high_mj,
        "name": target.name,
        "profile": profile_json(target),
        "trust": trust_json(target),
        "notes": list(warnings(cost, target)),
        "operator_count": len(cost.operators),
        "operators": [asdict(operator) for operator in largest_operators(cost, operators)],
    }


def _print(what: str, targets: Sequence[Target], costs: Sequence[Cost], operators: int) -> None:
    first = costs[0]
    click.echo(f"{what}: {first.params:,} params, {count(first.macs)} MACs ({first.macs:,}) for one sample")
    rows = [
        (
            cost.target,
            latency(cost),
            f"{cost.kind} by {cost.model}",
            f"{count(cost.peak_memory_bytes)}B",
            _energy(cost),
            f"{count(cost.bytes_moved)}B",
            count(cost.params),
            count(cost.macs),
        )
        for cost in costs
    ]
    columns = (
        "target",
        ">latency (90 %), tier",
        "how",
        ">peak memory",
        ">energy",
        ">moved",
        ">params",
        ">MACs",
    )
    print_table(columns, rows)
    if operators and len(costs) > 1:
        _print_modules(targets, costs, operators)
    for cost, target in zip(costs, targets, strict=True):
        _print_target(cost, target, operators)


def _print_modules(targets: Sequence[Target], costs: Sequence[Cost], number: int) -> None:
    """Where the time goes on each target, side by side."""
    from nas.costs.summary import module_times

    totals = [sum(operator.latency_ms for operator in cost.operators) or 1.0 for cost in costs]
    rows = [
        (
            row.module or "–",
            *(
                f"{milliseconds(part)} {_share(part, total)}"
                for part, total in zip(row.latencies, totals, strict=True)
            ),
        )
        for row in module_times(costs, number)
    ]
    heads = [f">{target.name} ({cost.tier})" for target, cost in zip(targets, costs, strict=True)]
    print_table(("block", *heads), rows, "The most expensive blocks")


def _print_target(cost: Cost, target: Target, operators: int) -> None:
    """What a figure rests on, what to beware of, and the most expensive operators."""
    from nas.costs.figure_trust import trust_text
    from nas.costs.summary import warnings

    click.echo(f"{cost.target}: {cost.tier}, figures: {trust_text(target)}")
    if target.calibration is not None:
        click.echo(f"calibrated: {target.calibration.source}")
    for note in warnings(cost, target):
        click.echo(f"note: {note}")
    if operators:
        _print_operators(cost, operators)


def _print_operators(cost: Cost, number: int) -> None:
    from nas.costs.summary import largest_operators

    total = sum(operator.latency_ms for operator in cost.operators) or 1.0
    rows = [
        (
            op.module or "–",
            op.name if op.known else f"{op.name} (no rule)",
            op.kind,
            count(op.macs),
            f"{count(op.bytes_moved)}B",
            milliseconds(op.latency_ms),
            _share(op.latency_ms, total),
            op.bound,
        )
        for op in largest_operators(cost, number)
    ]
    title = f"The {len(rows)} most expensive of {len(cost.operators)} operators ({cost.tier})"
    columns = ("module", "operator", "kind", ">MACs", ">bytes", ">latency", ">share", "bound by")
    print_table(columns, rows, title)


def _energy(cost: Cost) -> str:
    """An energy and how far it may be off: ``33.5 mJ ± 40 %``."""
    error = cost.energy_high_mj / cost.energy_mj - 1 if cost.energy_mj else 0.0
    return millijoules(cost.energy_mj) + (f" ± {100 * error:.0f} %" if error > 0 else "")


def _share(part: float, total: float) -> str:
    return f"{100 * part / total:.1f} %"
