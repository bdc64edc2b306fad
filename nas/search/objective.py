"""What a study optimises, and the limits it keeps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nas.costs.confidence import cost_of, quantile_name, split_quantile
from nas.errors import UsageError, nearest

MAXIMISED = frozenset({"accuracy", "top5_accuracy"})
UNITS: Mapping[str, Mapping[str, float]] = {
    "latency": {"us": 1e-3, "ms": 1.0, "s": 1e3, "": 1.0},
    "energy": {"uj": 1e-3, "mj": 1.0, "j": 1e3, "": 1.0},
    "peak_memory": {
        "b": 1.0,
        "kb": 1e3,
        "mb": 1e6,
        "gb": 1e9,
        "kib": 2**10,
        "mib": 2**20,
        "gib": 2**30,
        "": 1.0,
    },
    "": {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "%": 1e-2},
}
_CONSTRAINT = re.compile(
    r"\s*([a-z][a-z0-9_.]*(?:@[\w.-]+)?)\s*(<=|>=)\s*([0-9.]+(?:e[+-]?\d+)?)\s*([a-z%]*)\s*", re.I
)


@dataclass(frozen=True)
class Objective:
    """A metric or a cost to optimise; ``latency@a100`` names the cost on one of several targets."""

    name: str
    direction: str

    def __post_init__(self) -> None:
        if self.direction not in ("min", "max"):
            raise UsageError(f"objective {self.name!r}: direction is 'min' or 'max', not {self.direction!r}")

    @property
    def sign(self) -> float:
        """Factor that turns the value into one to minimise."""
        return 1.0 if self.direction == "min" else -1.0

    @classmethod
    def parse(cls, text: str) -> Objective:
        """``accuracy`` (its natural direction), ``min:loss``, ``max:f1``.

        >>> Objective.parse("accuracy")
        Objective(name='accuracy', direction='max')
        """
        direction, colon, name = text.partition(":")
        if colon:
            return cls(name, direction)
        return cls(text, "max" if text in MAXIMISED else "min")


@dataclass(frozen=True)
class Constraint:
    """A limit on a cost or a metric, in its base unit (ms, mJ, bytes, counts).

    ``latency_p90`` names the latency that is kept with a probability of 90 %, ``latency`` the median.
    """

    name: str
    operator: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """``latency<=2ms``, ``latency@a100<=2ms``, ``params<=5M``, ``peak_memory<=64MiB``, ``accuracy>=90%``.

        >>> Constraint.parse("params<=5M")
        Constraint(name='params', operator='<=', limit=5000000.0)
        """
        match = _CONSTRAINT.fullmatch(text)
        if match is None:
            raise UsageError(f"constraint {text!r} is not of the form 'latency<=2ms' or 'params<=5M'")
        name, operator, number, unit = match.groups()
        units = UNITS.get(cost_of(name), UNITS[""])
        if unit.lower() not in units:
            known = ", ".join(u for u in units if u)
            close = nearest(name.partition("@")[0], UNITS) if units is UNITS[""] else None
            hint = f"Did you mean {close!r}?" if close else f"Known: {known}"
            raise UsageError(f"constraint {text!r}: unknown unit {unit!r} for {name}. {hint}")
        try:
            limit = float(number) * units[unit.lower()]
        except ValueError:
            raise UsageError(f"constraint {text!r}: {number!r} is not a number") from None
        if not math.isfinite(limit):
            raise UsageError(f"constraint {text!r}: the limit must be finite")
        return cls(name, operator, limit)

    @property
    def confidence(self) -> float:
        """The probability with which a limit on a predicted cost is kept: 0.5 where its median is."""
        quantile = split_quantile(self.name)[1]
        return quantile if self.operator == "<=" else 1 - quantile

    def at(self, confidence: float) -> Constraint:
        """The same limit, kept with this probability; as it is where its own quantile is named.

        A limit on what has no interval does not change.
        """
        quantile = confidence if self.operator == "<=" else 1 - confidence
        return replace(self, name=quantile_name(self.name, quantile))

    def allows(self, value: float) -> bool:
        """Whether the value keeps the limit; NaN never does."""
        return value <= self.limit if self.operator == "<=" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.limit:g}"
