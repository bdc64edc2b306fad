"""Axes: ticks at round numbers, labels that tell them apart, pixels where they belong."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.report.axis import Axis, linear_ticks, log_ticks, make_axis, tick_labels
from nas.report.text import clean, count, duration, first_line, milliseconds, three_digits
from nas.report.units import quantity

finite = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-9)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (91.3, 98.6, (92.0, 94.0, 96.0, 98.0)),
        (0.0, 100.0, (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)),
        (-3.0, 3.0, (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)),
    ],
)
def test_linear_ticks_are_round(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert linear_ticks(low, high, 6) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.09, 11.0, (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)),
        (0.5, 2e6, (1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)),
        (1e-12, 1e12, (1e-12, 1e-8, 1e-4, 1.0, 1e4, 1e8, 1e12)),
    ],
)
def test_log_ticks_thin_out_with_the_range(low: float, high: float, expected: tuple[float, ...]) -> None:
    assert log_ticks(low, high, 6) == pytest.approx(expected)


@given(st.lists(finite, min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_every_axis_holds_its_values_and_labels_its_ticks(values: list[float]) -> None:
    axis = make_axis("latency (ms)", values, 60.0, 700.0)
    assert axis.low < axis.high
    assert all(60.0 <= axis.at(value) <= 700.0 for value in values)
    ticks = axis.ticks()
    assert len(ticks) <= 30
    assert [tick.at for tick in ticks] == sorted(tick.at for tick in ticks)
    assert all(axis.low * (1 - 1e-6) - 1e-6 <= tick.value for tick in ticks if tick.value > 0)
    assert len({tick.label for tick in ticks}) == len(ticks)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=5))
@settings(max_examples=200, deadline=None)
def test_no_value_whatever_breaks_an_axis(values: list[float]) -> None:
    axis = make_axis("x", values, 0.0, 100.0)
    assert all(math.isfinite(tick.at) for tick in axis.ticks())


def test_an_axis_is_logarithmic_beyond_a_ratio_of_twenty() -> None:
    assert not make_axis("x", [1.0, 20.0], 0, 100).is_log
    wide = make_axis("x", [1.0, 21.0], 0, 100)
    assert wide.is_log
    assert wide.at(math.sqrt(21.0)) == pytest.approx(50.0, abs=0.1)
    assert not make_axis("x", [0.0, 1e6], 0, 100).is_log
    assert not make_axis("x", [1.0, 1e6], 0, 100, may_be_log=False).is_log


@pytest.mark.parametrize("value", [0.0, 5.0, -1e-3, 1e9])
def test_one_value_stands_in_the_middle(value: float) -> None:
    axis = make_axis("x", [value], 0, 100)
    assert axis.at(value) == pytest.approx(50.0)
    assert axis.ticks()


def test_an_upright_axis_grows_upwards() -> None:
    axis = make_axis("y", [0.0, 10.0], 400.0, 20.0)
    assert axis.at(10.0) < axis.at(0.0)


def test_whole_numbers_have_whole_ticks() -> None:
    labels = [tick.label for tick in Axis("trials", 0, 3, 0, 700, is_whole=True).ticks()]
    assert labels == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.0, 2.5, 5.0), ("0.0", "2.5", "5.0")),
        ((97.0, 98.0), ("97", "98")),
        ((0.1 + 0.2, 0.4, 0.5), ("0.3", "0.4", "0.5")),
        ((1e6, 2e6), ("1e+06", "2e+06")),
        ((0.05,), ("0.05",)),
        ((), ()),
    ],
)
def test_labels_have_as_many_decimals_as_needed(values: tuple[float, ...], labels: tuple[str, ...]) -> None:
    assert tick_labels(values) == labels


@pytest.mark.parametrize(
    ("name", "title", "shown"),
    [
        ("accuracy", "accuracy (%)", "14.23 %"),
        ("latency", "latency (ms)", "0.142 ms"),
        ("latency@pixel6", "latency on pixel6 (ms)", "0.142 ms"),
        ("energy", "energy (mJ)", "0.142 mJ"),
        ("f1_score", "f1 score", "0.142"),
    ],
)
def test_quantities_carry_their_units(name: str, title: str, shown: str) -> None:
    assert quantity(name).title == title
    assert quantity(name).shown(0.1423) == shown


def test_counts_and_bytes_are_scaled() -> None:
    assert quantity("params").shown(3_504_872) == "3.50 M"
    assert quantity("peak_memory").shown(12_345_678) == "12.3 MB"


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (count, 950, "950"),
        (count, 4.09e9, "4.09 G"),
        (milliseconds, 12345.0, "12.3 s"),
        (milliseconds, 0.04231, "0.0423 ms"),
        (milliseconds, 2.5e-6, "0.00250 µs"),
        (duration, 7.52, "7.5 s"),
        (duration, 42.4, "42 s"),
        (duration, 7800, "2 h 10 min"),
        (three_digits, 1e-9, "1.00e-09"),
        (three_digits, float("inf"), "inf"),
        (three_digits, -0.5, "-0.500"),
    ],
)
def test_numbers_are_written_for_people(function: object, value: float, text: str) -> None:
    assert function(value) == text  # type: ignore[operator]


@pytest.mark.parametrize(
    "mark", ["\x00", "\x1b", "\x7f", "\u202e", "\u2066", "\u200f", "\ufeff", "\ud800", "\x85"]
)
def test_marks_that_mislead_are_replaced(mark: str) -> None:
    assert clean(f"a{mark}b") == "a\ufffdb"


def test_plain_text_of_any_script_stays() -> None:
    assert clean("größe 中文 עברית 🙂\nnext") == "größe 中文 עברית 🙂\nnext"
    assert clean("abcdef", 4) == "abc…"
    assert first_line("\n\n  RuntimeError: x \n at y") == "RuntimeError: x"
    assert first_line("") == ""
