"""The cost table of a space: each distinct layer is traced once, a population is priced by adding rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.columns import ENTRIES, LIVE, SUMS, CostColumns
from nas.costs.cost import Cost
from nas.costs.entries import EMPTY_ROW, Entries
from nas.costs.estimation import DEFAULT_MODEL, network_of, or_default
from nas.costs.slots import SlotRows
from nas.errors import CostError, SpaceError, UnknownNameError
from nas.spaces.fitting import element_signatures

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.spaces import Space
    from nas.spaces.architecture import Architecture

__all__ = ["CostColumns", "CostTable"]
CHUNK = 32_768
"""Architectures that are added up at a time, so that the sums stay in the cache."""


class CostTable:
    """Prices whole populations of a space on one or more targets, at the deployment input of the space.

    A layer is built in its deployed form, traced and priced when it is first met, and kept. Latency, its
    bounds, energy, parameters, MACs and bytes add up over the layers; peak memory is all weights and the
    largest working set of any layer. The figures equal those of `estimate_architecture`.

    Raises CostError where there is no target or the space is flat, UnknownNameError for a model that is none.
    """

    def __init__(
        self,
        space: Space,
        targets: Sequence[Target],
        registry: Registry | None = None,
        model: str = DEFAULT_MODEL,
    ) -> None:
        registry = or_default(registry)
        if not targets:
            raise CostError("a cost table needs at least one target")
        self.targets = tuple(targets)
        self._names = tuple(target.name for target in targets)
        if len(set(self._names)) < len(self._names):
            raise CostError(f"the targets of a cost table need different names, not {', '.join(self._names)}")
        self._space = space
        self._blocks = registry.blocks
        self._entries = Entries(
            targets, registry.cost_models[model], registry.blocks, registry.cost_models.provider(model)
        )
        options = [len(decision.options) for decision in space.decisions]
        self._slots = [SlotRows(slot.columns, [options[c] for c in slot.columns]) for slot in space.slots]

    def __len__(self) -> int:
        """The number of distinct layers priced so far."""
        return len(self._entries)

    def costs(self, population: ArrayLike) -> CostColumns:
        """The costs of an (n, decisions) array of vectors; SpaceError where one is not of the space."""
        vectors = self._checked(population)
        chunks = [self._added(vectors[start : start + CHUNK]) for start in range(0, len(vectors), CHUNK)]
        shape = (0, len(self.targets), len(ENTRIES))
        return CostColumns(self._names, np.concatenate(chunks) if chunks else np.zeros(shape))

    def cost(self, architecture: Architecture, target: str) -> Cost:
        """The cost of one architecture on the target of this name, without its operators."""
        if target not in self._names:
            raise UnknownNameError("target", target, self._names)
        rows = self._rows_of(architecture)
        columns = CostColumns(self._names, self._sums(np.array([rows])))
        index = self._names.index(target)
        figures = {
            name: float(columns.column(f"{name}@{target}")[0]) for name in SUMS if name != "weight_bytes"
        }
        provenance = self._entries.provenance[index]
        return Cost(
            target=self.targets[index].label,
            kind=provenance.kind,
            tier=provenance.tier,
            model=provenance.model,
            latency_ms=figures["latency"],
            low_ms=figures["latency_low"],
            high_ms=figures["latency_high"],
            peak_memory_bytes=round(float(columns.column(f"peak_memory@{target}")[0])),
            energy_mj=figures["energy"],
            params=round(figures["params"]),
            macs=round(figures["macs"]),
            bytes_moved=round(figures["bytes_moved"]),
            activation_bytes=round(figures["activation_bytes"]),
            unknown_operators=self._entries.unknown_operators(rows),
        )

    def price(self, name: str) -> Callable[[Sequence[Architecture]], list[float]]:
        """A function that prices many architectures by one cost, such as ``latency`` or ``latency@a100``."""
        CostColumns.locate(self._names, name)

        def price(architectures: Sequence[Architecture]) -> list[float]:
            rows = [self._rows_of(architecture) for architecture in architectures]
            if not rows:
                return []
            width = max(map(len, rows))
            padded = np.array([[*row, *[EMPTY_ROW] * (width - len(row))] for row in rows], dtype=np.int64)
            values: list[float] = CostColumns(self._names, self._sums(padded)).column(name).tolist()
            return values

        return price

    def _rows_of(self, architecture: Architecture) -> list[int]:
        """The rows of the layers of an architecture, of this space or another."""
        network = network_of(architecture)
        pairs = element_signatures(network, self._blocks)
        return [self._entries.row(element, signature, network.classes) for element, signature in pairs]

    def _added(self, vectors: NDArray[np.int64]) -> NDArray[np.float64]:
        """The figures of a part of a population, of shape (n, targets, ENTRIES)."""
        rows = np.empty((len(vectors), len(self._slots)), dtype=np.int64)
        for place, slot in enumerate(self._slots):
            rows[:, place] = slot.rows(vectors, partial(self._row, vectors, place))
        return self._sums(rows)

    def _row(self, vectors: NDArray[np.int64], place: int, index: int) -> int:
        """The row of what stands in one slot of one vector."""
        instance = self._space.instances(vectors[index])[place]
        if instance is None:
            return EMPTY_ROW
        return self._entries.row(instance.element, instance.signature, self._space.classes)

    def _sums(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """What (n, layers) rows add up to, with the constants of each network."""
        values = self._entries.values
        sums = np.zeros((len(rows), *values.shape[1:]))
        largest = np.zeros((len(rows), len(self.targets)))
        live = ENTRIES.index(LIVE)
        for column in rows.T:
            picked = values[column]
            sums += picked
            np.maximum(largest, picked[..., live], out=largest)
        sums[..., live] = largest
        total: NDArray[np.float64] = sums + self._entries.constants
        return total

    def _checked(self, population: ArrayLike) -> NDArray[np.int64]:
        if not self._space.slots:
            raise CostError(f"space {self._space.name!r} is flat: it has no networks to price")
        width = len(self._space.decisions)
        vectors = np.asarray(population)
        if vectors.ndim != 2 or vectors.shape[1] != width or vectors.dtype.kind not in "iu":
            raise SpaceError(
                f"a population of space {self._space.name!r} is an (n, {width}) array of integers"
            )
        limits = np.array([len(decision.options) for decision in self._space.decisions])
        if ((vectors < 0) | (vectors >= limits)).any():
            raise SpaceError(f"a vector of the population is not of space {self._space.name!r}")
        return vectors.astype(np.int64, copy=False)
