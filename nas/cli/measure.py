"""``nas measure``: what a network takes on this machine, beside what was predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import (
    input_option,
    json_option,
    parse_shape,
    split_trial,
    store_option,
    target_options,
)
from nas.cli.output import cost_json, latency, milliseconds, print_json, print_table
from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.studies.measure import Comparison

FAR = 1.05
"""A machine that is so many times as fast as it was calibrated, or as slow, is said to be."""


@click.command("measure")
@click.argument("what")
@click.option("--front", is_flag=True, help="Measure every network on the Pareto front of the study.")
@click.option("--target", default="this", show_default=True, help="This machine, or its target file.")
@input_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.01),
    default=2.0,
    show_default=True,
    help="How long to measure each network.",
)
@click.option("--cost-model", help="Who predicts, to compare. [default: as in nas cost]")
@target_options
@store_option
@json_option
def command(
    what: str,
    front: bool,
    target: str,
    input_shape: str,
    seconds: float,
    cost_model: str | None,
    store: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Measure networks on this machine in their deployed form, beside their prediction.

    WHAT is STUDY with --front, STUDY#TRIAL, an architecture file (.json), a published network, or
    package.module:callable that returns a torch module. What a study's networks took is stored beside what
    was predicted for them.

    \b
    nas measure mobile-this --front --target this
    nas measure published/resnet50 --runtime compiled
    """
    from nas.costs import resolve_target
    from nas.costs.cost import DEFAULT_MODEL
    from nas.plugins import default_registry

    registry = default_registry()
    resolved = resolve_target(target, registry, **overrides)
    model = cost_model or DEFAULT_MODEL
    if front or "#" in what:
        found = _of_study(what, front, store, resolved, registry, model, seconds)
    else:
        found = [_of_network(what, store, input_shape, resolved, registry, model, seconds)]
    if as_json:
        print_json({"target": resolved.label, "networks": [_json(one) for one in found]})
    else:
        _print(found, resolved)


def _of_study(
    what: str, front: bool, store: str, target: Target, registry: Registry, model: str, seconds: float
) -> list[Comparison]:
    from nas.store import Store
    from nas.studies.measure import measure_front, measure_trial

    study, number = split_trial(what)
    if front and number is not None:
        raise UsageError(f"--front measures a study, not one trial: write 'nas measure {study} --front'")
    with Store.open(store, create=False) as opened:
        if number is None:
            return measure_front(opened, study, target, registry, model, seconds)
        return [measure_trial(opened, study, number, target, registry, model, seconds)]


def _of_network(
    what: str, store: str, shape: str, target: Target, registry: Registry, model: str, seconds: float
) -> Comparison:
    from nas.cli.architectures import read_architecture
    from nas.costs import load_module
    from nas.studies.measure import measure_architecture, measure_module

    if ":" in what:
        return measure_module(what, load_module(what), parse_shape(shape), target, registry, model, seconds)
    architecture = read_architecture(what, store, registry)
    return measure_architecture(what, architecture, target, registry, model, seconds)


def _json(found: Comparison) -> dict[str, Any]:
    return {
        "name": found.name,
        "measured": cost_json(found.measured),
        "predicted": cost_json(found.predicted),
        "inside": found.is_inside,
        "measurement": asdict(found.measurement),
    }


def _print(comparisons: Sequence[Comparison], target: Target) -> None:
    rows = []
    for found in comparisons:
        one = found.measurement
        spread = f"± {100 * one.spread_ms / one.latency_ms:.1f} %" + (" noisy" if one.noisy else "")
        difference = f"{100 * (found.predicted.latency_ms / one.latency_ms - 1):+.0f} %"
        rows.append(
            (
                found.name,
                milliseconds(one.latency_ms),
                spread,
                latency(found.predicted),
                found.predicted.tier,
                difference,
                "yes" if found.is_inside else "no",
            )
        )
    columns = ("network", ">measured", "spread", ">predicted (90 %)", "tier", ">off by", "inside")
    print_table(columns, rows, f"{target.label}: measured and predicted latency")
    for text in dict.fromkeys(_notes(comparisons, target)):
        click.echo(f"note: {text}")


def _notes(comparisons: Sequence[Comparison], target: Target) -> list[str]:
    from nas.costs.this import calibration_note

    note = calibration_note(target)
    found = [note] if note else []
    speeds = [one.measurement.speed for one in comparisons if one.measurement.speed is not None]
    if any(not 1 / FAR < speed < FAR for speed in speeds):
        found.append(
            f"this machine is at {100 * median(speeds):.0f} % of the speed it was calibrated at; "
            "latencies are told at that speed"
        )
    for one in comparisons:
        if one.measurement.noisy:
            reason = one.measurement.conditions.get("busy", "its runs scatter")
            found.append(f"{one.name} is noisy: {reason}")
    return found
