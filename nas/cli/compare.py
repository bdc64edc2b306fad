"""``nas compare``: studies side by side, trial for trial."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nas.cli.options import json_option, store_option
from nas.cli.output import print_json, print_table

if TYPE_CHECKING:
    from nas.report.comparison import StudyComparison
    from nas.search.study import StudySpec
    from nas.store import Store


@click.command("compare")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "--objective",
    "objectives",
    multiple=True,
    help="Compare by this one; repeatable. [default: all objectives, which must then be the same]",
)
@click.option(
    "--at",
    "counts",
    type=click.IntRange(min=1),
    multiple=True,
    help="A number of trials to show; repeatable.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Draw the lines: a file that ends in .svg or .html.",
)
@store_option
@json_option
def command(
    studies: tuple[str, ...],
    objectives: tuple[str, ...],
    counts: tuple[int, ...],
    output: Path | None,
    store: str,
    as_json: bool,
) -> None:
    """Compare studies: how much of the best front each had after so many trials.

    Studies that differ in nothing but the seed are one group, shown as median and range.

    \b
    nas compare tiny-pareto-0 tiny-pareto-1 tiny-random-0 tiny-random-1 -o compare.svg
    """
    from nas.report.compare_page import write_comparison
    from nas.report.comparison import counts_shown
    from nas.store import Store
    from nas.studies.compare import check_output, compare_studies, comparison_json

    check_output(output)
    with Store.open(store, create=False, read_only=True) as opened:
        compared = compare_studies(opened, studies, objectives)
    shown = tuple(sorted(set(counts))) or counts_shown(compared.comparison)
    path = None if output is None else write_comparison(compared, output, shown)
    if as_json:
        print_json({**comparison_json(compared, shown), "path": None if path is None else str(path)})
        return
    print_comparison(compared, shown)
    if path is not None:
        click.echo(f"wrote {path}")


def print_comparison(compared: StudyComparison, counts: Sequence[int]) -> None:
    """The tables, what they are measured by, the warnings, and who beats a random search."""
    from nas.report.comparison import gap_table, reach_table, reference_text, spark

    gaps, reached = gap_table(compared.comparison, counts), reach_table(compared.comparison)
    bars = [spark(group) for group in compared.comparison.groups]
    print_table(
        (*gaps.columns, "hypervolume"), [(*row, bar) for row, bar in zip(gaps.rows, bars, strict=True)]
    )
    print_table(reached.columns, reached.rows)
    click.echo(reference_text(compared.comparison))
    for note in compared.notes:
        click.echo(f"warning: {note}", err=True)
    for verdict in compared.verdicts:
        click.echo(verdict.text)


def print_baseline(store: Store, spec: StudySpec) -> None:
    """A study against its baseline, where it has one."""
    from nas.errors import UsageError
    from nas.report.compare_page import baseline_comparison
    from nas.report.comparison import counts_shown

    if not spec.baseline:
        return
    try:
        compared = baseline_comparison(store, spec)
    except UsageError as error:
        click.echo(f"warning: no comparison with {spec.baseline_name}: {error}", err=True)
    else:
        print_comparison(compared, counts_shown(compared.comparison))


def baseline_json(store: Store, spec: StudySpec) -> dict[str, Any]:
    """``{"baseline": …}`` with the comparison, or with null where there is too little to compare."""
    from nas.errors import UsageError
    from nas.report.compare_page import baseline_comparison
    from nas.report.comparison import counts_shown
    from nas.studies.compare import comparison_json

    if not spec.baseline:
        return {}
    try:
        compared = baseline_comparison(store, spec)
    except UsageError:
        return {"baseline": None}
    return {"baseline": comparison_json(compared, counts_shown(compared.comparison))}
