"""When an architecture is trained again: a repeat, with its own seed, that shrinks the error bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.errors import UsageError
from nas.search.front import front_of
from nas.search.trial import TrialState

if TYPE_CHECKING:
    from nas.search.ledger import Ledger
    from nas.spaces.architecture import Architecture

EVERY = 3
"""At most every third trial is a repeat of the study's own choice."""

FIRST = 6
"""So many trials finish before there is a front worth repeating."""


class Repeats:
    """Which architectures are trained again, up to `repeats` times in all.

    A finished architecture that the searcher suggests again is repeated; besides, of the front's members the
    one with the fewest runs, the oldest first. One is never repeated while a run of it is on its way, nor
    after one that failed. Everything here follows from the trials, so that a resumed study goes on alike.
    Raises UsageError for settings that cannot work.
    """

    def __init__(self, ledger: Ledger, repeats: int = 1, *, rungs: int = 1) -> None:
        check_repeats(repeats, rungs)
        self._ledger = ledger
        self._repeats = repeats

    def again(self, architecture_hash: str) -> Architecture | None:
        """The architecture of a hash where it may be trained once more, else None."""
        runs = self._ledger.runs_of(architecture_hash)
        if not 0 < len(runs) < self._repeats:
            return None
        results = [self._ledger.results.get(number) for number in runs]
        if any(result is None or result.state is not TrialState.FINISHED for result in results):
            return None
        return results[0].architecture if results[0] is not None else None

    def due(self) -> Architecture | None:
        """The architecture that the next trial repeats; None where it is the turn of a new one."""
        if self._repeats == 1 or self._is_early():
            return None
        return self.best()

    def best(self) -> Architecture | None:
        """The front's member with the fewest runs, of those that may be trained once more; else None."""
        if self._repeats == 1:
            return None
        ledger = self._ledger
        front = front_of(ledger.everything, ledger.objectives, ledger.constraints)
        own = [result for result in front if self.again(result.architecture.hash) is not None]
        chosen = min(own, key=lambda result: (result.runs, result.number), default=None)
        return None if chosen is None else chosen.architecture

    def _is_early(self) -> bool:
        """Whether too few trials have finished, or one of the last two was a repeat."""
        ledger = self._ledger
        if any(ledger.is_repeat(len(ledger) - back) for back in range(1, EVERY)):
            return True
        finished = (result.state is TrialState.FINISHED for result in ledger.results.values())
        return sum(finished) < FIRST


def check_repeats(repeats: int, rungs: int = 1) -> None:
    """Raises UsageError where an architecture cannot be trained so often."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < 1:
        raise UsageError(f"repeats must be a whole number of at least 1, not {repeats!r}")
    if repeats > 1 and rungs > 1:
        raise UsageError(
            f"{repeats} repeats and {rungs} rungs do not go together: a mean needs trials of full length.\n"
            "Leave one of the two at 1."
        )
