"""Numbers as people read them, JSON as programs do, and no text that drives a terminal."""

from __future__ import annotations

import json

import pytest

from nas.cli.output import (
    cost_json,
    count,
    duration,
    latency,
    millijoules,
    milliseconds,
    print_json,
    print_table,
    printable,
)
from nas.costs.cost import Cost


def cost(**changes: object) -> Cost:
    values: dict[str, object] = {
        "target": "a100/compiled/fp16/b1/nchw",
        "kind": "predicted",
        "tier": "T0",
        "model": "roofline 1",
        "latency_ms": 0.142,
        "low_ms": 0.1,
        "high_ms": 0.2,
        "peak_memory_bytes": 10,
        "energy_mj": 3.0,
        "params": 3_504_872,
        "macs": 300_774_272,
        "bytes_moved": 5,
        "activation_bytes": 6,
    }
    return Cost(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (3_504_872, "3.50 M"), (4.09e9, "4.09 G"), (2.5e12, "2.50 T")],
)
def test_counts(value: float, shown: str) -> None:
    assert count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0123, "0.0123 ms"), (0.142, "0.142 ms"), (12.34, "12.3 ms"), (3100, "3.10 s"), (0, "0 ms")],
)
def test_milliseconds(value: float, shown: str) -> None:
    assert milliseconds(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0 s"), (42, "42 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_latency_carries_its_interval_and_its_tier() -> None:
    assert latency(cost()) == "0.142 ms (0.100–0.200) T0"
    assert latency(cost(tier="T4", low_ms=0.142, high_ms=0.142)) == "0.142 ms (0.142–0.142) T4"


def test_the_interval_of_a_latency_is_in_its_unit() -> None:
    assert latency(cost(latency_ms=1500, low_ms=900, high_ms=2500)) == "1.50 s (0.900–2.50) T0"


@pytest.mark.parametrize(("energy", "shown"), [(29.0, "29.0 mJ"), (6830.0, "6.83 J"), (0, "0 mJ")])
def test_energies(energy: float, shown: str) -> None:
    assert millijoules(energy) == shown


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mb\nc\u202e") == "a\ufffd[31mb\nc\ufffd"


def test_a_table_prints_hostile_cells_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", ">value"), [("[bold]x[/bold]\x07", 1)])
    shown = capsys.readouterr().out
    assert "[bold]x[/bold]\ufffd" in shown


def test_json_refuses_what_json_cannot_say() -> None:
    with pytest.raises(ValueError, match="JSON"):
        print_json({"x": float("nan")})


def test_the_json_of_a_cost_names_its_tier(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(cost_json(cost()))
    shown = json.loads(capsys.readouterr().out)
    assert shown["tier"] == "T0"
    assert shown["kind"] == "predicted"
    assert shown["low_ms"] < shown["latency_ms"] < shown["high_ms"]
