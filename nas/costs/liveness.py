"""How much memory activations take: which are alive while each operator runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate


@dataclass
class Lifetime:
    """A piece of memory: its bytes, the operator that makes it and the last one that uses it."""

    size: int
    first: int
    last: int
    maker: int = -1


class Memory:
    """The activations of a module in the order of its operators.

    A piece of memory is known by a key that all views of it share. It is alive from the operator that makes
    it (the first operator, for an input) to the last that reads or writes it; what the module returns, to the
    end.
    """

    def __init__(self) -> None:
        self._lifetimes: dict[int, Lifetime] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._lifetimes

    def add(self, key: int, size: int, now: int) -> None:
        """Memory that is there from operator `now` on."""
        self._lifetimes.setdefault(key, Lifetime(size, now, now))

    def use(self, key: int, now: int) -> int:
        """Operator `now` reads it; returns the operator that wrote it last, -1 where none did."""
        lifetime = self._lifetimes[key]
        lifetime.last = now
        return lifetime.maker

    def write(self, key: int, now: int) -> None:
        """Operator `now` writes it."""
        lifetime = self._lifetimes[key]
        lifetime.last = lifetime.maker = now

    def allocated(self) -> int:
        """Bytes that operators made, each piece of memory once."""
        return sum(lifetime.size for lifetime in self._lifetimes.values() if lifetime.maker >= 0)

    def peak(self, operators: int, returned: Iterable[int]) -> int:
        """The most bytes alive while one of so many operators runs, or in the end."""
        steps = max(operators, 1)
        for key in returned:
            if key in self._lifetimes:
                self._lifetimes[key].last = steps - 1
        changes = [0] * (steps + 1)
        for lifetime in self._lifetimes.values():
            changes[min(lifetime.first, steps - 1)] += lifetime.size
            changes[min(lifetime.last, steps - 1) + 1] -= lifetime.size
        return max(accumulate(changes))
