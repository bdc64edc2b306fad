"""Which suggestion of a study this is, counted so that a resumed study counts as the straight one did."""

from __future__ import annotations

import math
from collections.abc import Iterable

from nas.search.trial import TrialResult, TrialState

NOTHING = (-1.0, 0)
"""What is said of an architecture that has no result."""


class Turns:
    """Counts results and the suggestions since the last of them.

    Only what the store keeps is counted: each finished run of an architecture, infeasible suggestions never.
    So the keys of a searcher that was told the stored results are those of the one that was stopped.
    """

    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}
        self._repeats = 0
        self._recent: set[str] = set()
        self._asked = 0

    @property
    def told(self) -> int:
        """The number of architectures with a result so far."""
        return len(self._told)

    def new(self, results: Iterable[TrialResult]) -> list[TrialResult]:
        """The results that are news, and hints; takes note of them.

        A result at a better fidelity than the one before is news too, yet it is no turn: a searcher that
        learns from it must not depend on when it came, but on the numbers of the trials. A hint's
        architecture stays new: it may be proposed, to be evaluated at this study's fidelity. The mean of more
        runs is news, and a turn: repeats are trials, in the order of their numbers like all others.
        """
        news, hints = [], []
        for result in results:
            if result.is_hint:
                hints.append(result)
                continue
            before = self._told.get(result.architecture.hash, NOTHING)
            if result.state is TrialState.INFEASIBLE or _weight(result) <= before:
                continue
            self._told[result.architecture.hash] = _weight(result)
            news.append(result)
            self._repeats += result.runs > before[1] > 0
            if result.runs > before[1]:
                self._asked = 0
                self._recent.clear()
        return [*hints, *news]

    def next(self) -> tuple[int, int]:
        """The key of the next suggestion: results so far, suggestions since."""
        key = (len(self._told) + self._repeats, self._asked)
        self._asked += 1
        return key

    def suggest(self, architecture_hash: str) -> None:
        """Takes note of a suggestion."""
        self._recent.add(architecture_hash)

    def is_new(self, architecture_hash: str) -> bool:
        """Whether it is neither a result nor a suggestion made since the last one."""
        return architecture_hash not in self._told and architecture_hash not in self._recent


def _weight(result: TrialResult) -> tuple[float, int]:
    """How much a result says, nothing where it failed, all where it finished; and of how many runs."""
    if result.state is TrialState.FINISHED:
        return math.inf, result.runs
    return float(result.fidelity) if result.state is TrialState.STOPPED else 0.0, result.runs
