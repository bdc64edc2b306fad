"""Free decisions without a network, for people who bring a problem of their own."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from nas.spaces.architecture import Network
from nas.spaces.decision import Decision, Instance, Slot, Values


class FlatModel:
    """Free decisions: all of them matter, every combination is valid, there is no network."""

    def __init__(self, decisions: tuple[Decision, ...]) -> None:
        self.decisions = decisions
        self.slots: tuple[Slot, ...] = ()

    @property
    def block_names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def size(self) -> int:
        """The product of the numbers of options."""
        return math.prod(len(decision.options) for decision in self.decisions)

    def dead_end(self) -> str:
        """There is none: every decision has an option."""
        return ""

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Uniform over all combinations."""
        limits = [len(decision.options) for decision in self.decisions]
        return rng.integers(np.array(limits, dtype=np.int64), size=(rows, len(limits)), dtype=np.int64)

    def active(self, vector: Values) -> list[int]:
        """All columns."""
        return list(range(len(vector)))

    def instances(self, vector: Values) -> tuple[Instance | None, ...] | None:
        """No slots, no instances."""
        return ()

    def network(self, instances: tuple[Instance | None, ...]) -> Network | None:
        """None."""
        return None

    def vectors(self) -> Iterator[Values]:
        """Every combination, the last decision fastest."""
        limits = [len(decision.options) for decision in self.decisions]
        yield from (tuple(int(i) for i in index) for index in np.ndindex(*limits))
