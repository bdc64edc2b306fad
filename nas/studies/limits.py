"""What the limits of a search leave of a space, judged by the costs of many of its architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.confidence import cost_of
from nas.search.objective import UNITS, Constraint

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 3
_SPELLED = {"latency": ("us", "ms", "s"), "energy": ("uJ", "mJ", "J"), "peak_memory": ("B", "kB", "MB", "GB")}
_COUNTS = ("", "k", "M", "G")


@dataclass(frozen=True)
class LimitProfile:
    """One constraint and what it leaves.

    `fit` of the samples keep it, `others` keep all other constraints. `extreme` is the value nearest to the
    good end that was seen at all, `tightest` that of an architecture that keeps the other constraints: the
    tightest limit under which something is left, None where nothing seen keeps the others. Both are in the
    base unit (ms, mJ, bytes, counts), and count what was met on the way downhill too.
    """

    constraint: Constraint
    fit: int
    others: int
    extreme: float
    tightest: float | None

    def removed(self, together: int) -> float:
        """The share of what the other constraints leave that this one removes; `together` keep all."""
        return 1 - together / self.others if self.others else 0.0


def kept(constraints: Sequence[Constraint], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each constraint is kept: of shape (n, constraints) like the values."""
    limits = np.array([constraint.limit for constraint in constraints])
    is_upper = np.array([constraint.operator == "<=" for constraint in constraints], dtype=np.bool_)
    return np.where(is_upper, values <= limits, values >= limits)


def limit_profiles(
    constraints: Sequence[Constraint], samples: NDArray[np.float64], met: NDArray[np.float64]
) -> tuple[LimitProfile, ...]:
    """The profile of every constraint from the values of the samples and of all that was met.

    Both are of shape (n, constraints).
    """
    of_samples, of_all = kept(constraints, samples), kept(constraints, met)
    found = []
    for index, constraint in enumerate(constraints):
        others = np.delete(of_samples, index, axis=1).all(axis=1)
        beside = met[np.delete(of_all, index, axis=1).all(axis=1), index]
        found.append(
            LimitProfile(
                constraint,
                int(of_samples[:, index].sum()),
                int(others.sum()),
                best(constraint, met[:, index]),
                best(constraint, beside) if len(beside) else None,
            )
        )
    return tuple(found)


def binding(limits: Sequence[LimitProfile], together: int) -> LimitProfile | None:
    """The constraint that removes most of what the others leave; None where none removes anything.

    Where every constraint leaves nothing for another to remove, it is the one that fewest samples keep.
    """
    if any(limit.others for limit in limits):
        strongest = max(limits, key=lambda limit: limit.removed(together))
        return strongest if strongest.removed(together) > 0 else None
    return min(limits, key=lambda limit: limit.fit, default=None)


def best(constraint: Constraint, values: NDArray[np.float64]) -> float:
    """The value at the good end: the smallest below an upper limit, the largest above a lower one."""
    return float(values.min() if constraint.operator == "<=" else values.max())


def spelled(constraint: Constraint, value: float) -> str:
    """A constraint that just allows a value, as it is typed: ``latency<=4.11ms``, ``params<=2.35M``.

    The number has three digits, rounded so that the value keeps it.

    >>> spelled(Constraint("params", "<=", 1e6), 2_344_001)
    'params<=2.35M'
    """
    unit, scale = _unit(cost_of(constraint.name), value)
    shown = abs(value) / scale
    step = 10.0 ** (math.floor(math.log10(shown)) - DIGITS + 1) if shown else 1.0
    steps, direction = (math.ceil, 1) if constraint.operator == "<=" else (math.floor, -1)
    number = steps(shown / step)
    text = _typed(constraint, number * step, unit)
    while not Constraint.parse(text).allows(value):  # by the rounding of floats
        number += direction
        text = _typed(constraint, number * step, unit)
    return text


def _typed(constraint: Constraint, number: float, unit: str) -> str:
    digits = f"{number:.0f}" if number >= 10**DIGITS else f"{number:.{DIGITS}g}"
    return f"{constraint.name}{constraint.operator}{digits}{unit}"


def _unit(cost: str, value: float) -> tuple[str, float]:
    """The largest unit of which the value is at least one, with its size in the base unit."""
    known = UNITS.get(cost, UNITS[""])
    sizes = [(unit, known[unit.lower()]) for unit in _SPELLED.get(cost, _COUNTS)]
    return next((item for item in reversed(sizes) if item[1] <= abs(value)), sizes[0])
