"""``nas cost``: what a network takes on named hardware."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, split_trial, store_option, target_options
from nas.cli.output import cost_json, count, latency, milliseconds, print_json, print_table
from nas.errors import InputError, UsageError

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.search.study import StudySpec
    from nas.spaces.architecture import Architecture


@click.command("cost")
@click.argument("what")
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="Target name or file; repeatable. [default: those of the study, else a100]",
)
@click.option(
    "--input",
    "input_shape",
    default="3,224,224",
    show_default=True,
    help="Input shape of a module, without batch.",
)
@click.option(
    "--operators",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many operators to list.",
)
@click.option("--cost-model", help="Who predicts the costs. [default: that of the study, else roofline]")
@target_options
@store_option
@json_option
def command(
    what: str,
    targets: tuple[str, ...],
    input_shape: str,
    operators: int,
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
    from nas.costs.estimation import DEFAULT_MODEL
    from nas.plugins import default_registry
    from nas.studies.options import resolve_targets

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
    costs = _price(what, _shape(input_shape), resolved, store, registry, model)
    if as_json:
        _print_json(what, costs, operators)
    else:
        _print(what, costs, operators)


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
    architecture = _architecture(what, store, registry)
    return [estimate_architecture(architecture, target, registry, model) for target in targets]


def _architecture(what: str, store: str, registry: Registry) -> Architecture:
    from nas.spaces import load_space
    from nas.spaces.architecture import Architecture

    if "#" in what:
        return _stored(what, store)
    if what.endswith(".json"):
        try:
            return Architecture.from_json(Path(what).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{what}: {error}") from None
    space = load_space(what, registry)
    size = space.size()
    if size != 1:
        raise UsageError(
            f"{what!r} is a space of {size:,} architectures: name one network, such as published/resnet50, "
            "STUDY#TRIAL, a .json file or package.module:callable"
        )
    return space.decode(next(iter(space.enumerate())))


def _study(what: str, store: str) -> StudySpec:
    """The settings of the study that ``STUDY#TRIAL`` names."""
    from nas.search.study import StudySpec
    from nas.store import Store

    with Store.open(store, create=False, read_only=True) as opened:
        return StudySpec.from_json(opened.study(split_trial(what)[0]).spec)


def _stored(what: str, store: str) -> Architecture:
    from nas.store import Store

    study, number = split_trial(what)
    assert number is not None
    with Store.open(store, create=False, read_only=True) as opened:
        return opened.trial(study, number).architecture


def _shape(text: str) -> tuple[int, ...]:
    try:
        shape = tuple(int(part) for part in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise click.BadParameter(f"{text!r} is not of the form 3,224,224", param_hint="--input")
    return shape


def _print_json(what: str, costs: list[Cost], operators: int) -> None:
    items = [
        {**cost_json(cost), "operators": [_operator_json(op) for op in _largest(cost, operators)]}
        for cost in costs
    ]
    print_json({"what": what, "params": costs[0].params, "macs": costs[0].macs, "costs": items})


def _operator_json(operator: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(operator)


def _largest(cost: Cost, number: int) -> list[Any]:
    return sorted(cost.operators, key=lambda op: -op.latency_ms)[:number]


def _print(what: str, costs: list[Cost], operators: int) -> None:
    first = costs[0]
    click.echo(f"{what}: {first.params:,} params, {count(first.macs)} MACs ({first.macs:,}) for one sample")
    rows = [
        (
            c.target,
            latency(c),
            f"{c.kind} {c.tier}",
            f"{count(c.peak_memory_bytes)}B",
            f"{c.energy_mj:.3g} mJ",
            f"{count(c.bytes_moved)}B",
        )
        for c in costs
    ]
    print_table(("target", ">latency (90 %)", "how", ">peak memory", ">energy", ">moved"), rows)
    for cost in costs if operators else ():
        _print_operators(cost, operators)
    for name in first.unknown_operators:
        click.echo(f"note: operator {name} has no rule: priced by its bytes, and the interval is wider")


def _print_operators(cost: Cost, number: int) -> None:
    rows = [
        (
            op.module or "–",
            op.name,
            op.kind,
            count(op.macs),
            f"{count(op.bytes_moved)}B",
            milliseconds(op.latency_ms),
            op.bound,
        )
        for op in _largest(cost, number)
    ]
    title = f"{cost.target}: the {len(rows)} most expensive of {len(cost.operators)} operators"
    print_table(("module", "operator", "kind", ">MACs", ">bytes", ">latency", "bound by"), rows, title)
