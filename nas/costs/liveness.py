"""How much memory activations take: which are alive while each operator runs."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate


@dataclass(frozen=True, slots=True)
class Allocation:
    """Memory that activations lie in, views of it included, by the places of operators in the pass.

    It is `size` bytes, there from operator `first` on; `last` is the last to use it, and `released` the first
    that runs after the module let go of it, which is later where a variable still names it. A runtime that
    plans a graph frees after the last use, eager execution when the last name is gone.
    """

    size: int
    first: int
    last: int
    released: int

    def moved(self, places: int) -> Allocation:
        """The same in a pass that runs so many operators before."""
        return Allocation(self.size, self.first + places, self.last + places, self.released + places)


@dataclass
class Lifetime:
    """A piece of memory: its bytes, the operator that makes it, the last one that uses it, and the first one
    that runs without it, None while somebody holds it."""

    size: int
    first: int
    last: int
    maker: int = -1
    released: int | None = None


class Memory:
    """The activations of a module in the order of its operators.

    A piece of memory is known by a key that all views of it share, until it is released. It is alive from the
    operator that makes it (the first operator, for an input) to the last that reads or writes it; what the
    module returns, to the end.
    """

    def __init__(self) -> None:
        self._lifetimes: dict[int, Lifetime] = {}
        self._made: list[Lifetime] = []

    def __contains__(self, key: int) -> bool:
        return key in self._lifetimes

    def add(self, key: int, size: int, now: int) -> None:
        """Memory that is there from operator `now` on."""
        if key not in self._lifetimes:
            self._lifetimes[key] = Lifetime(size, now, now)
            self._made.append(self._lifetimes[key])

    def use(self, key: int, now: int) -> int:
        """Operator `now` reads it; returns the operator that wrote it last, -1 where none did."""
        lifetime = self._lifetimes[key]
        lifetime.last = now
        return lifetime.maker

    def maker(self, key: int) -> int:
        """The operator that wrote it last, -1 where none did."""
        return self._lifetimes[key].maker

    def write(self, key: int, now: int) -> None:
        """Operator `now` writes it."""
        lifetime = self._lifetimes[key]
        lifetime.last = lifetime.maker = now

    def release(self, key: int, now: int) -> None:
        """Nobody holds it any more when operator `now` is to run; the key may be given to other memory."""
        self._lifetimes.pop(key).released = now

    def take_out(self, keys: Iterable[int]) -> int:
        """Forgets memory that turned out to be no activation; returns its bytes."""
        taken = [self._lifetimes.pop(key) for key in dict.fromkeys(keys) if key in self._lifetimes]
        places = set(map(id, taken))
        self._made = [lifetime for lifetime in self._made if id(lifetime) not in places]
        return sum(lifetime.size for lifetime in taken)

    def allocated(self) -> int:
        """Bytes that operators made, each piece of memory once."""
        return sum(lifetime.size for lifetime in self._made if lifetime.maker >= 0)

    def allocations(self, operators: int, returned: Container[int]) -> tuple[Allocation, ...]:
        """All of it, in the order in which it was made, for so many operators and what was returned."""
        end = max(operators, 1)
        held = {id(lifetime) for key, lifetime in self._lifetimes.items() if key in returned}
        found = []
        for lifetime in self._made:
            first = min(lifetime.first, end - 1)
            last = end - 1 if id(lifetime) in held else min(lifetime.last, end - 1)
            released = end if lifetime.released is None else min(lifetime.released, end)
            found.append(Allocation(lifetime.size, first, last, max(released, last + 1)))
        return tuple(found)

    def peak(self, operators: int, returned: Container[int]) -> int:
        """The most bytes alive while one of so many operators runs, or in the end."""
        return max(alive(self.allocations(operators, returned), operators))


def alive(
    allocations: Sequence[Allocation], operators: int, *, until_released: bool = False, unit: int = 1
) -> list[int]:
    """The bytes alive while each of so many operators runs, at least one.

    Memory counts until its last use, or until it is released; sizes are rounded up to multiples of `unit`.
    """
    steps = max(operators, 1)
    changes = [0] * (steps + 1)
    for allocation in allocations:
        size = -(-allocation.size // unit) * unit
        changes[allocation.first] += size
        changes[allocation.released if until_released else allocation.last + 1] -= size
    return list(accumulate(changes[:steps]))
