"""A searcher as a plugin offers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas._lazy import resolve
from nas.search.contracts import Price, Searcher
from nas.search.objective import Constraint, Objective

if TYPE_CHECKING:
    from nas.spaces.space import Space


@dataclass(frozen=True)
class SearcherSetup:
    """All a searcher may know before the first trial.

    `known` holds the objectives and constrained costs that cost nothing to evaluate, by name; `seed` makes
    the sequence of suggestions repeatable; `trials` is the budget. `proxies` are functions of the same form
    that may tell something of an unknown objective, more being better, and take a while: zero-cost proxies.
    """

    space: Space
    objectives: tuple[Objective, ...]
    known: Mapping[str, Price] = field(default_factory=dict)
    constraints: Sequence[Constraint] = ()
    seed: int = 0
    trials: int = 100
    proxies: Mapping[str, Price] = field(default_factory=dict)


@dataclass(frozen=True)
class SearcherFactory:
    """A searcher by name; `build` (or ``"module:name"`` of it) makes one from a SearcherSetup."""

    name: str
    build: Callable[[SearcherSetup], Searcher] | str
    description: str = ""

    def create(self, setup: SearcherSetup) -> Searcher:
        """A fresh searcher for this study."""
        build = resolve(self.build) if isinstance(self.build, str) else self.build
        searcher: Searcher = build(setup)
        return searcher
