"""Exact numbers of networks, by dynamic programming over the signatures between the parts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

from nas.spaces.fitting import Span
from nas.spaces.layout import Layout, Part
from nas.spaces.signature import Signature

Allowed: TypeAlias = tuple[frozenset[int] | None, ...]
"""For each group of cells, the operations that fit all its cells so far; None before the first."""


class Counter:
    """How many ways there are to complete a network from any point of it.

    The state between two parts is the signature and, since the cells of a group are chosen once for places
    of different signatures, the operations that every place so far allows.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._completions: dict[tuple[int, Signature, Allowed], int] = {}
        self._steps: dict[tuple[Part, Signature, int | None], list[dict[Signature, int]]] = {}

    def start(self) -> tuple[Signature, Allowed]:
        """The state before the first part."""
        return self._layout.input, (None,) * len(self._layout.groups)

    def total(self) -> int:
        """The number of networks."""
        return self.completions(0, *self.start())

    def dead_end(self) -> str:
        """Where the network cannot go on, for a space that holds none: the part and what reaches it."""
        states = {self.start()}
        for part in self._layout.parts:
            behind = {state for before in states for state in self._behind(part, *before)}
            if not behind:
                signature = next(iter(states))[0]
                return f"nothing listed for {part.name} fits there ({signature.domain} {signature.shape})"
            states = behind
        return "no choice of its blocks fits all their places"

    def _behind(
        self, part: Part, signature: Signature, allowed: Allowed
    ) -> Iterator[tuple[Signature, Allowed]]:
        """The states that can be reached through a part."""
        if part.group is not None:
            state = self.behind_cell(part, signature, allowed)
            if state[part.group]:
                yield signature, state
            return
        for width in part.widths:
            for depth in part.depths:
                for end in self.reached(part, signature, width, depth):
                    yield end, allowed

    def completions(self, index: int, signature: Signature, allowed: Allowed) -> int:
        """The number of ways to choose everything from part `index` on, the cells included."""
        key = (index, signature, allowed)
        if key not in self._completions:
            self._completions[key] = self._complete(index, signature, allowed)
        return self._completions[key]

    def behind_cell(self, part: Part, signature: Signature, allowed: Allowed) -> Allowed:
        """What is allowed behind a part that is a cell."""
        assert part.group is not None
        here = self._layout.groups[part.group].options.allowed(signature)
        before = allowed[part.group]
        both = here if before is None else before & here
        return (*allowed[: part.group], both, *allowed[part.group + 1 :])

    def reached(
        self, part: Part, signature: Signature, width: int | None, layers: int, first: bool = True
    ) -> dict[Signature, int]:
        """Signature behind `layers` layers of a part → the number of ways to get there.

        `first` says whether the first of them is that of the part, which has its stride.
        """
        assert part.layer is not None
        if part.share:
            return part.layer.counts(Span(signature, width, part.stride, layers))
        if not first:
            return self._repeated(part, signature, width, layers)
        total: dict[Signature, int] = {}
        for after, ways in part.layer.counts(Span(signature, width, part.stride)).items():
            for end, count in self._repeated(part, after, width, layers - 1).items():
                total[end] = total.get(end, 0) + ways * count
        return total

    def _repeated(
        self, part: Part, signature: Signature, width: int | None, layers: int
    ) -> dict[Signature, int]:
        """As `reached`, for layers behind the first."""
        assert part.layer is not None
        steps = self._steps.setdefault((part, signature, width), [{signature: 1}])
        while len(steps) <= layers:
            following: dict[Signature, int] = {}
            for before, ways in steps[-1].items():
                for after, count in part.layer.counts(Span(before, width, 1)).items():
                    following[after] = following.get(after, 0) + ways * count
            steps.append(following)
        return steps[layers]

    def stage_completions(
        self,
        index: int,
        signature: Signature,
        allowed: Allowed,
        width: int | None,
        layers: int,
        first: bool = True,
    ) -> int:
        """The number of ways to choose `layers` further layers of part `index`, and everything behind it."""
        part = self._layout.parts[index]
        if layers == 0:
            return self.completions(index + 1, signature, allowed)
        if part.group is not None:
            return self.completions(index + 1, signature, self.behind_cell(part, signature, allowed))
        ends = self.reached(part, signature, width, layers, first)
        return sum(ways * self.completions(index + 1, end, allowed) for end, ways in ends.items())

    def _complete(self, index: int, signature: Signature, allowed: Allowed) -> int:
        if index == len(self._layout.parts):
            groups = zip(allowed, self._layout.groups, strict=True)
            return math.prod(len(fitting or ()) ** len(group.options.edges) for fitting, group in groups)
        part = self._layout.parts[index]
        return sum(
            self.stage_completions(index, signature, allowed, width, depth)
            for width in part.widths
            for depth in part.depths
        )
