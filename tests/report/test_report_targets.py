"""A study of several targets on its page: one picture of the front for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from priced_studies import accuracies, priced_study

from nas.plugins import default_registry
from nas.report.charts import front_charts
from nas.report.content import read_content
from nas.report.page import report_html
from nas.report.tables import front_table
from nas.search.study import StudySpec
from nas.store import Store
from nas.studies.front import study_front, target_fronts

BOTH = ("a100", "pixel6")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "nas.db")) as opened:
        yield opened


@pytest.fixture
def both(tmp_path: Path) -> StudySpec:
    """A study of two targets: #5 is on the front of pixel6 alone, #7 on that of a100 alone."""
    return priced_study(tmp_path, accuracies(), study="both", targets=BOTH)


def test_the_fronts_of_the_page_are_those_of_nas_front(store: Store, both: StudySpec) -> None:
    content = read_content(store, "both")
    shown = {target: content.numbers[own].tolist() for target, own in content.fronts.items()}
    expected = {target: [trial.number for trial in own] for target, own in target_fronts(store, both).items()}
    assert shown == expected
    assert content.numbers[content.front].tolist() == [t.number for t in study_front(store, both)]


def test_a_picture_for_each_target_with_its_own_front_and_staircase(store: Store, both: StudySpec) -> None:
    charts = front_charts(read_content(store, "both"))
    assert [chart.heading for chart in charts] == ["The front on a100", "The front on pixel6"]
    for chart, own in zip(charts, target_fronts(store, both).values(), strict=True):
        for picture in (chart.wide, chart.narrow):
            assert {mark.label for mark in picture.front} == {f"#{trial.number}" for trial in own}
            assert len(picture.others) == 12 - len(own)
            assert picture.path.count("H") == len(own) - 1


def test_the_table_says_whose_front_a_trial_is_on(store: Store, both: StudySpec) -> None:
    table = front_table(read_content(store, "both"))
    assert table.columns[0] == "front of"
    found = {row.number: row.cells[0].text for row in table.rows}
    assert found == {0: "a100, pixel6", 1: "a100, pixel6", 5: "pixel6", 7: "a100", 8: "a100, pixel6"}
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}


def test_the_page_of_several_targets(store: Store, both: StudySpec) -> None:
    page = report_html(store, "both", default_registry())
    assert re.findall(r"<h3>(The front[^<]*)</h3>", page) == [
        "The front on a100",
        "The front on pixel6",
        "The front of all targets together",
    ]
    tiles = re.findall(r"<dt>(on the front of \w+)</dt><dd>(\d+)</dd>", page)
    assert tiles == [("on the front of a100", "4"), ("on the front of pixel6", "4")]
    assert set(re.findall(r'href="#front-(\d+)"', page)) == {"0", "1", "5", "7", "8"}


def test_the_page_of_one_target_is_as_it_was(tmp_path: Path, store: Store) -> None:
    priced_study(tmp_path, accuracies(), study="one")
    content = read_content(store, "one")
    assert content.fronts == {}
    assert [chart.heading for chart in front_charts(content)] == [""]
    page = report_html(store, "one", default_registry())
    for words in ("The front on", "front of", "all targets together", "counts on the target"):
        assert words not in page


def test_a_chart_of_what_is_the_same_everywhere_shows_the_whole_front(tmp_path: Path, store: Store) -> None:
    names = ("accuracy", "latency@a100", "latency@pixel6", "params")
    spec = priced_study(tmp_path, accuracies(), study="four", targets=BOTH, objectives=names)
    charts = front_charts(read_content(store, "four"))
    assert [chart.heading for chart in charts] == ["The front on a100", "The front on pixel6", ""]
    assert len(charts[-1].wide.front) == len(study_front(store, spec))
    assert [chart.wide.path for chart in charts] == ["", "", ""]  # three objectives count on each


def test_six_targets_have_six_pictures(tmp_path: Path, store: Store) -> None:
    targets = (*BOTH, "t4", "rpi4", "rpi5", "apple-m1")
    priced_study(tmp_path, accuracies(3), study="six", targets=targets)
    charts = front_charts(read_content(store, "six"))
    assert [chart.heading for chart in charts] == [f"The front on {target}" for target in targets]


@pytest.mark.parametrize("outcomes", [[], ["no memory", "running"]])
def test_several_targets_and_nothing_finished(tmp_path: Path, store: Store, outcomes: list[str]) -> None:
    priced_study(tmp_path, outcomes, study="none", targets=BOTH)
    content = read_content(store, "none")
    assert {target: len(own) for target, own in content.fronts.items()} == {"a100": 0, "pixel6": 0}
    assert front_charts(content) == ()
    assert "The front on" not in report_html(store, "none", default_registry())
