"""What a `nas.search` call begins with: results at hand, or studies of its store by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from nas.errors import UsageError
from nas.search.result import SearchResult
from nas.search.sources import counted_now, read_source
from nas.search.trial import TrialResult
from nas.search.warm_start import UNNAMED

if TYPE_CHECKING:
    from nas.search.study import StudySpec
    from nas.store.store import Store

Given: TypeAlias = "str | TrialResult | SearchResult | Iterable[str | TrialResult | SearchResult]"
"""The name of a study, a result, all of a search, or several of them."""


@dataclass(frozen=True)
class Earlier:
    """Names of studies in the store, and results that were given as such."""

    studies: tuple[str, ...] = ()
    results: tuple[TrialResult, ...] = ()

    @classmethod
    def of(cls, given: Given) -> Earlier:
        """Sorts what was given; UsageError where it is something else."""
        items = [given] if isinstance(given, str | TrialResult | SearchResult) else given
        if not isinstance(items, Iterable):
            raise _wrong(items)
        names: list[str] = []
        results: list[TrialResult] = []
        for item in items:
            if isinstance(item, str):
                names.append(item)
            elif isinstance(item, SearchResult):
                results.extend(item.trials)
            elif isinstance(item, TrialResult):
                results.append(item)
            else:
                raise _wrong(item)
        marked = tuple(replace(result, source=result.source or UNNAMED) for result in results)
        return cls(tuple(dict.fromkeys(names)), marked)

    def named(self, store: Store | None, stored: StudySpec | None) -> tuple[tuple[str, str], ...]:
        """Each study with the trials that count: those of the stored search, else those with a result now."""
        if not self.studies:
            return ()
        if store is None:
            raise UsageError(f"warm_start names study {self.studies[0]!r}: give the store that holds it")
        if stored is not None and tuple(name for name, _ in stored.warm_start) == self.studies:
            return stored.warm_start
        return tuple((name, counted_now(store, name)) for name in self.studies)

    def sources(
        self, store: Store | None, named: tuple[tuple[str, str], ...], fidelity: int
    ) -> dict[str, list[TrialResult]]:
        """The results of each source, by how it is called in messages; those at hand come last."""
        found: dict[str, list[TrialResult]] = {}
        for name, numbers in named:
            assert store is not None
            found[f"study {name!r}"] = read_source(store, name, numbers, fidelity)
        if self.results:
            found["an earlier search"] = list(self.results)
        return found


def _wrong(item: object) -> UsageError:
    return UsageError(
        f"warm_start takes results and names of studies of the store, not {type(item).__name__}"
    )
