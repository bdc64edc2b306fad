"""Results of earlier searches: which of them this search may use, and what each is worth to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nas.errors import SpaceError
from nas.search.prices import Pricing
from nas.search.trial import TrialResult, TrialState

if TYPE_CHECKING:
    from nas.spaces.space import Space

UNNAMED = "earlier"
"""The source of results that were given without the name of a study."""

_HAS_RESULT = frozenset({TrialState.FINISHED, TrialState.STOPPED})


@dataclass(frozen=True)
class WarmStart:
    """The results of earlier searches that a search begins with, priced as it prices its own.

    `results` are those of its own fidelity, FINISHED: they are known, and never evaluated again. `hints` are
    those of another fidelity, STOPPED at their own: they only teach the searcher. `foreign` counts the
    architectures that are not of this space, `partial` the results that lack a value that the search needs.
    """

    results: tuple[TrialResult, ...] = ()
    hints: tuple[TrialResult, ...] = ()
    foreign: int = 0
    partial: int = 0
    reason: str = field(default="", compare=False)

    @property
    def all(self) -> tuple[TrialResult, ...]:
        """Results and hints, as a StudyLoop takes them."""
        return (*self.results, *self.hints)

    def describe(self, source: str) -> str:
        """What is reused, in one line.

        >>> WarmStart(foreign=2).describe("study 'first'")
        "reuses 0 results of study 'first'; 2 are of another space"
        """
        one = "result" if len(self.results) == 1 else "results"
        parts = [f"reuses {len(self.results)} {one} of {source}"]
        if self.hints:
            parts.append(f"{len(self.hints)} of another fidelity only guide the search")
        if self.foreign:
            parts.append(f"{self.foreign} {_are(self.foreign)} of another space")
        if self.partial:
            parts.append(f"{self.partial} lack{'s' if self.partial == 1 else ''} an objective of this study")
        return "; ".join(parts)


def warm_start(
    earlier: Iterable[TrialResult], space: Space, pricing: Pricing, wanted: Sequence[str], fidelity: int
) -> WarmStart:
    """What earlier results are worth in a search of this space.

    The values of `earlier` may hold more than is `wanted` (the objectives and constrained metrics); what
    `pricing` knows is priced afresh. Of several results of one architecture at one fidelity the first counts,
    and a hint gives way to a result. Failed trials are left out.
    """
    usable = [result for result in earlier if result.state in _HAS_RESULT]
    spelled, reason = _of_space(usable, space)
    prices = pricing.values([result.architecture for result in spelled])
    priced = [_priced(result, known, wanted) for result, known in zip(spelled, prices, strict=True)]
    whole = [result for result in priced if len(result.values) == len(set(wanted))]
    results = _distinct(result for result in whole if _is_result(result, fidelity))
    known_hashes = {result.architecture.hash for result in results}
    hints = _distinct(
        replace(result, state=TrialState.STOPPED)
        for result in whole
        if not _is_result(result, fidelity) and result.architecture.hash not in known_hashes
    )
    return WarmStart(results, hints, len(usable) - len(spelled), len(priced) - len(whole), reason)


def join(parts: Sequence[WarmStart]) -> WarmStart:
    """Several sources as one; of one architecture the first source counts."""
    results = _distinct(result for part in parts for result in part.results)
    known_hashes = {result.architecture.hash for result in results}
    hints = _distinct(
        hint for part in parts for hint in part.hints if hint.architecture.hash not in known_hashes
    )
    return WarmStart(results, hints, sum(part.foreign for part in parts), sum(part.partial for part in parts))


def _of_space(results: Sequence[TrialResult], space: Space) -> tuple[list[TrialResult], str]:
    """The results of architectures of this space, in its spelling; and why the first other one is not."""
    spelled, reason = [], ""
    for result in results:
        try:
            architecture = space.decode(space.encode(result.architecture))
        except SpaceError as error:
            reason = reason or str(error)
        else:
            spelled.append(replace(result, architecture=architecture))
    return spelled, reason


def _priced(result: TrialResult, known: Mapping[str, float], wanted: Sequence[str]) -> TrialResult:
    """The result with the values that are wanted and finite; what is known takes the place of what was."""
    values = {**result.values, **known}
    kept = {name: values[name] for name in wanted if math.isfinite(values.get(name, math.nan))}
    return replace(result, values=kept)


def _is_result(result: TrialResult, fidelity: int) -> bool:
    return result.state is TrialState.FINISHED and result.fidelity == fidelity


def _distinct(results: Iterable[TrialResult]) -> tuple[TrialResult, ...]:
    """The first of each architecture at each fidelity."""
    found: dict[tuple[str, int], TrialResult] = {}
    for result in results:
        found.setdefault((result.architecture.hash, result.fidelity), result)
    return tuple(found.values())


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
