"""A short way downhill in what a space costs: random samples seldom come near its cheap end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from nas.studies.limits import kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.search.objective import Constraint
    from nas.spaces.space import Space

ROUNDS = 40
PATIENCE = 8
"""Rounds without a better one after which the way ends."""
WIDTH = 16
PARENTS = 8

Values = Callable[["NDArray[np.int64]"], "NDArray[np.float64]"]
"""From an (n, decisions) array to the constrained costs, of shape (n, constraints)."""


def go_downhill(
    space: Space,
    constraints: Sequence[Constraint],
    samples: NDArray[np.int64],
    costs: Values,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The constrained costs of architectures bred from the best samples, of shape (m, constraints).

    For each constraint in turn the best by it are bred further, those that keep the other constraints (or
    break them least) before all others.
    """
    values = costs(samples)
    return np.concatenate(
        [
            _descent(space, constraints, index, samples, values, costs, rng)
            for index in range(len(constraints))
        ]
    )


def _descent(
    space: Space,
    constraints: Sequence[Constraint],
    index: int,
    samples: NDArray[np.int64],
    values: NDArray[np.float64],
    costs: Values,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """What is met on the way down in one constrained cost."""
    parents, of_parents = _fittest(constraints, index, samples, values)
    met = [of_parents]
    stale = 0
    for _ in range(ROUNDS):
        children = _children(space, parents, rng)
        of_children = costs(children)
        met.append(of_children)
        before = of_parents[0]
        parents, of_parents = _fittest(
            constraints, index, np.concatenate([parents, children]), np.concatenate([of_parents, of_children])
        )
        stale = stale + 1 if (of_parents[0] == before).all() else 0
        if stale == PATIENCE:
            break
    return np.concatenate(met)


def _fittest(
    constraints: Sequence[Constraint], index: int, vectors: NDArray[np.int64], values: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The few different ones that break the other constraints least, the best by this one first."""
    _, first = np.unique(vectors, axis=0, return_index=True)
    excess = np.delete(_excess(constraints, values[first]), index, axis=1).sum(axis=1)
    sign = 1.0 if constraints[index].operator == "<=" else -1.0
    chosen = first[np.lexsort((sign * values[first, index], excess))[:PARENTS]]
    return vectors[chosen], values[chosen]


def _excess(constraints: Sequence[Constraint], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each value is beyond its limit, relative to it; 0 where the limit is kept."""
    limits = np.array([constraint.limit for constraint in constraints])
    distance = np.abs(values - limits) / np.where(limits == 0, 1.0, np.abs(limits))
    return np.where(kept(constraints, values), 0.0, distance)


def _children(space: Space, parents: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Mutations and crossovers of the parents, half of each."""
    known = [space.decode(parent) for parent in parents]
    children = []
    for turn in range(WIDTH):
        one, other = (known[int(place)] for place in rng.integers(len(known), size=2))
        child = space.mutate(one, rng) if turn % 2 else space.crossover(one, other, rng)
        children.append(space.encode(child))
    return np.array(children, dtype=np.int64)
