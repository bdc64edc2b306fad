"""``nas scale``: a network with more or less work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.architectures import read_architecture
from nas.cli.options import json_option, store_option, target_options
from nas.cli.output import cost_json, count, latency, print_json, print_table

if TYPE_CHECKING:
    from nas.studies.scale import Scaled


@click.command("scale")
@click.argument("what")
@click.option("--by", type=float, required=True, metavar="FACTOR", help="How many times the MACs to aim for.")
@click.option(
    "--alpha",
    type=float,
    default=0.8,
    show_default=True,
    help="Share of the work that goes into the width; 1/3 scales depth, width and resolution alike.",
)
@click.option(
    "--multiple",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="What widths and the sides of the input are multiples of.",
)
@click.option("--target", "targets", multiple=True, help="Target name or file; repeatable. [default: a100]")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the scaled architecture as a .json file.",
)
@target_options
@store_option
@json_option
def command(
    what: str,
    by: float,
    alpha: float,
    multiple: int,
    targets: tuple[str, ...],
    output: Path | None,
    store: str,
    as_json: bool,
    **overrides: Any,
) -> None:
    """Scale a network by its depth, width and resolution, and show what that costs.

    WHAT is STUDY#TRIAL, an architecture file (.json) or a published network.

    \b
    nas scale published/resnet50 --by 4
    nas scale mobile-a100#17 --by 0.5 --alpha 0.5 --output smaller.json
    """
    from nas.files import check_writable
    from nas.plugins import default_registry
    from nas.studies.options import resolve_targets
    from nas.studies.scale import scale

    if output is not None:
        check_writable(output)
    registry = default_registry()
    architecture = read_architecture(what, store, registry)
    resolved = resolve_targets(targets or ("a100",), overrides, registry)
    found = scale(architecture, by, resolved, registry, alpha=alpha, multiple=multiple)
    if output is not None:
        _write(found, output)
    show = _print_json if as_json else _print
    show(what, found, output)


def _write(found: Scaled, output: Path) -> None:
    from nas.files import whole_file

    with whole_file(output) as path:
        path.write_text(found.architecture.to_json() + "\n", encoding="utf-8")


def _print_json(what: str, found: Scaled, output: Path | None) -> None:
    import json

    print_json(
        {
            "what": what,
            "by": found.scaling.by,
            "alpha": found.scaling.alpha,
            "hash": found.architecture.hash,
            "architecture": json.loads(found.architecture.to_json()),
            "aims": {
                "macs": found.scaling.by,
                "params": found.scaling.params,
                "activations": found.scaling.activations,
            },
            "before": [cost_json(cost) for cost in found.before],
            "after": [cost_json(cost) for cost in found.after],
            "path": None if output is None else str(output),
        }
    )


def _print(what: str, found: Scaled, output: Path | None) -> None:
    scaling = found.scaling
    click.echo(
        f"{what} scaled by {scaling.by:g}: depth x {scaling.depth:.3g}, width x {scaling.width:.3g}, "
        f"resolution x {scaling.resolution:.3g}; architecture {found.architecture.hash[:12]}"
    )
    print_table(("", ">before", ">after", ">factor", ">aim"), [*_amounts(found), *_latencies(found)])
    if output is not None:
        click.echo(f"wrote {output}")


def _amounts(found: Scaled) -> list[tuple[str, str, str, str, str]]:
    """What no target changes, with the factor that a stack of convolutions would have."""
    before, after, scaling = found.before[0], found.after[0], found.scaling
    rows = (
        ("MACs", before.macs, after.macs, scaling.by),
        ("params", before.params, after.params, scaling.params),
        ("activations (bytes)", before.activation_bytes, after.activation_bytes, scaling.activations),
    )
    return [
        (name, count(old), count(new), f"{new / max(1, old):.2f}", f"{aim:.2f}")
        for name, old, new, aim in rows
    ]


def _latencies(found: Scaled) -> list[tuple[str, str, str, str, str]]:
    return [
        (f"latency on {old.target}", latency(old), latency(new), f"{new.latency_ms / old.latency_ms:.2f}", "")
        for old, new in zip(found.before, found.after, strict=True)
    ]
