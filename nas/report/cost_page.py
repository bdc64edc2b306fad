"""The page of ``nas cost``: what a network takes on each target, and its rooflines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.report.comparison import Table
from nas.report.pages import render
from nas.report.roofline import roofline
from nas.report.text import clean, count, millijoules, milliseconds, size

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.target import Target

FORMATS = (".html",)


def check_cost_page(path: Path) -> None:
    """Raises UsageError where the page cannot be written there."""
    from nas.files import check_writable

    if path.suffix not in FORMATS:
        raise UsageError(f"--output {str(path)!r:.200}: a page ends in .html")
    check_writable(path)


def write_cost_page(what: str, targets: Sequence[Target], costs: Sequence[Cost], path: Path) -> Path:
    """Writes the page and returns its path; it opens without a network and runs no script.

    UsageError where the file cannot be written.
    """
    from nas.files import whole_file

    check_cost_page(path)
    page = cost_html(what, targets, costs)
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return path


def cost_html(what: str, targets: Sequence[Target], costs: Sequence[Cost]) -> str:
    """The page as text."""
    from nas.costs.figure_trust import trust_text
    from nas.costs.summary import warnings

    pairs = list(zip(targets, costs, strict=True))
    return render(
        "cost.html",
        title=clean(what, 120),
        costs=_table(costs),
        lines=[roofline(target, cost) for target, cost in pairs],
        trust=[clean(trust_text(target), 300) for target in targets],
        notes=[[clean(note, 300) for note in warnings(cost, target)] for target, cost in pairs],
    )


def _table(costs: Sequence[Cost]) -> Table:
    columns = (
        "target",
        ">latency",
        ">90 % interval",
        "tier",
        ">peak memory",
        ">energy",
        ">moved",
        ">params",
        ">MACs",
    )
    rows = tuple(
        (
            clean(cost.target, 120),
            milliseconds(cost.latency_ms),
            f"{milliseconds(cost.low_ms)} – {milliseconds(cost.high_ms)}",
            cost.tier,
            size(cost.peak_memory_bytes),
            millijoules(cost.energy_mj),
            size(cost.bytes_moved),
            count(cost.params),
            count(cost.macs),
        )
        for cost in costs
    )
    return Table(columns, rows)
