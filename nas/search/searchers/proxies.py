"""Proxies of what training will find, such as zero-cost proxies: followed as far as they were right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.search.contracts import Price
from nas.search.searchers.evaluated import Lessons
from nas.search.searchers.features import Features
from nas.search.trust import Trust, judge
from nas.spaces.architecture import Architecture

Matrix = NDArray[np.float64]


class Proxies:
    """Functions of an architecture that are too dear to ask for every candidate; more is always better.

    What each has said of the architectures that were evaluated is compared with what was found, and weighs as
    much as their rank correlation is certain (see `nas.search.trust`).
    """

    def __init__(self, proxies: Mapping[str, Price]) -> None:
        self._proxies = dict(proxies)

    def __bool__(self) -> bool:
        return bool(self._proxies)

    def earned(self, lessons: Lessons) -> dict[str, Trust]:
        """What each proxy has earned; lessons hold values of which less is better."""
        found = {}
        for name, proxy in self._proxies.items():
            said = [float(value) for value in proxy(lessons.architectures)]
            found[name] = judge(said, (-lessons.values).tolist())
        return found

    def trusted(self, lessons: Lessons) -> TrustedProxies | None:
        """The proxies with any weight; None where there is none."""
        weights = {name: trust.weight for name, trust in self.earned(lessons).items() if trust.weight > 0}
        if not weights:
            return None
        references = {name: np.sort(self._proxies[name](lessons.architectures)) for name in weights}
        return TrustedProxies({name: self._proxies[name] for name in weights}, weights, references)


@dataclass(frozen=True)
class TrustedProxies:
    """Proxies with their weights, seen as ranks among what they said of the evaluated architectures."""

    proxies: Mapping[str, Price]
    weights: Mapping[str, float]
    references: Mapping[str, Matrix]

    def extend(self, features: Features, architectures: Sequence[Architecture]) -> Features:
        """The features with a column for each proxy, from minus to plus its weight."""
        columns = [self._column(name, architectures) for name in self.proxies]
        return Features(features.choices, features.shares, np.column_stack([features.amounts, *columns]))

    def _column(self, name: str, architectures: Sequence[Architecture]) -> Matrix:
        said = np.asarray([float(value) for value in self.proxies[name](architectures)])
        reference = self.references[name]
        below = np.searchsorted(reference, said, "left") + np.searchsorted(reference, said, "right")
        return np.asarray(self.weights[name] * (below / len(reference) - 1.0))
