"""A comparison as people look at it: a section of a report, a page, or a picture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.report.comparison import (
    StudyComparison,
    Table,
    counts_shown,
    gap_table,
    reach_table,
    read_comparison,
    reference_text,
)
from nas.report.lines import LineChart, comparison_chart, comparison_svg
from nas.report.pages import render
from nas.report.text import clean
from nas.search.verdict import Verdict, judge

if TYPE_CHECKING:
    from nas.search.study import StudySpec
    from nas.store import Store

FORMATS = (".svg", ".html")


@dataclass(frozen=True)
class ComparisonSection:
    """What a template shows of a comparison; where there is none, `problem` says why."""

    studies: tuple[str, ...]
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    charts: tuple[LineChart, ...] = ()
    tables: tuple[Table, ...] = ()
    reference: str = ""
    problem: str = ""


def comparison_section(compared: StudyComparison, counts: Sequence[int] = ()) -> ComparisonSection:
    """Verdicts, the picture for wide and for narrow screens, and the tables."""
    comparison = compared.comparison
    wide, narrow = comparison_chart(comparison), comparison_chart(comparison, width=360, height=300)
    return ComparisonSection(
        studies=tuple(clean(run.study, 80) for group in comparison.groups for run in group.runs),
        verdicts=compared.verdicts,
        notes=tuple(clean(note, 300) for note in compared.notes),
        charts=(wide, narrow),
        tables=(gap_table(comparison, counts or counts_shown(comparison)), reach_table(comparison)),
        reference=reference_text(comparison),
    )


def baseline_comparison(store: Store, spec: StudySpec) -> StudyComparison:
    """A study against its baseline, whichever searcher that is.

    Raises UsageError where there is too little to compare.
    """
    from nas.search.study import StudySpec

    other = StudySpec.from_json(store.study(spec.baseline_name).spec)
    compared = read_comparison(store, [spec, other])
    labels = [group.label for group in compared.comparison.groups]
    verdict = judge(compared.comparison, *labels) if len(labels) == 2 else None
    return StudyComparison(compared.comparison, compared.notes, (verdict,) if verdict else ())


def baseline_section(store: Store, spec: StudySpec) -> ComparisonSection | None:
    """The section of a study's report against its baseline; None where the study has none."""
    if not spec.baseline:
        return None
    studies = (spec.name, spec.baseline_name)
    if spec.baseline_name not in {record.name for record in store.studies()}:
        return ComparisonSection(studies, problem=f"The baseline has not run: nas resume {spec.name}")
    try:
        return comparison_section(baseline_comparison(store, spec))
    except UsageError as error:
        return ComparisonSection(studies, problem=f"No comparison yet: {clean(str(error), 400)}")


def write_comparison(compared: StudyComparison, path: Path, counts: Sequence[int] = ()) -> Path:
    """Writes a picture (``.svg``) or a page that opens offline (``.html``), whole or not at all."""
    from nas.files import check_writable, whole_file

    check_writable(path)
    if path.suffix == ".svg":
        text = comparison_svg(compared.comparison)
    else:
        text = render("compare.html", section=comparison_section(compared, counts)).strip() + "\n"
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
    return path
