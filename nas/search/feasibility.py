"""Whether any architecture of a space keeps the constraints, found out before a trial is spent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from nas.costs.confidence import MEDIAN, cost_of, split_quantile
from nas.errors import UsageError
from nas.search.objective import Constraint
from nas.search.prices import Pricing
from nas.search.seeding import generator

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture
    from nas.spaces.space import Space

SAMPLES = 1_000
CHUNK = 50
UNITS: Mapping[str, str] = {"latency": "ms", "energy": "mJ", "peak_memory": "bytes"}


class NothingAllowedError(UsageError):
    """No architecture that was looked at keeps the known constraints."""


def find_allowed(space: Space, pricing: Pricing, seed: int) -> list[Architecture]:
    """Some architectures that keep the known constraints; empty where there is no known constraint.

    Looks at up to 1,000 architectures: all of a small space, else random ones, then changes of the one that
    came nearest. Raises NothingAllowedError naming the constraint and the nearest value where none keeps
    them.
    """
    if not pricing.constraints:
        return []
    return _Looking(space, pricing, seed).run()


class _Looking:
    def __init__(self, space: Space, pricing: Pricing, seed: int) -> None:
        self._space = space
        self._pricing = pricing
        self._rng = generator(seed, "feasibility")
        self._seen: list[Mapping[str, float]] = []
        self._nearest: tuple[float, Architecture] | None = None
        self._has_all = space.size() <= SAMPLES

    def run(self) -> list[Architecture]:
        chunks = self._listed() if self._has_all else None
        while len(self._seen) < SAMPLES:
            chunk = self._drawn() if chunks is None else next(chunks, [])
            if not chunk:
                break
            allowed = self._look_at(chunk)
            if allowed:
                return allowed
        raise NothingAllowedError(self._message())

    def _listed(self) -> Iterator[list[Architecture]]:
        vectors = list(self._space.enumerate())
        for start in range(0, len(vectors), CHUNK):
            yield [self._space.decode(vector) for vector in vectors[start : start + CHUNK]]

    def _drawn(self) -> list[Architecture]:
        """Random ones for the first half, then changes of the nearest one."""
        if self._nearest is None or len(self._seen) < SAMPLES // 2:
            return [self._space.sample(self._rng) for _ in range(CHUNK)]
        return [self._space.mutate(self._nearest[1], self._rng) for _ in range(CHUNK)]

    def _look_at(self, chunk: Sequence[Architecture]) -> list[Architecture]:
        values = self._pricing.values(chunk)
        self._seen.extend(values)
        for architecture, known in zip(chunk, values, strict=True):
            violation = self._pricing.violation(known)
            if self._nearest is None or violation < self._nearest[0]:
                self._nearest = (violation, architecture)
        return [a for a, known in zip(chunk, values, strict=True) if self._pricing.is_allowed(known)]

    def _message(self) -> str:
        what = "architectures" if self._has_all else "samples"
        head = f"0 of {len(self._seen):,} {what} meet"
        constraints = self._pricing.constraints
        met = [sum(c.allows(values[c.name]) for values in self._seen) for c in constraints]
        impossible = [c for c, count in zip(constraints, met, strict=True) if count == 0]
        if impossible:
            return "; ".join(f"{head} {limit_text(c)}; {self._extreme(c)}" for c in impossible)
        limits = " and ".join(limit_text(c) for c in constraints)
        counts = ", ".join(f"{n:,} meet {limit_text(c)}" for c, n in zip(constraints, met, strict=True))
        return f"{head} {limits} at once ({counts}): loosen one of them"

    def _extreme(self, constraint: Constraint) -> str:
        values = [known[constraint.name] for known in self._seen if math.isfinite(known[constraint.name])]
        if not values:
            return "no value seen is finite"
        if constraint.operator == "<=":
            return f"smallest seen {with_unit(constraint.name, min(values))}"
        return f"largest seen {with_unit(constraint.name, max(values))}"


def limit_text(constraint: Constraint) -> str:
    """A constraint as one writes it: ``latency <= 3 ms``, or ``latency <= 3 ms with 90 % confidence``."""
    name, quantile = split_quantile(constraint.name)
    sure = f" with {100 * constraint.confidence:g} % confidence" if quantile != MEDIAN else ""
    return f"{name} {constraint.operator} {with_unit(name, constraint.limit)}{sure}"


def with_unit(name: str, value: float) -> str:
    """A value of a cost or metric with its base unit: ``4.1 ms``, ``5,000,000``."""
    unit = UNITS.get(cost_of(name), "")
    number = (
        f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.3g}" if abs(value) < 1_000 else f"{value:,.4g}"
    )
    return f"{number} {unit}".rstrip()
