"""``nas proxies``: what zero-cost proxies are worth for a study."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from nas.cli.options import json_option, store_option
from nas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nas.studies.proxy_report import ProxyReport, ProxyWorth


@click.command("proxies")
@click.argument("study")
@click.option("--proxy", "names", multiple=True, help="Only this proxy; repeatable. [default: all]")
@store_option
@json_option
def command(study: str, names: tuple[str, ...], store: str, as_json: bool) -> None:
    """Hold zero-cost proxies against what training found in a study.

    Scores every trained network that has no score yet, keeps the scores, and shows the rank correlation.
    """
    from nas.plugins import default_registry
    from nas.search.study import StudySpec
    from nas.store import Store
    from nas.studies.plugins import check_plugins
    from nas.studies.proxy_report import proxy_report

    registry = default_registry()
    with Store.open(store, create=False) as opened:
        spec = StudySpec.from_json(opened.study(study).spec)
        check_plugins(opened, study, registry)
        report = proxy_report(opened, spec, registry, names, None if as_json else _progress)
    if as_json:
        print_json(_report_json(study, report))
    else:
        _print_report(study, report)


def _progress(done: int, count: int) -> None:
    """A line that counts on a terminal; elsewhere one at the start of the work."""
    if sys.stderr.isatty():
        click.echo(f"\rscoring network {done} of {count}", err=True, nl=done == count)
    elif done == 1:
        click.echo(f"scoring {count} networks", err=True)


def _report_json(study: str, report: ProxyReport) -> dict[str, object]:
    return {
        "study": study,
        "objective": report.objective.name,
        "direction": report.objective.direction,
        "networks": report.count,
        "proxies": [asdict(worth) for worth in report.proxies],
    }


def _print_report(study: str, report: ProxyReport) -> None:
    if not report.count:
        click.echo(f"study {study!r} has no finished trial yet.")
        return
    columns = ("proxy", ">networks", ">Spearman (90 %)", ">Kendall", ">trust", "verdict")
    title = f"Proxies of {study}: rank correlation with {report.objective.name} of {report.count} networks"
    print_table(columns, [_row(worth) for worth in report.proxies], title)
    for worth in report.proxies:
        if worth.error is not None:
            click.echo(f"note: {worth.failed} networks without {worth.name}: {worth.error}", err=True)


def _row(worth: ProxyWorth) -> tuple[object, ...]:
    if worth.spearman is None:
        return worth.name, worth.count, "–", "–", "–", "unclear: too few networks"
    interval = f"{worth.spearman:.2f} ({worth.low:.2f} to {worth.high:.2f})"
    return worth.name, worth.count, interval, f"{worth.kendall:.2f}", f"{worth.trust:.2f}", worth.verdict
