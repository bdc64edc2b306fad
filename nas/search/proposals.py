"""From suggestions to candidates: new architectures that keep the constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.search.contracts import Searcher
from nas.search.feasibility import find_allowed
from nas.search.front import front_of
from nas.search.ledger import Ledger
from nas.search.novelty import Novelty
from nas.search.prices import Pricing
from nas.search.trial import TrialResult, TrialState

if TYPE_CHECKING:
    from nas.spaces.architecture import Architecture
    from nas.spaces.space import Space

FRUITLESS_ASKS = 16
"""So many suggestions in a row that are not new or not allowed are taken before others are looked for."""


@dataclass(frozen=True)
class Candidate:
    """An architecture to evaluate, with what is known of it."""

    architecture: Architecture
    known: Mapping[str, float]


class Proposer:
    """Asks the searcher for one architecture at a time, since each result may change its mind.

    A suggestion the study has met is answered with its stored result, one that breaks a known constraint with
    an infeasible one; after too many of those in a row a new architecture is found without the searcher.
    """

    def __init__(self, space: Space, searcher: Searcher, pricing: Pricing, ledger: Ledger, seed: int) -> None:
        self._space = space
        self._searcher = searcher
        self._pricing = pricing
        self._ledger = ledger
        self._seed = seed
        self._novelty = Novelty(space, pricing, seed)
        self._allowed: list[Architecture] | None = None
        self._dropped: set[str] = set()
        self.message: str | None = None

    @property
    def dropped(self) -> int:
        """How many different suggested architectures broke a known constraint."""
        return len(self._dropped)

    def prepare(self) -> None:
        """Makes sure that the known constraints can be kept at all; raises UsageError where they cannot."""
        if self._allowed is None:
            self._allowed = find_allowed(self._space, self._pricing, self._seed)

    def propose(self) -> Candidate | None:
        """The next candidate; None where nothing new is left, and `message` says so."""
        self.prepare()
        return self._ask() or self._find()

    def price(self, architecture: Architecture) -> Mapping[str, float]:
        """The known values of an architecture."""
        return self._pricing.values([architecture])[0]

    def _ask(self) -> Candidate | None:
        for _ in range(FRUITLESS_ASKS + len(self._ledger.open)):
            suggestions = self._searcher.ask(1)
            if not suggestions:
                return None
            candidate = self._consider(suggestions[0])
            if candidate is not None:
                return candidate
        return None

    def _consider(self, architecture: Architecture) -> Candidate | None:
        """The candidate of a suggestion; else the searcher is told why it is none."""
        if self._ledger.has(architecture):
            result = self._ledger.result_of(architecture)
            if result is not None:
                self._searcher.tell([result])
            return None
        known = self.price(architecture)
        if self._pricing.is_allowed(known):
            return Candidate(architecture, known)
        self._dropped.add(architecture.hash)
        values = self._ledger.values_of(known)
        self._searcher.tell([TrialResult(architecture, TrialState.INFEASIBLE, values, number=-1)])
        return None

    def _find(self) -> Candidate | None:
        found = self._novelty.find(len(self._ledger), self._parents(), lambda a: not self._ledger.has(a))
        if found is not None:
            return Candidate(found, self.price(found))
        self.message = self._exhausted()
        return None

    def _parents(self) -> list[Architecture]:
        results = list(self._ledger.results.values())
        front = front_of(results, self._ledger.objectives, self._ledger.constraints)
        return [*(result.architecture for result in front), *(self._allowed or ())]

    def _exhausted(self) -> str:
        met = len(self._ledger)
        if not self._novelty.is_listable:
            return f"nothing new was found in the space after {met:,} trials: the study ends here"
        every = self._novelty.count()
        text = f"space exhausted: {every:,} of {every:,}"
        forbidden = every - self._novelty.allowed_count()
        return f"{text} ({forbidden:,} break a constraint)" if forbidden else text
