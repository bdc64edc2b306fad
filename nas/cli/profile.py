"""``nas profile``: what of a space fits a limit, before a trial is spent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import confidence_option, json_option, store_option, target_options
from nas.cli.output import count, millijoules, milliseconds, print_json, print_table
from nas.costs.confidence import MEDIAN, cost_of, split_quantile
from nas.costs.cost import DEFAULT_MODEL

if TYPE_CHECKING:
    from nas.studies.limits import LimitProfile
    from nas.studies.profile import SpaceProfile

MOST_SAMPLES = 100_000
UNITS = {
    "latency": "ms",
    "energy": "mJ",
    "peak_memory": "bytes",
    "bytes_moved": "bytes",
    "activation_bytes": "bytes",
}


@click.command("profile")
@click.option(
    "--space", default="mobile", show_default=True, help="Name of a space, or path of a space file."
)
@click.option("--target", "targets", multiple=True, help="Target name or file; repeatable. [default: a100]")
@click.option(
    "--constraint",
    "constraints",
    multiple=True,
    help="Limit on a cost such as 'latency<=2ms' or 'params<=5M'; repeatable.",
)
@confidence_option
@click.option(
    "--samples",
    type=click.IntRange(1, MOST_SAMPLES),
    default=1_000,
    show_default=True,
    help="Random architectures to price; a space that holds no more is listed whole.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Fixes the samples.")
@click.option("--cost-model", default=DEFAULT_MODEL, show_default=True, help="Who predicts the costs.")
@target_options
@store_option
@json_option
def command(targets: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Show what a space costs and what of it fits a limit, without training anything.

    \b
    nas profile --space mobile --target pixel6
    nas profile --space mobile --target pixel6 --constraint 'latency<=5ms' --constraint 'params<=3M'
    """
    from nas.plugins import default_registry
    from nas.studies.profile import ProfileOptions, profile_space

    if sys.stderr.isatty():
        click.echo("pricing samples; every distinct layer is traced once, which takes a while ...", err=True)
    profile = profile_space(ProfileOptions(targets=targets or ("a100",), **given), default_registry())
    if as_json:
        print_json(_profile_json(profile))
    else:
        _print(profile)


# -- for people --------------------------------------------------------------------------------------------


def _print(profile: SpaceProfile) -> None:
    size = f"{profile.size:,}" if profile.size < 10**15 else f"{float(profile.size):.2e}"
    looked = "all of them" if profile.is_whole else f"{profile.samples:,} random ones"
    click.echo(f"{profile.space}: {size} architectures, {profile.decisions} decisions; looked at {looked}")
    for name, label in profile.targets.items():
        click.echo(f"{name}: {label}, predicted by {profile.cost_model}, {profile.tiers[name]}")
    click.echo()
    rows = [
        (
            _heading(spread.cost, spread.target, profile),
            *(_shown(spread.cost, v) for v in (spread.minimum, spread.median, spread.maximum)),
        )
        for spread in profile.spreads
    ]
    print_table(("cost", ">smallest", ">median", ">largest"), rows)
    if profile.limits:
        _print_limits(profile)


def _heading(cost: str, target: str | None, profile: SpaceProfile) -> str:
    """``latency on a100 (T0)``; parameters and MACs are exact, and the same on every target."""
    words = cost.replace("_", " ")
    return words if target is None else f"{words} on {target} ({profile.tiers[target]})"


def _print_limits(profile: SpaceProfile) -> None:
    rows = [
        (
            _limit(limit, profile),
            _share(limit.fit, profile.samples),
            _share(limit.others, profile.samples),
            f"{_percent(limit.removed(profile.together))} of them" if limit.others else "–",
            _shown(limit.constraint.name, limit.extreme),
            "–" if limit.tightest is None else _shown(limit.constraint.name, limit.tightest),
        )
        for limit in profile.limits
    ]
    columns = ("constraint", ">keep it", ">keep the others", ">removes", ">best seen", ">beside the others")
    print_table(columns, rows)
    for line in _sentences(profile):
        click.echo(line)


def _sentences(profile: SpaceProfile) -> list[str]:
    """What follows from the table of the constraints."""
    what = "architectures" if profile.is_whole else "samples"
    every = "the constraint" if len(profile.limits) == 1 else "all constraints"
    share = _percent(profile.share)
    lines = [f"{profile.together:,} of {profile.samples:,} {what} keep {every} ({share})."]
    if len(profile.limits) > 1:
        lines.append(_binding_sentence(profile, what))
    if profile.is_scarce:
        lines += _scarce_sentences(profile, every)
    return lines


