"""``nas plugins``: what is loaded, from where, what is wrong with it, and whether it keeps its promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from nas.cli.options import json_option
from nas.cli.output import print_json, print_table
from nas.errors import PluginError, UsageError

if TYPE_CHECKING:
    from nas.plugins import Plugin
    from nas.testing.check import Item, Outcome


@click.group("plugins", invoke_without_command=True)
@click.option("--timings", is_flag=True, help="Show how long each import took, the slowest first.")
@json_option
@click.pass_context
def command(context: click.Context, timings: bool, as_json: bool) -> None:
    """List the plugins with their hooks and errors; `check NAME` runs the conformance kit."""
    if context.invoked_subcommand is not None:
        return
    from nas.plugins import default_registry

    registry = default_registry()
    registry.collect_all()
    plugins: Sequence[Plugin] = registry.manager.plugins
    if timings:
        plugins = sorted(plugins, key=lambda plugin: -plugin.seconds)
    if as_json:
        print_json({"plugins": [asdict(plugin) for plugin in plugins]})
        return
    columns = ["plugin", "distribution", "hooks", "status"]
    rows = [[p.name, f"{p.distribution} {p.version}", ", ".join(p.hooks), _status(p)] for p in plugins]
    if timings:
        columns.append(">import")
        rows = [[*row, f"{1000 * p.seconds:.0f} ms"] for row, p in zip(rows, plugins, strict=True)]
    print_table(columns, rows)


def _status(plugin: Plugin) -> str:
    return "loaded" if plugin.is_loaded else f"skipped: {plugin.error}"


@command.command("check")
@click.argument("name")
@click.option("--verbose", "-v", is_flag=True, help="Show every check, not only those that fail.")
@json_option
def check(name: str, verbose: bool, as_json: bool) -> None:
    """Run the conformance kit against a plugin, or against one block, target, space, ...

    NAME is a plugin, a distribution, or an item that one provides.
    """
    from nas.plugins import default_registry

    try:
        from nas.testing.check import find_items, run_checks
    except ModuleNotFoundError as error:
        raise UsageError(str(error)) from None
    items = find_items(name, default_registry())
    outcomes = run_checks(items, None if as_json else _Progress(len(items)))
    if as_json:
        print_json({"name": name, "checks": [_outcome_json(outcome) for outcome in outcomes]})
    else:
        _print_outcomes(items, outcomes, verbose)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    if failed:
        of = len({outcome.item for outcome in failed})
        raise PluginError(f"{len(failed)} of {len(outcomes)} checks failed, in {of} of {len(items)} items")


class _Progress:
    """Says which item is being checked; the larger plugins take minutes."""

    def __init__(self, items: int) -> None:
        self._items = items
        self._seen: list[Item] = []

    def __call__(self, outcome: Outcome) -> None:
        if outcome.item not in self._seen:
            self._seen.append(outcome.item)
            place = f"[{len(self._seen)}/{self._items}]"
            click.echo(f"{place} {outcome.item.kit.kind} {outcome.item.name}", err=True)


def _print_outcomes(items: Sequence[Item], outcomes: Sequence[Outcome], verbose: bool) -> None:
    rows = []
    for item in items:
        own = [outcome for outcome in outcomes if outcome.item == item]
        counts = [sum(o.status == status for o in own) for status in ("passed", "failed", "skipped")]
        rows.append([item.kit.kind, item.name, *counts])
    print_table(["kind", "name", ">passed", ">failed", ">skipped"], rows)
    shown = [outcome for outcome in outcomes if verbose or outcome.status == "failed"]
    if shown:
        print_table(["name", "check", "", "why"], [[o.item.name, o.check, o.status, o.reason] for o in shown])


def _outcome_json(outcome: Outcome) -> dict[str, str]:
    return {
        "kind": outcome.item.kit.kind,
        "name": outcome.item.name,
        "check": outcome.check,
        "status": outcome.status,
        "reason": outcome.reason,
    }
