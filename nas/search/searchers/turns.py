"""Which suggestion of a study this is, counted so that a resumed study counts as the straight one did."""

from __future__ import annotations

from collections.abc import Iterable

from nas.search.trial import TrialResult, TrialState


class Turns:
    """Counts results and the suggestions since the last of them.

    Only what the store keeps is counted: each architecture's result once, infeasible suggestions never. So
    the keys of a searcher that was told the stored results are those of the one that was stopped.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._recent: set[str] = set()
        self._asked = 0

    @property
    def told(self) -> int:
        """The number of results so far."""
        return len(self._told)

    def new(self, results: Iterable[TrialResult]) -> list[TrialResult]:
        """The results that are news; takes note of them."""
        news = []
        for result in results:
            if result.state is TrialState.INFEASIBLE or result.architecture.hash in self._told:
                continue
            self._told.add(result.architecture.hash)
            news.append(result)
        if news:
            self._asked = 0
            self._recent.clear()
        return news

    def next(self) -> tuple[int, int]:
        """The key of the next suggestion: results so far, suggestions since."""
        key = (len(self._told), self._asked)
        self._asked += 1
        return key

    def suggest(self, architecture_hash: str) -> None:
        """Takes note of a suggestion."""
        self._recent.add(architecture_hash)

    def is_new(self, architecture_hash: str) -> bool:
        """Whether it is neither a result nor a suggestion made since the last one."""
        return architecture_hash not in self._told and architecture_hash not in self._recent
