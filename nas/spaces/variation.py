"""Steps through a space: neighbours, mutation, crossover."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import SpaceError
from nas.spaces.architecture import Architecture
from nas.spaces.decision import Values

if TYPE_CHECKING:
    from nas.spaces.space import Space

ATTEMPTS = 32
"""How often a random step is tried before a search that cannot fail takes over."""

COMPLETIONS = 256
"""The most values of newly opened decisions that are tried to make a neighbour fit."""


class Variation:
    """Makes architectures out of others; everything it returns is valid."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def neighbours(self, architecture: Architecture) -> list[Architecture]:
        """All other architectures one decision away, each once.

        Decisions that the changed one opens take their first options, or the first that fit.
        """
        vector = self._vector(architecture)
        found: dict[str, Architecture] = {}
        for column in self._space.active(vector):
            for option in range(len(self._space.decisions[column].options)):
                if option == vector[column]:
                    continue
                changed = self._fitting(_replaced(vector, column, option), vector)
                if changed is not None:
                    neighbour = self._space.decode(changed)
                    found.setdefault(neighbour.hash, neighbour)
        found.pop(architecture.hash, None)
        return list(found.values())

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """A random other architecture: one decision changed, or more where that leads nowhere."""
        vector = self._vector(architecture)
        for attempt in range(ATTEMPTS):
            child = self._step(vector, 1 + attempt // 8, rng)
            if child is not None and child != architecture:
                return child
        others = self.neighbours(architecture) or self._others(architecture, rng)
        if not others:
            raise SpaceError(f"space {self._space.name!r} holds no other network than this one")
        return others[int(rng.integers(len(others)))]

    def crossover(self, one: Architecture, other: Architecture, rng: np.random.Generator) -> Architecture:
        """Every decision from one of the two at random; one of the two themselves where no mix fits."""
        parents = [self._vector(one), self._vector(other)]
        active = [set(self._space.active(parent)) for parent in parents]
        for _ in range(ATTEMPTS):
            picks = rng.integers(2, size=len(parents[0])).tolist()
            mixed = []
            for column, pick in enumerate(picks):
                # Where a decision matters in one parent only, the choice of that one is taken.
                source = pick if column in active[pick] or column not in active[1 - pick] else 1 - pick
                mixed.append(parents[source][column])
            unknown = [c for c in range(len(mixed)) if c not in active[0] and c not in active[1]]
            child = self._randomised(tuple(mixed), unknown, rng)
            if self._space.is_valid(child):
                return self._space.decode(child)
        return (one, other)[int(rng.integers(2))]

    def _vector(self, architecture: Architecture) -> Values:
        return tuple(self._space.encode(architecture).tolist())

    def _step(self, vector: Values, changes: int, rng: np.random.Generator) -> Architecture | None:
        active = self._space.active(vector)
        movable = [column for column in active if len(self._space.decisions[column].options) > 1]
        if not movable:
            return None
        changed = list(vector)
        for column in rng.choice(movable, size=min(changes, len(movable)), replace=False).tolist():
            options = len(self._space.decisions[column].options)
            changed[column] = (vector[column] + 1 + int(rng.integers(options - 1))) % options
        closed = set(active)
        opened = [column for column in range(len(vector)) if column not in closed]
        child = self._randomised(tuple(changed), opened, rng)
        return self._space.decode(child) if self._space.is_valid(child) else None

    def _randomised(self, vector: Values, columns: list[int], rng: np.random.Generator) -> Values:
        if not columns:
            return vector
        limits = np.array([len(self._space.decisions[column].options) for column in columns], dtype=np.int64)
        values = list(vector)
        for column, value in zip(columns, rng.integers(limits).tolist(), strict=True):
            values[column] = value
        return tuple(values)

    def _fitting(self, changed: Values, vector: Values) -> Values | None:
        """The changed vector, its newly opened decisions set so that it is valid; None where none fits."""
        for candidate in itertools.islice(self._completions(changed, vector), COMPLETIONS):
            if self._space.is_valid(candidate):
                return candidate
        return None

    def _completions(self, changed: Values, vector: Values) -> Iterator[Values]:
        before = set(self._space.active(vector))
        opened = [column for column in self._space.active(changed) if column not in before]
        yield changed
        for column in opened:
            for option in range(1, len(self._space.decisions[column].options)):
                yield _replaced(changed, column, option)
        options = (range(len(self._space.decisions[column].options)) for column in opened)
        for values in itertools.product(*options):
            candidate = list(changed)
            for column, value in zip(opened, values, strict=True):
                candidate[column] = value
            yield tuple(candidate)

    def _others(self, architecture: Architecture, rng: np.random.Generator) -> list[Architecture]:
        """Some other architectures, however far away; all of them in a space that can be listed."""
        if self._space.size() <= 10_000:
            every = (self._space.decode(vector) for vector in self._space.enumerate())
        else:
            every = (self._space.sample(rng) for _ in range(1_000))
        return list({found.hash: found for found in every if found != architecture}.values())


def _replaced(vector: Values, column: int, value: int) -> Values:
    return (*vector[:column], value, *vector[column + 1 :])
