"""What `nas.search` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.errors import TrialError
from nas.search.objective import Objective
from nas.search.trial import TrialResult

if TYPE_CHECKING:
    from nas.search.loop import StudyLoop


@dataclass(frozen=True)
class SearchResult:
    """The ended trials of a search and its front.

    `errors` says why trials failed, by number. `message` says why the search ended before its budget was
    spent, e.g. ``space exhausted: 729 of 729``; None where it did not.
    """

    trials: tuple[TrialResult, ...]
    front: tuple[TrialResult, ...]
    objectives: tuple[Objective, ...]
    errors: Mapping[int, str] = field(default_factory=dict)
    message: str | None = None
    dropped: int = 0

    @property
    def best(self) -> TrialResult:
        """The best trial by the first objective, of those on the front.

        Raises TrialError naming the first error where no trial finished within the constraints.
        """
        if not self.front:
            cause = next(iter(self.errors.values()), "no finished trial keeps the constraints")
            raise TrialError(f"no trial is on the front: {cause}")
        first = self.objectives[0]
        return min(self.front, key=lambda result: first.sign * result.values[first.name])


def result_of(loop: StudyLoop, objectives: tuple[Objective, ...]) -> SearchResult:
    """What a loop holds when its run has ended."""
    return SearchResult(
        trials=loop.results,
        front=tuple(loop.front()),
        objectives=objectives,
        errors=loop.errors,
        message=loop.message,
        dropped=loop.dropped,
    )
