"""What commands print: tables for people, one JSON object for programs."""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nas.costs.calibration import Bounds, Calibration
    from nas.costs.cost import Cost
    from nas.costs.target import Target
    from nas.store import TrialRecord


def printable(text: str) -> str:
    """Text without control characters, which could drive the terminal; newlines stay."""
    return "".join(
        c if c == "\n" or unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def print_json(content: Mapping[str, Any]) -> None:
    """One JSON object on standard output."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> None:
    """A table as wide as the terminal; plain lines where the output is no terminal."""
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    numbers = tuple(column.startswith(">") for column in columns)
    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False)
    for column, right in zip(columns, numbers, strict=True):
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    console = Console()
    Console(width=console.width if console.is_terminal else 200, soft_wrap=False).print(table)


def count(value: float) -> str:
    """A count with a unit: 3.50 M, 319 M, 25.6 k.

    >>> count(3_504_872)
    '3.50 M'
    """
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{_three(value / size)} {unit}"
    return f"{value:.0f}"


def milliseconds(value: float) -> str:
    """A time with its unit: 0.142 ms, 3.1 s.

    >>> milliseconds(0.1423)
    '0.142 ms'
    """
    return f"{_three(value)} ms" if value < 1000 else f"{_three(value / 1000)} s"


def millijoules(value: float) -> str:
    """An energy with its unit: 29.0 mJ, 6.83 J.

    >>> millijoules(6830.0)
    '6.83 J'
    """
    return f"{_three(value)} mJ" if value < 1000 else f"{_three(value / 1000)} J"


def latency(cost: Cost) -> str:
    """A latency with its interval and what it rests on: ``0.142 ms (0.100–0.200) T0``."""
    scale = 1.0 if cost.latency_ms < 1000 else 1e-3
    low, high = _three(scale * cost.low_ms), _three(scale * cost.high_ms)
    return f"{milliseconds(cost.latency_ms)} ({low}–{high}) {cost.tier}"


def _three(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A duration for people: 42 s, 3 min 05 s, 2 h 10 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def cost_json(cost: Cost) -> dict[str, Any]:
    """A cost as the documented JSON object, without its operators."""
    return {
        "target": cost.target,
        "kind": cost.kind,
        "tier": cost.tier,
        "model": cost.model,
        "latency_ms": cost.latency_ms,
        "low_ms": cost.low_ms,
        "high_ms": cost.high_ms,
        "peak_memory_bytes": cost.found("peak_memory_bytes"),
        "energy_mj": cost.found("energy_mj"),
        "params": cost.params,
        "macs": cost.macs,
        "bytes_moved": cost.bytes_moved,
        "activation_bytes": cost.activation_bytes,
        "unknown_operators": list(cost.unknown_operators),
    }


def profile_json(target: Target) -> dict[str, Any]:
    """What a target is, fully named."""
    return {
        "device": target.device.name,
        "runtime": target.runtime,
        "precision": target.precision,
        "batch_size": target.batch_size,
        "layout": target.layout,
    }


def trust_json(target: Target) -> dict[str, Any]:
    """What the figures behind a prediction are worth, and which of them are unsure."""
    from nas.costs.figure_trust import profile_figures, trust_counts, unsure_figures

    figures = profile_figures(target)
    return {"counts": trust_counts(figures), "unsure": list(unsure_figures(figures))}


def epochs(done: int, wanted: int) -> str:
    """How far a trial came: ``27``, or ``3/27`` where it did not come to the end.

    >>> epochs(3, 27)
    '3/27'
    """
    return str(wanted) if done == wanted else f"{done}/{wanted}"


def trial_json(trial: TrialRecord, targets: Mapping[str, str]) -> dict[str, Any]:
    """A trial as the documented JSON object; `targets` maps the label of a target to its name."""
    return {
        "number": trial.number,
        "state": str(trial.state),
        "architecture_hash": trial.architecture.hash,
        "architecture": json.loads(trial.architecture.to_json()),
        "epochs": trial.fidelity,
        "epochs_done": trial.last_step,
        "seed": trial.seed,
        "attempt": trial.attempt,
        "host": trial.host,
        "seconds": trial.seconds,
        "error": trial.error,
        "metrics": dict(trial.metrics),
        "costs": {targets.get(cost.target, cost.target): cost_json(cost) for cost in trial.costs},
    }


def calibration_json(calibration: Calibration) -> dict[str, Any]:
    """What was measured on the device, by whom and how."""
    return {
        "tier": calibration.tier,
        "model": calibration.model,
        "source": calibration.source,
        "conditions": dict(calibration.conditions),
        "scale": calibration.scale,
        "low": calibration.low,
        "high": calibration.high,
        "bounds": {kind: asdict(bounds) for kind, bounds in calibration.bounds.items()},
        "reference": None if calibration.reference is None else asdict(calibration.reference),
        "warmth": None if calibration.warmth is None else asdict(calibration.warmth),
        "kernels": {kind: correction.kernels for kind, correction in calibration.corrections.items()},
    }


def bounds_text(calibration: Calibration) -> str:
    """Between which factors latencies lie, beside them those of networks with most time in other kinds.

    >>> from nas.costs.calibration import Bounds, Calibration
    >>> bounds_text(Calibration("T2", "mine", "me", low=0.8, high=1.25, bounds={"rnn": Bounds(0.5, 2.0)}))
    '0.80 to 1.25 (0.50 to 2.00 where most is rnn)'
    """
    kinds: dict[Bounds, list[str]] = {}
    for kind, bounds in calibration.bounds.items():
        kinds.setdefault(bounds, []).append(kind)
    others = [f"{each.low:.2f} to {each.high:.2f} where most is {'/'.join(kinds[each])}" for each in kinds]
    text = f"{calibration.low:.2f} to {calibration.high:.2f}"
    return f"{text} ({', '.join(others)})" if others else text
