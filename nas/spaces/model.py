"""What stands behind a space: networks laid out as a tree, or free decisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from nas.spaces.architecture import Layer, Network
from nas.spaces.counting import Counter
from nas.spaces.decision import Decision, Instance, Slot, Values, column_reader
from nas.spaces.enumeration import enumerate_vectors
from nas.spaces.fitting import fit, settled_width
from nas.spaces.layout import Layout, Part
from nas.spaces.sampling import Sampler
from nas.spaces.signature import Signature

MAX_REMEMBERED = 50_000
"""The most instances that are remembered for one slot."""


class Model(Protocol):
    """The questions a space asks; vectors come as tuples of integers within range."""

    decisions: tuple[Decision, ...]
    slots: tuple[Slot, ...]

    @property
    def block_names(self) -> tuple[str, ...]:
        """Every block that may be used."""
        ...

    def size(self) -> int:
        """The exact number of valid canonical vectors."""
        ...

    def dead_end(self) -> str:
        """Why the size is 0."""
        ...

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """Random valid canonical vectors, one a row."""
        ...

    def active(self, vector: Values) -> list[int]:
        """The columns that matter, ascending."""
        ...

    def instances(self, vector: Values) -> tuple[Instance | None, ...] | None:
        """What stands in every slot; None where a block does not fit."""
        ...

    def network(self, instances: tuple[Instance | None, ...]) -> Network | None:
        """The resolved network."""
        ...

    def vectors(self) -> Iterator[Values]:
        """Every valid canonical vector."""
        ...


class TreeModel:
    """Networks that are laid out as a tree."""

    def __init__(self, layout: Layout) -> None:
        self.decisions = layout.decisions
        self.slots = layout.slots
        self._layout = layout
        self._counter = Counter(layout)
        self._sampler = Sampler(layout, self._counter)
        self._keys = tuple(column_reader(slot.columns) for slot in layout.slots)
        self._remembered: tuple[dict[object, Instance | None], ...] = tuple({} for _ in layout.slots)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Every block of the tree."""
        return tuple(sorted(self._layout.blocks))

    def size(self) -> int:
        """By dynamic programming, see `Counter`."""
        return self._counter.total()

    def dead_end(self) -> str:
        """The first part that nothing fits."""
        return self._counter.dead_end()

    def draw(self, rows: int, rng: np.random.Generator) -> np.ndarray:
        """See `Sampler`."""
        return self._sampler.draw(rows, rng)

    def active(self, vector: Values) -> list[int]:
        """The columns that matter, ascending."""
        columns: set[int] = set()
        for part in self._layout.parts:
            columns.update(part.own_columns())
            if part.layer is None:
                continue
            for number in range(1 if part.share else part.depth(vector)):
                base = part.bases[number]
                own = part.layer.read(part.layer_values(vector, number))[1]
                columns.update(base + column for column in own)
        for group in self._layout.groups:
            columns.update(group.base + column for column in group.options.active(group.values(vector)))
        return sorted(columns)

    def instances(self, vector: Values) -> tuple[Instance | None, ...] | None:
        """What stands in every slot, remembered by the columns of the slot."""
        found = []
        for key, remembered in zip(self._keys, self._remembered, strict=True):
            instance = remembered.get(key(vector), _MISSING)
            if instance is _MISSING:
                return self._resolve(vector)
            found.append(instance)
        return tuple(found)  # type: ignore[arg-type]  # _MISSING has returned

    def network(self, instances: tuple[Instance | None, ...]) -> Network:
        """The resolved network."""
        elements = tuple(instance.element for instance in instances if instance is not None)
        return Network(self._layout.input, elements, self._layout.classes)

    def vectors(self) -> Iterator[Values]:
        """Every valid canonical vector, part by part."""
        yield from enumerate_vectors(self._layout, self._counter)

    def _resolve(self, vector: Values) -> tuple[Instance | None, ...] | None:
        """Walks the network from its input; None at the first block that does not fit."""
        instances: list[Instance | None] = []
        signature = self._layout.input
        for part in self._layout.parts:
            depth = part.depth(vector)
            for number in range(depth):
                found = self._place(part, number, vector, signature)
                if found is None:
                    return None
                instances.append(found[0])
                signature = found[1]
            instances.extend([None] * (part.max_depth - depth))
        for instance, key, remembered in zip(instances, self._keys, self._remembered, strict=True):
            if len(remembered) >= MAX_REMEMBERED:
                remembered.clear()
            remembered[key(vector)] = instance
        return tuple(instances)

    def _place(
        self, part: Part, number: int, vector: Values, signature: Signature
    ) -> tuple[Instance, Signature] | None:
        slot = part.slots[number]
        if part.group is not None:
            group = self._layout.groups[part.group]
            values = group.values(vector)
            if not group.options.fits(values, signature):
                return None
            return Instance(group.options.graph(values, signature, slot), signature), signature
        assert part.layer is not None
        use, _ = part.layer.read(part.layer_values(vector, number))
        width = settled_width(self._layout.blocks[use.use], part.width(vector), signature)
        stride = part.stride if number == 0 else 1
        output = fit(use, signature, width, stride, self._layout.blocks)
        if output is None:
            return None
        return Instance(Layer(use, width, stride, slot), signature), output


_MISSING = object()
