"""The table: how long operators took, by kind, multiply-adds and bytes."""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

PATH = Path(__file__).with_name("table.csv")
COLUMNS = ("kind", "operator", "macs", "bytes", "latency_us")


@dataclass(frozen=True)
class Row:
    """One measured operator."""

    kind: str
    operator: str
    macs: int
    bytes: int
    latency_us: float


@dataclass(frozen=True)
class Curve:
    """Latency over ideal time for one kind of operator: both in microseconds, ascending, never falling."""

    ideal: tuple[float, ...]
    latency: tuple[float, ...]

    def at(self, ideal: float) -> float:
        """Between two rows on the line through them in logarithms.

        Below the first row its latency, above the last one in proportion.
        """
        if ideal <= self.ideal[0]:
            return self.latency[0]
        if ideal >= self.ideal[-1]:
            return self.latency[-1] * ideal / self.ideal[-1]
        right = bisect_right(self.ideal, ideal)
        x0, x1 = (math.log(self.ideal[index]) for index in (right - 1, right))
        y0, y1 = (math.log(self.latency[index]) for index in (right - 1, right))
        return math.exp(y0 + (y1 - y0) * (math.log(ideal) - x0) / (x1 - x0))


class Table:
    """What `rows` say: the best rates seen, and a curve for each kind."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = tuple(rows)
        self.flops_per_us = max(2 * row.macs / row.latency_us for row in self.rows)
        self.bytes_per_us = max(row.bytes / row.latency_us for row in self.rows)
        self.least_us = min(row.latency_us for row in self.rows)
        kinds: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            kinds[row.kind].append(row)
        self.curves = {kind: self._curve(kind_rows) for kind, kind_rows in kinds.items()}

    def ideal_us(self, macs: float, bytes_moved: float) -> float:
        """The time at the best rates of the table, arithmetic and traffic one after the other."""
        return 2 * macs / self.flops_per_us + bytes_moved / self.bytes_per_us

    def latency_us(self, kind: str, ideal_us: float) -> float | None:
        """What the table says of an operator of this ideal time, or None for a kind that it does not hold."""
        curve = self.curves.get(kind)
        return curve.at(ideal_us) if curve else None

    def spread(self) -> float:
        """The factor that holds nine rows of ten when each is predicted from the others of its kind."""
        factors = []
        for row in self.rows:
            others = [other for other in self.rows if other.kind == row.kind and other is not row]
            if len(others) < 2:
                continue
            predicted = self._curve(others).at(self.ideal_us(row.macs, row.bytes))
            factors.append(max(predicted / row.latency_us, row.latency_us / predicted))
        return sorted(factors)[math.ceil(0.9 * (len(factors) + 1)) - 1]

    def _curve(self, rows: Iterable[Row]) -> Curve:
        points: dict[float, float] = {}
        for row in rows:
            ideal = self.ideal_us(row.macs, row.bytes)
            points[ideal] = max(row.latency_us, points.get(ideal, 0.0))
        ideals = sorted(points)
        return Curve(tuple(ideals), tuple(accumulate((points[ideal] for ideal in ideals), max)))


@cache
def read_table(path: Path = PATH) -> Table:
    """The table in a CSV file with the columns of `COLUMNS`."""
    with path.open(newline="", encoding="utf-8") as file:
        return Table(
            Row(
                line["kind"],
                line["operator"],
                int(line["macs"]),
                int(line["bytes"]),
                float(line["latency_us"]),
            )
            for line in csv.DictReader(file)
        )