def _binding_sentence(profile: SpaceProfile, what: str) -> str:
    limit = profile.binding
    if limit is None:
        return f"Binding: none; no constraint removes any of the {what} that the others leave."
    name = _limit(limit, profile)
    if limit.others:
        removed = _percent(limit.removed(profile.together))
        return f"Binding: {name} removes {removed} of the {limit.others:,} {what} that keep the others."
    return f"Binding: {name}, which only {limit.fit:,} {what} keep; no sample keeps all but one."


def _scarce_sentences(profile: SpaceProfile, every: str) -> list[str]:
    from nas.studies.limits import spelled

    if profile.together or profile.downhill_together:
        found = f"{profile.downhill_together:,} of {profile.downhill:,} met on a short way downhill"
        return [f"Few fit, yet a search can find them: {found} keep {every}."] if profile.downhill else []
    if not profile.loosened:
        return ["No single limit can be loosened so that anything seen fits: loosen two of them."]
    ways = [
        f"--constraint '{spelled(one.constraint, one.tightest)}'" for one in profile.loosened if one.tightest
    ]
    kept = "" if len(profile.limits) == 1 else ", the others as they are"
    return [f"Nearest limit under which a network was seen: {' or '.join(ways)}{kept}."]


def _limit(limit: LimitProfile, profile: SpaceProfile) -> str:
    """The limit as a reader writes it, with its target where there are several."""
    constraint = limit.constraint
    name, quantile = split_quantile(constraint.name)
    is_open = "@" not in name and name not in ("params", "macs")
    where = f"@{next(iter(profile.targets))}" if is_open and len(profile.targets) > 1 else ""
    sure = f" with {100 * constraint.confidence:g} %" if quantile != MEDIAN else ""
    return f"{name}{where} {constraint.operator} {_shown(name, constraint.limit)}{sure}"


def _share(number: int, total: int) -> str:
    return f"{number:,} ({_percent(number / total)})"


def _percent(share: float) -> str:
    """A share that is written as nothing or all only where it is."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return "< 0.1 %" if share < 0.001 else "> 99.9 %" if share > 0.999 else f"{100 * share:.1f} %"


def _shown(name: str, value: float) -> str:
    unit = UNITS.get(cost_of(name), "")
    if unit == "ms":
        return milliseconds(value)
    if unit == "mJ":
        return millijoules(value)
    return f"{count(value)}B" if unit else count(value)


# -- for programs ------------------------------------------------------------------------------------------


def _profile_json(profile: SpaceProfile) -> dict[str, Any]:
    binding = profile.binding
    return {
        "space": profile.space,
        "size": profile.size,
        "decisions": profile.decisions,
        "targets": dict(profile.targets),
        "tiers": dict(profile.tiers),
        "cost_model": profile.cost_model,
        "seed": profile.seed,
        "samples": profile.samples,
        "is_whole": profile.is_whole,
        "costs": [
            {
                "cost": spread.cost,
                "target": spread.target,
                "unit": UNITS.get(spread.cost, ""),
                "min": spread.minimum,
                "median": spread.median,
                "max": spread.maximum,
            }
            for spread in profile.spreads
        ],
        "constraints": [_limit_json(limit, profile) for limit in profile.limits],
        "fit": profile.together,
        "share": profile.share,
        "binding": None if binding is None else str(binding.constraint),
        "downhill": {"seen": profile.downhill, "fit": profile.downhill_together},
        "loosen": [_loosened_json(limit) for limit in profile.loosened],
    }


def _limit_json(limit: LimitProfile, profile: SpaceProfile) -> dict[str, Any]:
    constraint = limit.constraint
    return {
        "constraint": str(constraint),
        "name": constraint.name,
        "operator": constraint.operator,
        "limit": constraint.limit,
        "unit": UNITS.get(cost_of(constraint.name), ""),
        "confidence": constraint.confidence,
        "fit": limit.fit,
        "share": limit.fit / profile.samples,
        "others": limit.others,
        "removed": limit.removed(profile.together) if limit.others else None,
        "extreme": limit.extreme,
        "tightest": limit.tightest,
    }


def _loosened_json(limit: LimitProfile) -> dict[str, Any]:
    from nas.studies.limits import spelled

    assert limit.tightest is not None
    constraint = limit.constraint
    return {
        "constraint": str(constraint),
        "limit": limit.tightest,
        "write": spelled(constraint, limit.tightest),
    }
