"""No predicted figure of a report stands without what it rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from report_studies import LABEL, make_cost, make_spec, make_store, random_results

from nas.plugins import default_registry
from nas.report.content import read_content
from nas.report.page import report_html
from nas.report.sections import best_member, build_page
from nas.report.tiers import tier_of, tiers_of, with_tier
from nas.report.units import quantity

SPEC = make_spec()


def test_the_tiers_of_a_target_are_those_of_its_costs() -> None:
    predicted = make_cost(1.0)
    assert tiers_of(SPEC, []) == {}
    assert tiers_of(SPEC, [predicted, predicted]) == {"a100": "T0"}
    assert tiers_of(SPEC, [replace(predicted, tier="T4"), predicted]) == {"a100": "T0/T4"}
    assert tiers_of(SPEC, [replace(predicted, target="elsewhere")]) == {"elsewhere": "T0"}


def test_metrics_and_exact_counts_have_no_tier() -> None:
    tiers = {"a100": "T0", "pixel6": "T2"}
    names = ("latency", "latency@pixel6", "energy@a100", "latency_p90@pixel6", "accuracy", "params", "macs")
    found = [tier_of(name, ("a100", "pixel6"), tiers) for name in names]
    assert found == ["T0", "T2", "T0", "T2", "", "", ""]
    assert tier_of("latency", (), {}) == ""


def test_headings_carry_the_tier() -> None:
    assert with_tier("latency", "T0") == "latency (T0)"
    assert with_tier("accuracy", "") == "accuracy"
    shown = quantity("latency_p90@a100", "T2")
    assert (shown.title, shown.heading) == (
        "latency kept with 90 % on a100 (ms, T2)",
        "latency kept with 90 % on a100 (T2)",
    )
    assert quantity("params").title == "params (M)"


def test_the_report_draws_the_best_network_on_each_target(tmp_path: Path) -> None:
    with make_store(tmp_path, random_results(3)) as store:
        content = read_content(store, "mobile-a100")
        page = build_page(content, default_registry())
        html = report_html(store, "mobile-a100", default_registry())
    members = content.front_records()
    accuracies = [trial.metrics["accuracy"] for trial in members]
    assert members[best_member(content, members)].metrics["accuracy"] == max(accuracies)
    assert page.roofline_of == members[accuracies.index(max(accuracies))].number
    assert [line.target for line in page.rooflines] == [LABEL]
    assert f"<h2>Where the time of #{page.roofline_of} goes</h2>" in html
    assert "latency (T0)" in html
    assert html.count('class="kernel') == sum(
        len(picture.dots) for line in page.rooflines for picture in (line.wide, line.narrow)
    )
