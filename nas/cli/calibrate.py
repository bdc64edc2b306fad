"""``nas calibrate``: fits a target to measurements, so that predictions for it come true."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, parse_shape, store_option, target_options
from nas.cli.output import bounds_text, calibration_json, print_json, print_table
from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas.plugins import Registry


@click.command("calibrate")
@click.option("--target", default="this", show_default=True, help="Target to calibrate: name or file.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a target file that a team can share. [default: keep it for --target this]",
)
@click.option(
    "--measurements",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Fit one scale to the networks of this CSV file (what, latency_ms) instead of measuring here.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1),
    default=100.0,
    show_default=True,
    help="How long to measure.",
)
@click.option("--space", help="Measure networks of this space too, as long again: tier T3, for that space.")
@click.option("--threads", type=click.IntRange(min=1), help="Threads of a processor. [default: its cores]")
@click.option("--cost-model", help="The cost model to fit. [default: as in nas cost]")
@target_options
@store_option
@json_option
def command(
    target: str,
    output: Path | None,
    measurements: Path | None,
    seconds: float,
    space: str | None,
    threads: int | None,
    cost_model: str | None,
    store: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Fit the predictions for a target to measurements: of operators here, or of networks in a file.

    On this machine operators are measured in under two minutes, on a processor within small networks (tier
    T2). Other machines are calibrated by a few networks that were measured there (tier T1). With --space
    random networks of a space are measured as well (tier T3).

    \b
    nas calibrate --target this
    nas calibrate --target this -o our-server.toml
    nas calibrate --target this --space mobile
    nas calibrate --target a100 --measurements measured.csv -o our-a100.toml
    """
    from nas.costs import resolve_target
    from nas.costs.cost import DEFAULT_MODEL
    from nas.files import check_writable
    from nas.plugins import default_registry

    if measurements is not None and space is not None:
        raise UsageError("--space is measured on this machine: leave it out beside --measurements")
    if output is not None:
        check_writable(output)
    registry = default_registry()
    model = cost_model or DEFAULT_MODEL
    resolved = resolve_target(target, registry, **overrides)
    if measurements is None:
        found = _by_kernels(resolved, registry, model, threads, seconds, space, quiet=as_json)
    else:
        found = _by_networks(resolved, measurements, registry, model, store)
    path = _keep(found, output)
    _report(found, path, as_json)


def _by_kernels(
    target: Target,
    registry: Registry,
    model: str,
    threads: int | None,
    seconds: float,
    space: str | None,
    *,
    quiet: bool,
) -> Target:
    """The target calibrated by measuring on this machine."""
    from nas.costs.measuring import calibrate
    from nas.costs.measuring.devices import device_of
    from nas.costs.measuring.networks import sampled_networks
    from nas.costs.this import machine_of, uncalibrated
    from nas.spaces import load_space

    device = device_of(target)
    networks = sampled_networks(load_space(space, registry), registry, target.batch_size) if space else None
    plain = uncalibrated(machine_of(target), registry, threads)
    profile = {name: getattr(target, name) for name in ("precision", "runtime", "batch_size", "layout")}
    with click.progressbar(length=100, label="measuring", file=sys.stderr, hidden=quiet) as bar:

        def show(done: int, number: int) -> None:
            bar.update(min(99, 100 * done // number) - bar.pos)  # the last is for the fit

        found = calibrate(
            replace(plain, **profile),
            registry.cost_models[model],
            device,
            seconds=seconds,
            on_progress=show,
            networks=networks,
        )
        bar.update(100 - bar.pos)
    if found.busy is not None:
        click.echo(f"note: {found.busy}: measure again when it is quiet, or trust this less", err=True)
    return found.target


def _by_networks(target: Target, path: Path, registry: Registry, model: str, store: str) -> Target:
    """The target calibrated by networks that a user measured."""
    from nas.studies.calibrate import calibrate_by_networks

    def trace_of(what: str, shape: str, placed: Target) -> Trace:
        from nas.cli.architectures import read_architecture
        from nas.costs import load_module
        from nas.costs.estimation import network_of, trace_module, trace_network

        if ":" in what:
            module = load_module(what)
            return trace_module(module, parse_shape(shape), placed)
        return trace_network(network_of(read_architecture(what, store, registry)), placed, registry)

    return calibrate_by_networks(target, path, registry, model, trace_of)


def _keep(target: Target, output: Path | None) -> Path:
    """Writes the calibrated target to where the user said, or where ``--target this`` looks."""
    from nas.costs.this import NAMES, keep_calibration, machine_of, write_target

    if output is not None:
        write_target(target, output)
        return output
    try:
        machine = machine_of(target)
    except UsageError:
        raise UsageError(
            f"name a file for the calibrated target by -o: only this machine ({', '.join(NAMES)}) has a place"
        ) from None
    return keep_calibration(target, machine)


def _report(target: Target, path: Path, as_json: bool) -> None:
    calibration = target.calibration
    assert calibration is not None
    if as_json:
        print_json(
            {
                "target": target.label,
                **calibration_json(calibration),
                "figures": {name: figure.value for name, figure in calibration.figures.items()},
                "path": str(path),
            }
        )
        return
    click.echo(f"{target.label}: tier {calibration.tier}, {calibration.source}")
    click.echo(f"90 % of networks take {bounds_text(calibration)} times what is predicted")
    rows = [(name, f"{figure.value:g}", figure.source) for name, figure in calibration.figures.items()]
    if rows:
        print_table(("figure", ">value", "source"), rows)
    click.echo(f"wrote {path}")
