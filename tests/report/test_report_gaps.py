"""The efficiency gaps of a study, drawn from the costs in its store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from priced_studies import accuracies, priced_study

from nas.costs import resolve_target
from nas.costs.efficiency_gap import ideal_ms
from nas.plugins import default_registry
from nas.report.breakdown import study_targets
from nas.report.content import StudyContent, read_content
from nas.report.gaps import study_gaps
from nas.report.page import report_html
from nas.store import Store

BOTH = ("a100", "pixel6")
REGISTRY = default_registry()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    priced_study(tmp_path, accuracies(), study="both", targets=BOTH)
    with Store.open(str(tmp_path / "nas.db")) as opened:
        yield opened


@pytest.fixture
def content(store: Store) -> StudyContent:
    return read_content(store, "both")


def test_each_target_has_the_listed_front_at_ideal_and_actual(content: StudyContent) -> None:
    charts = study_gaps(content, study_targets(content.spec, REGISTRY))
    assert [chart.target for chart in charts] == list(BOTH)
    for chart in charts:
        assert len(chart.wide.marks) == len(chart.narrow.marks) == len(content.listed)
        assert all(mark.ideal_x < mark.actual_x for mark in chart.wide.marks)


def test_ideals_are_those_of_the_stored_macs(content: StudyContent) -> None:
    target = resolve_target("pixel6", REGISTRY)
    chart = study_gaps(content, study_targets(content.spec, REGISTRY))[1]
    cost = next(c for c in content.front_records()[0].costs if c.target == target.label)
    share = 100 * ideal_ms(cost.macs, target) / cost.latency_ms
    assert f"efficiency {share:.0f} %" in chart.wide.marks[0].text
    assert chart.wide.marks[0].text.startswith(f"#{content.listed[0]}: ideal")


def test_the_page_draws_them_again_from_the_store_alone(store: Store) -> None:
    first, second = (report_html(store, "both", REGISTRY) for _ in range(2))
    pictures = [
        re.findall(r"<svg[^>]*Ideal and actual latency.*?</svg>", page, re.S) for page in (first, second)
    ]
    assert len(pictures[0]) == 4  # wide and narrow, of each target
    assert pictures[0] == pictures[1]


def test_without_targets_there_is_no_chart(content: StudyContent) -> None:
    assert study_gaps(content, ()) == ()
