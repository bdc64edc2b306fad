"""The picture of a front, thinning, and the growth of the hypervolume."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from nas.report import FrontPoint, front_svg
from nas.report.progress import coverage, coverage_chart
from nas.report.scatter import AxisTitle, scatter
from nas.report.thinning import spread, thin
from nas.report.units import quantity

X, Y = AxisTitle(quantity("latency"), "min"), AxisTitle(quantity("accuracy"), "max")
POINTS = [
    FrontPoint(0.1, 95.0, "#1", ("2 stages",), is_front=True, link="#front-1"),
    FrontPoint(0.3, 98.0, "#3", ("5 stages",), is_front=True),
    FrontPoint(0.2, 97.0, "#2", ("4 stages",), is_front=True),
    FrontPoint(0.4, 94.0, "#4", ("<script>alert(1)</script>",)),
]
SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_is_well_formed_and_holds_every_point() -> None:
    root = ElementTree.fromstring(front_svg(POINTS, X, Y, title="a & b"))
    circles = root.findall(f".//{SVG}circle")
    assert [c.get("class") for c in circles].count("front") == 3
    assert [c.get("class") for c in circles].count("other") == 1
    assert root.get("aria-label") == "a & b"
    text = " ".join(root.itertext())
    assert "latency (ms) · lower is better" in text
    assert "accuracy (%) · higher is better" in text
    assert "<script>alert(1)</script>" in text  # as text: the parser found no such element
    assert root.find(f".//{SVG}script") is None


def test_a_picture_opens_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "front.svg"
    path.write_text(front_svg(POINTS, X, Y), encoding="utf-8")
    assert ElementTree.parse(path).getroot().tag == f"{SVG}svg"


@pytest.mark.parametrize("size", [(760, 440), (360, 360)])
def test_everything_lies_inside_the_picture(size: tuple[int, int]) -> None:
    width, height = size
    found = scatter(
        [*POINTS, FrontPoint(5.0, 99.0, "#5", ("x" * 300,), is_front=True)], X, Y, width=width, height=height
    )
    for mark in (*found.front, *found.others):
        assert 0 <= mark.at_x <= width
        assert 0 <= mark.at_y <= height
    for mark in found.front:
        assert mark.tip_x >= 0
        assert mark.tip_x + 300 <= width
        assert mark.tip_y + mark.tip_height <= height


def test_the_front_is_joined_by_a_staircase_from_left_to_right() -> None:
    found = scatter(POINTS, X, Y)
    first, second, third = found.front
    assert first.at_x < second.at_x < third.at_x
    expected = f"M{first.at_x} {first.at_y}H{second.at_x}V{second.at_y}H{third.at_x}V{third.at_y}"
    assert found.path == expected
    assert scatter(POINTS, X, Y, connected=False).path == ""
    assert scatter(POINTS[:1], X, Y).path == ""


def test_a_front_to_be_maximised_steps_the_other_way() -> None:
    found = scatter(POINTS[:2], AxisTitle(quantity("f1"), "max"), Y)
    a, b = found.front
    assert found.path == f"M{a.at_x} {a.at_y}V{b.at_y}H{b.at_x}"


def test_a_picture_of_nothing_is_a_picture() -> None:
    assert ElementTree.fromstring(front_svg([], X, Y)).findall(f".//{SVG}circle") == []


def test_thinning_keeps_the_extent_and_the_order() -> None:
    rng = np.random.default_rng(0)
    xy = rng.normal(size=(20_000, 2))
    kept = thin(xy, 500)
    assert 250 <= len(kept) <= 500
    assert (np.diff(kept) > 0).all()
    assert np.ptp(xy[kept], 0) == pytest.approx(np.ptp(xy, 0), rel=0.2)


@pytest.mark.parametrize("xy", [np.zeros((1000, 2)), np.c_[np.arange(1000), np.zeros(1000)]])
def test_thinning_copes_with_points_in_one_place_or_line(xy: np.ndarray) -> None:
    kept = thin(xy, 100)
    assert 1 <= len(kept) <= 100


def test_few_points_are_all_kept() -> None:
    assert thin(np.zeros((3, 2)), 5).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("number", "limit"), [(0, 5), (1, 1), (7, 3), (1000, 12), (5, 0)])
def test_a_spread_has_both_ends(number: int, limit: int) -> None:
    found = spread(number, limit)
    assert len(found) == min(number, limit)
    assert found == sorted(set(found))
    if limit > 1 and number:
        assert (found[0], found[-1]) == (0, number - 1)


def covered_share(values: np.ndarray) -> float:
    """By counting the cells of the grid that the points themselves span."""
    scaled = (values - values.min(0)) / np.ptp(values, 0)
    edges = [np.unique(np.append(scaled[:, d], 1.0)) for d in range(scaled.shape[1])]
    total = 0.0
    for cell in itertools.product(*(range(len(e) - 1) for e in edges)):
        low = np.array([edges[d][i] for d, i in enumerate(cell)])
        if (scaled <= low).all(1).any():
            total += float(np.prod([edges[d][i + 1] - edges[d][i] for d, i in enumerate(cell)]))
    return total


@pytest.mark.parametrize("objectives", [2, 3])
def test_coverage_ends_at_the_exact_share(objectives: int) -> None:
    values = np.random.default_rng(objectives).normal(size=(12, objectives))
    steps = coverage(values)
    assert [number for number, _ in steps] == list(range(1, 13))
    assert steps[-1][1] == pytest.approx(covered_share(values))


def test_coverage_never_falls_and_is_short_for_a_long_study() -> None:
    values = np.random.default_rng(1).normal(size=(30_000, 2))
    steps = coverage(values)
    shares = [share for _, share in steps]
    assert len(steps) <= 200
    assert steps[-1][0] == 30_000
    assert shares == sorted(shares)
    assert 0.5 < shares[-1] <= 1.0


def test_a_very_large_front_is_covered_nearly_exactly() -> None:
    x = np.sort(np.random.default_rng(0).random(20_000))
    assert coverage(np.c_[x, 1 - x])[-1][1] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((0, 2)),
        np.ones((1, 2)),
        np.c_[np.arange(5.0), np.ones(5)],
        np.array([[-1e308, 0], [1e308, 1]]),
    ],
)
def test_there_is_no_coverage_where_nothing_varies(values: np.ndarray) -> None:
    assert coverage(values) == []


def test_many_objectives_are_sampled_to_about_a_percent() -> None:
    values = np.random.default_rng(0).normal(size=(6, 4))
    steps = coverage(values)
    assert [number for number, _ in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[-1][1] == pytest.approx(covered_share(values), abs=0.02)
    shares = [share for _, share in coverage(np.random.default_rng(1).normal(size=(2000, 5)))]
    assert shares == sorted(shares)


def test_the_step_line_reaches_from_the_first_to_the_last_trial() -> None:
    chart = coverage_chart([(1, 0.2), (2, 0.2), (10, 0.8)])
    assert chart.path.startswith(f"M{chart.x_axis.at(1)} {chart.y_axis.at(20)}H")
    assert chart.path.endswith(f"H{chart.x_axis.at(10)}V{chart.y_axis.at(80)}")
    assert chart.last == pytest.approx(80.0)
    assert coverage_chart([(1, 0.0), (2, 0.0)]).y_ticks
