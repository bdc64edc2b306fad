"""Studies of a store compared: what counts as spent, what is refused, what is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from compared_studies import ERROR, FIRST, LATENCY, SECOND, add_study, compared_store

from nas.errors import UnknownNameError, UsageError
from nas.report.compare_page import (
    baseline_comparison,
    baseline_section,
    comparison_section,
    write_comparison,
)
from nas.report.comparison import counts_shown, gap_table, reach_table, read_run, reference_text, spark
from nas.report.lines import comparison_chart, comparison_svg
from nas.report.page import report_html
from nas.search.objective import Constraint
from nas.search.study import StudySpec
from nas.store import Store
from nas.studies.baseline import baseline_spec, shared_runs
from nas.studies.compare import check_output, compare_studies, comparison_json

GOALS = (ERROR, LATENCY)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with compared_store(tmp_path) as opened:
        yield opened


def test_hypervolumes_are_those_computed_by_hand(store: Store) -> None:
    compared = compare_studies(store, ["first", "second"])
    mine, other = compared.comparison.groups
    assert (mine.label, other.label) == ("evolution", "random")
    assert mine.lines[0] == pytest.approx([0, 0, 4 / 7, 4 / 7, 6 / 7])
    assert other.lines[0] == pytest.approx([0, 0, 3 / 7, 3 / 7])
    assert compared.comparison.reference == (4, 4)
    assert [verdict.text for verdict in compared.verdicts] == [
        "evolution beats random at 3 trials: gap 42.9 % against 57.1 % (one seed: may be chance)"
    ]


def test_a_search_that_does_not_beat_random_is_told_so(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.db") as store:
        add_study(store, "mine", SECOND, searcher="evolution")
        add_study(store, "chance", FIRST, searcher="random")
        compared = compare_studies(store, ["mine", "chance"])
    (verdict,) = compared.verdicts
    assert verdict.text.startswith("evolution does not beat random at 3 trials: gap 57.1 % against 42.9 %")


def test_trials_that_have_not_ended_or_broke_a_constraint_before_training_are_not_spent(
    tmp_path: Path,
) -> None:
    results = ("failed", (2.0, 2.0), "infeasible", "running", "stopped", (1.0, 1.0), "queued")
    with Store.open(tmp_path / "x.db") as store:
        run = read_run(store, add_study(store, "one", results), GOALS)
    assert run.trials == 4
    assert run.spent.tolist() == [2, 4]


def test_a_finished_trial_that_breaks_a_constraint_is_spent_for_nothing(tmp_path: Path) -> None:
    limits = (Constraint("error", "<=", 2.5), Constraint("latency", ">=", 1.5))
    results = ((3.0, 2.0), (2.0, 2.0), (1.0, 1.0), (0.0, 5.0))
    with Store.open(tmp_path / "x.db") as store:
        run = read_run(store, add_study(store, "one", results, constraints=limits), GOALS)
    assert run.trials == 4
    assert run.spent.tolist() == [2, 4]
    assert run.values.tolist() == [[2.0, 2.0], [0.0, 5.0]]


def test_seeds_form_one_group(store: Store) -> None:
    add_study(store, "first-1", SECOND, searcher="evolution", seed=1)
    compared = compare_studies(store, ["first", "second", "first-1"])
    mine, other = compared.comparison.groups
    assert [run.study for run in mine.runs] == ["first", "first-1"]
    assert mine.trials == 3
    gap = mine.gap(3)
    assert gap is not None
    assert (gap.median, gap.low, gap.high) == pytest.approx((1 - 3.5 / 7, 3 / 7, 4 / 7))
    assert other.trials == 3


def test_a_chosen_objective(store: Store) -> None:
    compared = compare_studies(store, ["first", "second"], ["latency"])
    assert [group.lines[0].tolist() for group in compared.comparison.groups] == [
        pytest.approx([0, 0, 2 / 3, 2 / 3, 2 / 3]),
        pytest.approx([0, 0, 1, 1]),
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [(("first", "first"), "given twice"), (("first",), "takes two studies or more"), ((), "two studies")],
)
def test_wrong_names(store: Store, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compare_studies(store, names)


def test_an_unknown_study_and_an_empty_one(store: Store) -> None:
    with pytest.raises(UnknownNameError, match="first"):
        compare_studies(store, ["firts", "second"])
    add_study(store, "empty", ())
    add_study(store, "bare", ("queued",), searcher="random")
    add_study(store, "lost", ("failed", "queued"), searcher="random")
    add_study(store, "broken", ("failed",))
    with pytest.raises(UsageError, match="no trial of empty, bare has ended"):
        compare_studies(store, ["empty", "bare"])
    with pytest.raises(UsageError, match="no trial of empty has ended"):
        compare_studies(store, ["first", "empty"])
    with pytest.raises(UsageError, match="no trial of broken, lost finished"):
        compare_studies(store, ["broken", "lost"])
    compared = compare_studies(store, ["first", "empty", "lost"])
    assert compared.notes[0] == "empty: no trial has ended, left out"
    assert [group.trials for group in compared.comparison.groups] == [4, 1]
    assert compared.verdicts[0].text.startswith("evolution does not beat random at 1 trial: gap 100.0 %")
    assert json.dumps(comparison_json(compared, counts_shown(compared.comparison)), allow_nan=False)


def test_the_json_is_whole(store: Store) -> None:
    compared = compare_studies(store, ["first", "second"])
    content = comparison_json(compared, (3, 9))
    assert content["objectives"] == {"error": "min", "latency": "min"}
    assert content["reference"] == {"error": 4.0, "latency": 4.0}
    assert content["ideal"] == {"error": 0.0, "latency": 1.0}
    mine = content["groups"][0]
    assert mine["studies"] == [{"study": "first", "seed": 0, "trials": 4}]
    assert [gap["trials"] for gap in mine["gaps"]] == [3, 9]
    assert mine["gaps"][0]["gap"]["median"] == pytest.approx(3 / 7)
    assert mine["gaps"][1]["gap"] is None
    assert [point["median"] for point in mine["curve"]] == pytest.approx([0, 0, 4 / 7, 4 / 7, 6 / 7])
    assert [reach["trials"] for reach in mine["trials_to"]] == [None, None, None]
    assert content["verdicts"][0]["beats"] is True


def test_the_tables(store: Store) -> None:
    comparison = compare_studies(store, ["first", "second"]).comparison
    assert counts_shown(comparison) == (3, 4)
    gaps = gap_table(comparison, (3, 4))
    assert gaps.columns == ("group", ">studies", ">trials", ">gap at 3", ">gap at 4")
    assert gaps.rows == (("evolution", "1", "4", "42.9 %", "14.3 %"), ("random", "1", "3", "57.1 %", "–"))
    assert reach_table(comparison).rows[0] == ("evolution", "–", "–", "–")
    assert "error 4.00, latency 4.00 ms" in reference_text(comparison)
    assert spark(comparison.groups[0], 4) == "▁▅▅▇"


def test_the_spread_stands_in_the_tables(store: Store) -> None:
    add_study(store, "first-1", ((4.0, 4.0), (0.0, 1.0)), searcher="evolution", seed=1)
    add_study(store, "first-2", ((0.0, 1.0), (4.0, 4.0)), searcher="evolution", seed=2)
    comparison = compare_studies(store, ["first", "first-1", "first-2"]).comparison
    assert gap_table(comparison, (2,)).rows[0][3] == "0 % (0 % to 66.7 %)"
    assert reach_table(comparison).rows[0][1:] == ("2 of 3 did",) * 3
    pair = compare_studies(store, ["first-1", "first-2"]).comparison
    assert reach_table(pair).rows[0][1:] == ("1.5 (1 to 2)",) * 3


def test_the_picture_has_a_line_for_each_group_and_a_band_for_seeds(store: Store) -> None:
    add_study(store, "first-1", SECOND, searcher="evolution", seed=1)
    chart = comparison_chart(compare_studies(store, ["first", "first-1", "second"]).comparison)
    assert [line.label for line in chart.lines] == ["evolution", "random"]
    assert chart.lines[0].band.endswith("Z")
    assert chart.lines[1].band == ""
    assert chart.lines[1].path.count("V") == 2
    assert chart.lines[1].last == "42.9 % after 3 trials"


def test_a_line_reaches_the_height_of_its_share(store: Store) -> None:
    chart = comparison_chart(compare_studies(store, ["first", "second"]).comparison)
    last = float(chart.lines[0].path.rpartition("V")[2])
    assert last == pytest.approx(chart.y_axis.at(100 * 6 / 7))
    assert chart.x_axis.at(4) == chart.width - 16


def test_more_groups_than_colours_are_dashed(tmp_path: Path) -> None:
    names = [f"s{index}" for index in range(9)]
    with Store.open(tmp_path / "x.db") as store:
        for index, name in enumerate(names):
            add_study(store, name, FIRST, epochs=index + 1)
        chart = comparison_chart(compare_studies(store, names).comparison)
    assert [line.is_dashed for line in chart.lines] == [False] * 7 + [True] * 2


def test_files(store: Store, tmp_path: Path) -> None:
    compared = compare_studies(store, ["first", "second"])
    picture = write_comparison(compared, tmp_path / "c.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg")
    assert picture == comparison_svg(compared.comparison)
    page = write_comparison(compared, tmp_path / "c.html", (3,)).read_text(encoding="utf-8")
    assert "evolution beats random at 3 trials" in page
    assert '<th class="number">gap at 3</th>' in page
    assert "gap at 4" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_name_that_is_markup_is_text(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.db") as store:
        add_study(store, "one", FIRST, searcher="<script>")
        add_study(store, "two", SECOND)
        compared = compare_studies(store, ["one", "two"])
    assert "<script>" not in write_comparison(compared, tmp_path / "c.html").read_text(encoding="utf-8")
    assert "<script>" not in comparison_svg(compared.comparison)


def test_only_pictures_and_pages_are_written() -> None:
    check_output(None)
    check_output(Path("x.svg"))
    with pytest.raises(UsageError, match=r"\.svg or \.html"):
        check_output(Path("x.png"))


# -- the baseline ----------------------------------------------------------------------------------------


def test_a_single_study_is_compared_with_its_baseline(store: Store) -> None:
    add_study(store, "main", FIRST, baseline="random")
    add_study(store, "main-baseline", SECOND, searcher="random")
    compared = compare_studies(store, ["main"])
    assert [run.study for group in compared.comparison.groups for run in group.runs] == [
        "main",
        "main-baseline",
    ]
    assert compared.verdicts[0].beats


def test_any_searcher_may_be_the_baseline(store: Store) -> None:
    spec = add_study(store, "main", SECOND, baseline="optuna-tpe")
    add_study(store, "main-baseline", FIRST, searcher="optuna-tpe")
    (verdict,) = baseline_comparison(store, spec).verdicts
    assert verdict.text.startswith("evolution does not beat optuna-tpe at 3 trials")


def test_the_baseline_differs_in_name_and_searcher_alone(store: Store) -> None:
    spec = add_study(store, "main", (), baseline="random", seed=3)
    other = baseline_spec(spec)
    assert [line.partition(":")[0] for line in spec.differences(other)] == ["name", "searcher"]
    assert (other.name, other.searcher, other.baseline, other.seed) == ("main-baseline", "random", "", 3)


def test_only_finished_trials_are_shared(store: Store) -> None:
    runs = shared_runs(store, "first")
    assert sorted(run.number for run in runs.values()) == [0, 1, 3]
    assert {key[1:] for key in runs} == {(5, 0)}
    assert next(run for run in runs.values() if run.number == 3).steps == ((1, {"error": 0.0}),)


def test_a_section_says_why_there_is_no_comparison(store: Store) -> None:
    spec = add_study(store, "main", ("failed",), baseline="random")
    absent = baseline_section(store, spec)
    assert absent is not None
    assert absent.problem == "The baseline has not run: nas resume main"
    add_study(store, "main-baseline", (), searcher="random")
    early = baseline_section(store, spec)
    assert early is not None
    assert early.problem.startswith("No comparison yet: no trial of main-baseline has ended")
    assert baseline_section(store, baseline_spec(spec)) is None


def test_the_report_says_whether_the_baseline_is_beaten(store: Store) -> None:
    from nas.plugins import default_registry

    add_study(store, "main", SECOND, baseline="random", space="tiny")
    add_study(store, "main-baseline", FIRST, searcher="random", space="tiny")
    page = report_html(store, "main", default_registry())
    assert "<h2>Against the baseline</h2>" in page
    assert '<p class="notice">evolution does not beat random at 3 trials: gap 57.1 % against 42.9 %' in page
    assert "--baseline random" in page
    assert "Against the baseline" not in report_html(store, "main-baseline", default_registry())


def test_a_section_is_drawn_wide_and_narrow(store: Store) -> None:
    section = comparison_section(compare_studies(store, ["first", "second"]))
    assert [chart.width for chart in section.charts] == [760, 360]
    assert section.problem == ""


def test_a_study_of_before_there_were_baselines_has_none(store: Store) -> None:
    content = json.loads(store.study("first").spec)
    del content["baseline"]
    old = StudySpec.from_json(json.dumps(content))
    assert old.baseline == ""
    assert old.differences(replace(old, baseline="random")) == []
