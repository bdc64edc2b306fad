"""The cost table of a space: each distinct layer is traced once, a population is priced by adding rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.border_rows import EMPTY_ROW
from nas.costs.columns import COUNTS, ENTRIES, FINISHED, CostColumns
from nas.costs.cost import DEFAULT_MODEL, Cost
from nas.costs.entries import Entries
from nas.costs.estimation import network_of, or_default
from nas.costs.slots import SlotRows
from nas.costs.trace_keys import Key
from nas.errors import CostError, SpaceError, UnknownNameError
from nas.spaces.fitting import element_signatures

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from nas.costs.target import Target
    from nas.costs.tracing import TraceCache
    from nas.plugins import Registry
    from nas.spaces import Space
    from nas.spaces.architecture import Architecture

__all__ = ["CostColumns", "CostTable"]
CHUNK = 32_768
"""Architectures that are added up at a time, so that the sums stay in the cache."""


@dataclass(frozen=True)
class TablePrice:
    """Prices many architectures by one cost of a table, such as ``latency`` or ``latency_p90@a100``."""

    table: CostTable
    name: str

    def __call__(self, architectures: Sequence[Architecture]) -> list[float]:
        """One value for each architecture."""
        return self.table.values(self.name, architectures)

    def at(self, name: str) -> TablePrice:
        """The price by another cost of the same table."""
        return self.table.price(name)


class CostTable:
    """Prices whole populations of a space on one or more targets, at the deployment input of the space.

    A layer is built in its deployed form, traced and priced when it is first met, and kept. Latency, its
    bounds, energy, parameters, MACs and bytes add up over the layers; peak memory is all weights and the
    largest working set of any layer. The figures equal those of `estimate_architecture`, its whole bytes to
    one byte. What `cache` holds is not traced again.

    Raises CostError where there is no target or the space is flat, UnknownNameError for a model that is none.
    """

    def __init__(
        self,
        space: Space,
        targets: Sequence[Target],
        registry: Registry | None = None,
        model: str = DEFAULT_MODEL,
        cache: TraceCache | None = None,
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
        self._entries = Entries(targets, registry, model, cache)
        options = [len(decision.options) for decision in space.decisions]
        self._slots = SlotRows([slot.columns for slot in space.slots], options)

    def __len__(self) -> int:
        """The number of distinct layers priced so far."""
        return len(self._entries)

    @property
    def tiers(self) -> dict[str, str]:
        """The name of each target → what its figures rest on."""
        found = (provenance.tier for provenance in self._entries.provenance)
        return dict(zip(self._names, found, strict=True))

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
        rows = self._entries.rows(self._keys_of(architecture))
        columns = CostColumns(self._names, self._entries.networks(np.array([rows])))
        index = self._names.index(target)
        names = (*FINISHED, *COUNTS[:-1])
        figures = {name: float(columns.column(f"{name}@{target}")[0]) for name in names}
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

    def price(self, name: str) -> TablePrice:
        """A function that prices many architectures by one cost, such as ``latency`` or ``latency@a100``."""
        CostColumns.locate(self._names, name)
        return TablePrice(self, name)

    def values(self, name: str, architectures: Sequence[Architecture]) -> list[float]:
        """One cost of each of many architectures, of this space or another."""
        keys = [self._keys_of(architecture) for architecture in architectures]
        if not keys:
            return []
        found = iter(self._entries.rows([key for one in keys for key in one]))
        rows = [[next(found) for _ in one] for one in keys]
        width = max(map(len, rows))
        padded = np.array([[*row, *[EMPTY_ROW] * (width - len(row))] for row in rows], dtype=np.int64)
        values: list[float] = CostColumns(self._names, self._entries.networks(padded)).column(name).tolist()
        return values

    def _keys_of(self, architecture: Architecture) -> list[Key]:
        """The layers of an architecture, of this space or another."""
        network = network_of(architecture)
        pairs = element_signatures(network, self._blocks)
        return [(element, signature, network.classes) for element, signature in pairs]

    def _added(self, vectors: NDArray[np.int64]) -> NDArray[np.float64]:
        """The figures of a part of a population, of shape (n, targets, ENTRIES)."""
        return self._entries.networks(self._slots.rows(vectors, partial(self._find, vectors)))

    def _find(self, vectors: NDArray[np.int64], asked: list[tuple[int, int]]) -> list[int]:
        """The rows of what stands in some slots of some vectors."""
        indices = dict.fromkeys(index for index, _ in asked)
        instances = {index: self._space.instances(vectors[index]) for index in indices}
        found = [instances[index][slot] for index, slot in asked]
        classes = self._space.classes
        keys = [(one.element, one.signature, classes) for one in found if one is not None]
        rows = iter(self._entries.rows(keys))
        return [EMPTY_ROW if one is None else next(rows) for one in found]

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
        if vectors.size and (vectors.min() < 0 or (vectors.max(axis=0) >= limits).any()):
            raise SpaceError(f"a vector of the population is not of space {self._space.name!r}")
        return vectors.astype(np.int64, copy=False)
