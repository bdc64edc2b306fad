"""The cost table of a space: each distinct layer is traced once, a population is priced by adding columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.cost import COST_NAMES, Cost
from nas.costs.estimation import DEFAULT_MODEL, trace_element
from nas.errors import CostError, UnknownNameError
from nas.spaces.architecture import Network, network_to_dict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Trace
    from nas.costs.target import Target
    from nas.plugins import Registry
    from nas.spaces import Instance, Space
    from nas.spaces.architecture import Architecture

SUMMED = ("latency", "latency_low", "latency_high", "energy", "params", "macs", "bytes_moved", "activation_bytes", "weight_bytes")
LARGEST = ("live_bytes",)
_ENTRIES = (*SUMMED, *LARGEST)
COLUMNS = (*COST_NAMES, "latency_low", "latency_high")


@dataclass(frozen=True)
class CostColumns:
    """The costs of n architectures on each target: one array of shape (n,) for each name and target.

    Names are those of COST_NAMES, ``latency_low`` and ``latency_high``, each alone (on the first target) or with
    its target: ``latency@a100``. Latency in ms, energy in mJ, memory in bytes.
    """

    targets: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]

    def column(self, name: str) -> NDArray[np.float64]:
        """One cost of every architecture; UnknownNameError for a name that is none."""
        cost, _, target = name.partition("@")
        key = f"{cost}@{target or self.targets[0]}"
        if key not in self.values:
            raise UnknownNameError("cost", name, [*COLUMNS, *self.values])
        return self.values[key]

    @property
    def params(self) -> NDArray[np.float64]:
        """Parameters of every architecture."""
        return self.column("params")

    @property
    def macs(self) -> NDArray[np.float64]:
        """Multiply-adds of every architecture for one sample."""
        return self.column("macs")


class CostTable:
    """Prices whole populations of a space on one or more targets, at the deployment input of the space.

    An entry is traced and priced at its first use and kept. Summed: latency and its bounds, energy, params, MACs,
    bytes. Peak memory: all weights, and the largest working set of any layer. Its figures equal those of
    `estimate_architecture`.
    """

    def __init__(
        self, space: Space, targets: Sequence[Target], registry: Registry | None = None, model: str = DEFAULT_MODEL
    ) -> None:
        from nas.plugins import default_registry

        if not targets:
            raise CostError("a cost table needs at least one target")
        self._space = space
        self.targets = tuple(targets)
        self._registry = default_registry() if registry is None else registry
        self._model = self._registry.cost_models[model]
        self._slots = [_SlotTable(slot.columns, self._radices(slot.columns)) for slot in space.slots]
        self._rows: dict[str, int] = {}
        self._values = np.zeros((1, len(targets), len(_ENTRIES)))
        self._used = 1
        self._tiers: dict[str, tuple[str, str, str]] = {}
        self._unknown: dict[int, tuple[str, ...]] = {}

    def costs(self, population: NDArray[np.int64]) -> CostColumns:
        """The costs of an (n, decisions) array of canonical vectors."""
        population = np.asarray(population, dtype=np.int64).reshape(-1, len(self._space.decisions))
        total = np.zeros((len(population), len(self.targets), len(_ENTRIES)))
        for number, slot in enumerate(self._slots):
            rows = slot.rows(population, lambda vector, n=number: self._row(self._space.instances(vector)[n]))
            picked = self._values[rows]
            total[..., : len(SUMMED)] += picked[..., : len(SUMMED)]
            np.maximum(total[..., len(SUMMED) :], picked[..., len(SUMMED) :], out=total[..., len(SUMMED) :])
        return self._columns(total)

    def cost(self, architecture: Architecture, target: str) -> Cost:
        """The cost of one architecture on the target of this name, without its operators."""
        vector = self._space.encode(architecture)
        columns = self.costs(vector[None])
        index = [t.name for t in self.targets].index(target)
        kind, tier, model = self._tiers[target]

        def value(name: str) -> float:
            return float(columns.column(f"{name}@{target}")[0])

        return Cost(
            target=self.targets[index].label,
            kind=kind,
            tier=tier,
            model=model,
            latency_ms=value("latency"),
            low_ms=value("latency_low"),
            high_ms=value("latency_high"),
            peak_memory_bytes=round(value("peak_memory")),
            energy_mj=value("energy"),
            params=round(value("params")),
            macs=round(value("macs")),
            bytes_moved=round(value("bytes_moved")),
            activation_bytes=round(value("activation_bytes")),
            unknown_operators=self._unknown_of(vector),
        )

    def price(self, name: str) -> Callable[[Sequence[Architecture]], list[float]]:
        """A function that prices many architectures by one cost, such as ``latency@a100``."""

        def price(architectures: Sequence[Architecture]) -> list[float]:
            if not architectures:
                return []
            population = np.stack([self._space.encode(architecture) for architecture in architectures])
            values: list[float] = self.costs(population).column(name).tolist()
            return values

        return price

    def _radices(self, columns: Sequence[int]) -> list[int]:
        return [len(self._space.decisions[column].options) for column in columns]

    def _columns(self, total: NDArray[np.float64]) -> CostColumns:
        values = {}
        for index, target in enumerate(self.targets):
            entries = {name: total[:, index, place] for place, name in enumerate(_ENTRIES)}
            entries["peak_memory"] = entries["weight_bytes"] + entries["live_bytes"]
            values |= {f"{name}@{target.name}": entries[name] for name in COLUMNS}
        return CostColumns(tuple(target.name for target in self.targets), values)

    def _row(self, instance: Instance | None) -> int:
        """The row of the values of one instance; traced and priced where it is new. Row 0 is an empty slot."""
        if instance is None:
            return 0
        network = Network(instance.signature, (instance.element,), self._space.classes)
        key = json.dumps(_without_slots(network_to_dict(network)), sort_keys=True)
        if key not in self._rows:
            self._rows[key] = self._add(instance)
        return self._rows[key]

    def _add(self, instance: Instance) -> int:
        if self._used == len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        row = self._used
        traces: dict[int, Trace] = {}
        for index, target in enumerate(self.targets):
            if target.batch_size not in traces:
                traces[target.batch_size] = trace_element(
                    instance.element, instance.signature, self._registry.blocks, self._space.classes, target.batch_size
                )
            self._fill(row, index, traces[target.batch_size], target)
        self._used += 1
        return row

    def _fill(self, row: int, index: int, trace: Trace, target: Target) -> None:
        cost = self._model.price(trace, target)
        live = self._model.price(_without_weights(trace), target).peak_memory_bytes
        self._tiers[target.name] = (cost.kind, cost.tier, cost.model)
        if cost.unknown_operators:
            self._unknown[row] = cost.unknown_operators
        entries = {
            "latency": cost.latency_ms,
            "latency_low": cost.low_ms,
            "latency_high": cost.high_ms,
            "energy": cost.energy_mj,
            "params": cost.params,
            "macs": cost.macs,
            "bytes_moved": cost.bytes_moved,
            "activation_bytes": cost.activation_bytes,
            "weight_bytes": cost.peak_memory_bytes - live,
            "live_bytes": live,
        }
        self._values[row, index] = [entries[name] for name in _ENTRIES]

    def _unknown_of(self, vector: NDArray[np.int64]) -> tuple[str, ...]:
        rows = (self._row(instance) for instance in self._space.instances(vector)) if self._unknown else ()
        return tuple(dict.fromkeys(name for row in rows for name in self._unknown.get(row, ())))


class _SlotTable:
    """Finds the row of each architecture for one slot: the decisions that matter there, as one number."""

    def __init__(self, columns: Sequence[int], radices: Sequence[int]) -> None:
        self._columns = np.array(columns, dtype=np.intp)
        weights = [1]
        for radix in radices:
            weights.append(weights[-1] * radix)
        self._fits = weights[-1] < 2**62
        self._weights = np.array(weights[:-1], dtype=np.int64) if self._fits else None
        self._rows: dict[object, int] = {}

    def rows(self, population: NDArray[np.int64], find: Callable[[NDArray[np.int64]], int]) -> NDArray[np.intp]:
        """One row for each architecture; `find` is asked once for each combination of decisions."""
        keys = self._keys(population)
        distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True, axis=0)
        found = np.empty(len(distinct), dtype=np.intp)
        for place, index in enumerate(first):
            key = distinct[place].tobytes()
            if key not in self._rows:
                self._rows[key] = find(population[index])
            found[place] = self._rows[key]
        return found[inverse.reshape(-1)]

    def _keys(self, population: NDArray[np.int64]) -> NDArray[np.int64]:
        picked = population[:, self._columns]
        return picked @ self._weights if self._weights is not None else picked


def _without_weights(trace: Trace) -> Trace:
    from dataclasses import replace

    return replace(trace, params=0, buffer_elements=0)


def _without_slots(content: object) -> object:
    """The same JSON without the places that layers stand in, which do not change a cost."""
    if isinstance(content, dict):
        return {key: _without_slots(value) for key, value in content.items() if key != "slot"}
    return [_without_slots(value) for value in content] if isinstance(content, list) else content
