"""Calibrates a target by what a user has measured: networks with their latencies, in a CSV file."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from nas.costs.calibration import Calibration
from nas.errors import InputError

if TYPE_CHECKING:
    from nas.costs.measuring import MeasuredKernel
    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas.plugins import Registry

COLUMNS = ("what", "latency_ms", "batch_size", "input")
"""The columns of a file of measurements; the last two may be left out."""
INPUT = "3,224,224"

Tracing: TypeAlias = "Callable[[str, str, Target], Trace]"


def calibrate_by_networks(
    target: Target, path: Path, registry: Registry, model: str, trace_of: Tracing
) -> Target:
    """The target with the one scale that the networks of a file lead to, and its interval (tier T1).

    A target that is calibrated already keeps its corrections and its tier. `trace_of(what, input, target)` is
    the trace of a network. Raises InputError, which names the line, where the file cannot be used.
    """
    from nas.costs.measuring.scales import scaled_to

    rows = read_measurements(path)
    networks = [_measured(row, target, trace_of) for row in rows]
    blank = target.calibration or Calibration("T1", model, "")
    source = (
        f"nas calibrate: {len(networks)} measured network{'s' if len(networks) > 1 else ''} of {path.name}"
    )
    blank = replace(blank, source="; ".join(filter(None, (blank.source, source)))[:500])
    return scaled_to(replace(target, calibration=blank), registry.cost_models[model], networks)


def read_measurements(path: Path) -> list[Mapping[str, str]]:
    """The rows of a file of measurements, checked; InputError names the line of a mistake."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Mapping[str, str]] = [
                {key: (value or "").strip() for key, value in row.items() if key} for row in reader
            ]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    unknown = [name for name in columns if name not in COLUMNS]
    missing = [name for name in COLUMNS[:2] if name not in columns]
    if unknown or missing:
        raise InputError(f"{path}: the columns are {', '.join(COLUMNS)}; the last two may be left out")
    if not rows:
        raise InputError(f"{path}: no network is measured in it")
    for line, row in enumerate(rows, 2):
        _check(row, f"{path}:{line}")
    return rows


def _check(row: Mapping[str, str], where: str) -> None:
    try:
        latency = float(row["latency_ms"])
        batch = int(row.get("batch_size") or 1)
    except ValueError:
        raise InputError(f"{where}: latency_ms and batch_size are numbers") from None
    if not row["what"] or not math.isfinite(latency) or latency <= 0 or batch < 1:
        raise InputError(f"{where}: a network, and a latency in ms above zero, are needed")


def _measured(row: Mapping[str, str], target: Target, trace_of: Tracing) -> MeasuredKernel:
    from nas.costs.measuring.micro import MeasuredKernel

    placed = replace(target, batch_size=int(row.get("batch_size") or target.batch_size))
    trace = trace_of(row["what"], row.get("input") or INPUT, placed)
    return MeasuredKernel(row["what"], trace, float(row["latency_ms"]), 0.0)
