"""From suggestions to candidates: new architectures that keep the constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.search.contracts import Searcher
from nas.search.feasibility import NothingAllowedError, find_allowed
from nas.search.front import front_of
from nas.search.ledger import Ledger
from nas.search.novelty import Novelty
from nas.search.prices import Pricing
from nas.search.repeats import Repeats
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

    A suggestion the study has met is repeated where that is allowed, else answered with its stored result,
    one that breaks a known constraint with an infeasible one; after too many of those in a row a new
    architecture is found without the searcher.
    With `force` it goes on where none that keeps the known constraints was seen beforehand.
    """

    def __init__(
        self,
        space: Space,
        searcher: Searcher,
        pricing: Pricing,
        ledger: Ledger,
        seed: int,
        *,
        force: bool = False,
        repeats: Repeats | None = None,
    ) -> None:
        self._space = space
        self._searcher = searcher
        self._pricing = pricing
        self._ledger = ledger
        self._seed = seed
        self._novelty = Novelty(space, pricing, seed)
        self._force = force
        self._repeats = repeats if repeats is not None else Repeats(ledger)
        self._doubt: str | None = None
        self._allowed: list[Architecture] | None = None
        self._dropped: set[str] = set()
        self.message: str | None = None

    @property
    def dropped(self) -> int:
        """How many different suggested architectures broke a known constraint."""
        return len(self._dropped)

    def prepare(self) -> None:
        """Makes sure that the known constraints can be kept at all.

        Raises NothingAllowedError where they cannot, unless forced, or a trial of the study already does.
        """
        if self._allowed is not None:
            return
        try:
            self._allowed = find_allowed(self._space, self._pricing, self._seed)
        except NothingAllowedError as error:
            if not self._force and not len(self._ledger):
                raise
            self._allowed, self._doubt = [], str(error)

    def propose(self) -> Candidate | None:
        """The next candidate; None where nothing new is left, and `message` says so.

        It may be a repeat: where one is due, where the searcher suggests it, and where nothing new is left.
        """
        due = self._repeats.due()
        if due is not None:
            return self._repeat(due)
        if self.message is None:
            self.prepare()
            found = self._ask() or self._find()
            if found is not None:
                return found
        best = self._repeats.best()
        return None if best is None else self._repeat(best)

    @property
    def is_done(self) -> bool:
        """Whether nothing new is left, and nothing to repeat for now."""
        return self.message is not None and self._repeats.best() is None

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
        again = self._repeats.again(architecture.hash)
        if again is not None:
            return self._repeat(again)
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

    def _repeat(self, architecture: Architecture) -> Candidate:
        return Candidate(architecture, self.price(architecture))

    def _find(self) -> Candidate | None:
        found = self._novelty.find(len(self._ledger), self._parents(), lambda a: not self._ledger.has(a))
        if found is not None:
            return Candidate(found, self.price(found))
        self.message = self._exhausted()
        return None

    def _parents(self) -> list[Architecture]:
        front = front_of(self._ledger.everything, self._ledger.objectives, self._ledger.constraints)
        return [*(result.architecture for result in front), *(self._allowed or ())]

    def _exhausted(self) -> str:
        met = len(self._ledger)
        if not self._novelty.is_listable and self._doubt and not met:
            return f"{self._doubt}; the search found none either and ends here"
        if not self._novelty.is_listable:
            return f"nothing new was found in the space after {met:,} trials: the study ends here"
        every = self._novelty.count()
        text = f"space exhausted: {every:,} of {every:,}"
        forbidden = every - self._novelty.allowed_count()
        return f"{text} ({forbidden:,} break a constraint)" if forbidden else text
