"""What of a study is read, and what the sections make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_studies import LABEL, Constraint, architectures, make_cost, make_spec, make_store, random_results

from nas.errors import StoreError
from nas.plugins import default_registry
from nas.report import content as content_module
from nas.report.charts import front_charts, main_objective
from nas.report.content import read_content
from nas.report.provenance import facts, installed
from nas.report.sections import build_page
from nas.report.tables import front_table, trial_pages
from nas.search.objective import Objective
from nas.spaces.architecture import Architecture
from nas.store import Store, StudyRecord


def flat(number: int) -> list[Architecture]:
    return [Architecture(None, (("i", i),)) for i in range(number)]


def brute_front(results: list[tuple[float, float]]) -> set[int]:
    return {
        i
        for i, (accuracy, latency) in enumerate(results)
        if not any(a >= accuracy and b <= latency and (a, b) != (accuracy, latency) for a, b in results)
    }


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_the_one_found_by_comparing_all_pairs(seed: int, tmp_path: Path) -> None:
    results = random_results(40, seed)
    with make_store(tmp_path, results, networks=flat(40)) as store:
        content = read_content(store, "mobile-a100")
    assert set(content.numbers[content.front].tolist()) == brute_front(results)
    latencies = content.values[content.front, 1]
    assert (np.diff(latencies) >= 0).all()
    assert content.listed == tuple(content.numbers[content.front].tolist())


def test_only_feasible_finished_trials_can_be_on_the_front(tmp_path: Path) -> None:
    spec = make_spec(constraints=(Constraint("latency", "<=", 0.2), Constraint("accuracy", ">=", 0.5)))
    results = [(0.9, 0.1), (0.99, 0.3), (0.4, 0.05), "RuntimeError: x", (0.8, 0.15)]
    with make_store(tmp_path, results, spec, flat(5)) as store:
        content = read_content(store, "mobile-a100")
    assert content.numbers.tolist() == [0, 4]
    assert content.excluded == 2
    assert content.listed == (0,)
    assert content.states == {"finished": 4, "failed": 1}
    assert content.total == 5
    assert [trial.number for trial in content.failures] == [3]


def test_a_running_study_is_read_as_it_stands(tmp_path: Path) -> None:
    store = make_store(tmp_path, [(0.9, 0.1)], networks=flat(1))
    for seed in (1, 2):
        store.add_trial("mobile-a100", flat(1)[0], fidelity=8, seed=seed)
    store.start_trial("mobile-a100", 1, attempt=1, host="here")
    with store:
        content = read_content(store, "mobile-a100")
    assert content.states == {"finished": 1, "running": 1, "queued": 1}
    (page,) = trial_pages(content)
    assert [(row.number, row.state, row.seconds) for row in page.rows] == [
        (0, "finished", "7.5 s"),
        (1, "running", "–"),
        (2, "queued", "–"),
    ]


def test_settings_that_cannot_be_read_are_a_store_error(tmp_path: Path) -> None:
    with Store.open(tmp_path / "nas.db") as store:
        store.create_study(StudyRecord("odd", '{"name": "odd"}'))
        with pytest.raises(StoreError, match="settings cannot be read"):
            read_content(store, "odd")


def test_a_long_front_is_listed_in_part_with_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_module, "FRONT_ROWS", 7)
    results = [(0.5 + i / 100, 0.1 + i / 100) for i in range(30)]
    with make_store(tmp_path, results, networks=flat(30)) as store:
        content = read_content(store, "mobile-a100")
    assert len(content.front) == 30
    assert len(content.listed) == 7
    assert (content.listed[0], content.listed[-1]) == (0, 29)
    assert [trial.number for trial in content.front_records(3)] == [0, content.listed[3], 29]
    assert [row.number for row in front_table(content).rows] == list(content.listed)


def test_the_front_table_has_the_interval_and_says_what_was_predicted(tmp_path: Path) -> None:
    with make_store(tmp_path, [(0.9814, 0.1)], networks=flat(1)) as store:
        table = front_table(read_content(store, "mobile-a100"))
    assert table.columns == ("accuracy", "latency on a100", "params", "MACs")
    cells = [(cell.text, cell.detail) for cell in table.rows[0].cells]
    assert cells == [
        ("98.14 %", ""),
        ("0.100 ms", "0.0800–0.130 ms, predicted T0"),
        ("1.23 M", ""),
        ("43.0 M", ""),
    ]


def test_a_trial_without_costs_has_dashes(tmp_path: Path) -> None:
    spec = make_spec(target_labels=("another/label",))
    with make_store(tmp_path, [(0.9, 0.1)], spec, flat(1)) as store:
        table = front_table(read_content(store, "mobile-a100"))
    assert [cell.text for cell in table.rows[0].cells] == ["90.00 %", "–", "1.23 M", "43.0 M"]


def test_accuracy_is_shown_even_where_it_is_no_objective(tmp_path: Path) -> None:
    spec = make_spec(objectives=(Objective("latency", "min"), Objective("loss", "min")))
    with make_store(tmp_path, [(0.9, 0.1)], spec, flat(1)) as store:
        table = front_table(read_content(store, "mobile-a100"))
    assert table.columns[:2] == ("accuracy", "loss")


@pytest.mark.parametrize(
    ("names", "main"),
    [
        ((("accuracy", "max"), ("latency", "min")), 0),
        ((("latency", "min"), ("accuracy", "max")), 1),
        ((("latency", "min"), ("energy", "min")), 0),
    ],
)
def test_what_is_maximised_stands_upright(names: tuple[tuple[str, str], ...], main: int) -> None:
    assert main_objective([Objective(*pair) for pair in names]) == main


def test_a_chart_carries_units_and_hover_lines(tmp_path: Path) -> None:
    networks = architectures(12)
    with make_store(tmp_path, random_results(12), networks=networks) as store:
        content = read_content(store, "mobile-a100")
    (chart,) = front_charts(content)
    assert chart.wide.y_axis.title == "accuracy (%) · higher is better"
    assert chart.wide.x_axis.title == "latency (ms, T0) · lower is better"
    assert 90 < chart.wide.y_axis.low < chart.wide.y_axis.high < 100
    assert chart.shown == chart.total == 12
    assert len(chart.wide.front) + len(chart.wide.others) == 12
    for mark in (*chart.wide.front, *chart.narrow.front):
        assert mark.link == f"#front-{mark.label[1:]}"
        assert any("stages" in line for line in mark.lines)
    assert all("5 stages" in mark.lines[1] for mark in chart.wide.others)


def test_a_wide_range_of_latencies_is_drawn_on_a_log_axis(tmp_path: Path) -> None:
    with make_store(tmp_path, [(0.9, 0.01), (0.95, 5.0)], networks=flat(2)) as store:
        (chart,) = front_charts(read_content(store, "mobile-a100"))
    assert chart.wide.x_axis.is_log
    assert [tick.label for tick in chart.wide.x_ticks if tick.value in (0.1, 1.0)] == ["0.1", "1"]


def test_the_tiles_hold_the_figures_of_the_study(tmp_path: Path) -> None:
    results = [(0.9, 0.1), (0.95, 0.2), "RuntimeError: x"]
    with make_store(tmp_path, results, networks=flat(3)) as store:
        page = build_page(read_content(store, "mobile-a100"), default_registry())
    tiles = {tile.label: tile.value for tile in page.tiles}
    assert tiles == {
        "trials finished": "2 of 24",
        "failed": "1",
        "on the front": "2",
        "best accuracy": "95.00 %",
        "best latency (T0)": "0.100 ms",
        "per trial": "7.5 s",
    }
    assert page.targets == (LABEL,)
    assert [card.number for card in page.networks] == [0, 1]
    assert page.networks[0].choices == (("i", "0"),)


def test_provenance_names_versions_data_and_dates(tmp_path: Path) -> None:
    from nas import __version__

    store = Store.open(tmp_path / "nas.db")
    spec = make_spec(recipe=(("learning_rate", 0.1),), constraints=(Constraint("params", "<=", 5e6),))
    store.create_study(StudyRecord(spec.name, spec.to_json(), "2026-01-02T03:04:05+00:00", "0.0.9"))
    with store:
        found = {fact.name: fact.value for fact in facts(read_content(store, spec.name))}
    assert found["Versions"] == f"nas 0.0.9; report by nas {__version__}"
    assert found["Dates"] == "made 2026-01-02T03:04:05+00:00"
    assert found["Data"] == "digits (SHA-256 abababababababab…)"
    assert found["Recipe"] == "learning_rate=0.1"
    assert found["Constraints"] == "params <= 5,000,000"
    assert found["Searcher"] == "pareto, seed 0"
    assert found["Repeat it with"].startswith("nas search --space mobile --target a100")


def test_every_plugin_on_record_is_listed() -> None:
    plugins = default_registry().manager.plugins
    rows = installed(plugins)
    assert [row.name for row in rows] == [plugin.name for plugin in plugins]
    assert all(row.version for row in rows)


def test_costs_of_several_targets_stand_side_by_side(tmp_path: Path) -> None:
    spec = make_spec(targets=("a100", "t4"), target_names=("a100", "t4"), target_labels=(LABEL, "t4/label"))
    store = Store.open(tmp_path / "nas.db")
    store.create_study(StudyRecord(spec.name, spec.to_json()))
    costs = [make_cost(0.1), make_cost(0.7, "t4/label")]
    store.add_trial(spec.name, flat(1)[0], fidelity=8, seed=0, known={"latency": 0.1}, costs=costs)
    store.start_trial(spec.name, 0, attempt=1, host="here")
    store.record_step(spec.name, 0, attempt=1, step=1, metrics={"accuracy": 0.9})
    store.finish_trial(spec.name, 0, attempt=1, seconds=1.0)
    with store:
        table = front_table(read_content(store, spec.name))
    assert table.columns == ("accuracy", "latency on a100", "latency on t4", "params", "MACs")
    assert [cell.text for cell in table.rows[0].cells][1:3] == ["0.100 ms", "0.700 ms"]
