"""``nas targets``: the hardware a network can be priced on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, target_options
from nas.cli.output import bounds_text, calibration_json, print_json, print_table, profile_json, trust_json
from nas.errors import UsageError

if TYPE_CHECKING:
    from nas.costs.calibration import Calibration
    from nas.costs.target import Target


@click.command("targets")
@click.argument("name", required=False)
@target_options
@json_option
def command(name: str | None, as_json: bool, **overrides: Any) -> None:
    """List the hardware targets, or show the figures of one with their sources.

    NAME is a target, one of its aliases, or the path of a target file.
    """
    from nas.costs import resolve_target
    from nas.plugins import default_registry

    registry = default_registry()
    if name is None:
        _refuse_overrides(overrides)
        _list([registry.targets[key] for key in registry.targets], as_json)
    else:
        _show(resolve_target(name, registry, **overrides), as_json)


def _refuse_overrides(overrides: Mapping[str, Any]) -> None:
    """A profile is that of one target: beside none it would be ignored silently."""
    given = [f"--{key.replace('_', '-')}" for key, value in overrides.items() if value is not None]
    if given:
        raise UsageError(f"{given[0]} completes one target: nas targets NAME {given[0]} ...")


def _list(targets: list[Target], as_json: bool) -> None:
    from nas.costs.figure_trust import profile_figures, tier_of, trust_counts

    targets.sort(key=lambda t: (t.device.device_class, t.device.name))
    if as_json:
        print_json({"targets": [_target_json(target) for target in targets]})
        return
    rows = [
        (
            t.device.name,
            ", ".join(t.device.aliases),
            t.device.device_class,
            t.device.vendor,
            t.label.partition("/")[2],
            tier_of(t),
            ", ".join(f"{number} {trust}" for trust, number in trust_counts(profile_figures(t)).items()),
        )
        for t in targets
    ]
    columns = ("target", "aliases", "class", "vendor", "default profile", "tier", "figures by trust")
    print_table(columns, rows, f"{len(rows)} targets")


def _show(target: Target, as_json: bool) -> None:
    from nas.costs.figure_trust import tier_of, trust_text

    if as_json:
        figures = {
            k: {"value": f.value, "source": f.source, "trust": f.trust} for k, f in target.figures.items()
        }
        print_json({**_target_json(target), "figures": figures})
        return
    click.echo(f"{target.label}\n{target.device.vendor}, {target.device.device_class}; {tier_of(target)}")
    click.echo(f"Figures this profile rests on: {trust_text(target)}\n")
    rows = [(key, f"{f.value:g}", f.trust, f.source) for key, f in target.figures.items()]
    print_table(("figure", ">value", "trust", "source"), rows)
    if target.calibration is not None:
        _print_calibration(target.calibration)


def _print_calibration(calibration: Calibration) -> None:
    """What was measured on the device, by whom and how."""
    click.echo(
        f"Calibrated ({calibration.tier}, for the cost model {calibration.model}): {calibration.source}"
    )
    click.echo(f"90 % of networks take {bounds_text(calibration)} times what is predicted")
    click.echo(f"kernels take {calibration.scale:.3g} times as long as by the datasheet")
    if calibration.conditions:
        print_table(("condition", "value"), list(calibration.conditions.items()))
    rows = [
        (kind, c.kernels, f"{c.scale:.3g}", ", ".join(c.sizes) or "–", f"{1e3 * c.added_ms:.3g}")
        for kind, c in calibration.corrections.items()
    ]
    if rows:
        print_table(("kind", ">kernels measured", ">takes times", "depends on", ">and µs on top"), rows)


def _target_json(target: Target) -> dict[str, Any]:
    from nas.costs.figure_trust import tier_of

    return {
        "name": target.device.name,
        "aliases": list(target.device.aliases),
        "class": target.device.device_class,
        "vendor": target.device.vendor,
        "label": target.label,
        **{key: value for key, value in profile_json(target).items() if key != "device"},
        "tier": tier_of(target),
        "trust": trust_json(target),
        "calibration": None if target.calibration is None else calibration_json(target.calibration),
    }
