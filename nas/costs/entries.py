"""The entries of a cost table: each distinct layer, traced once and priced on every target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from nas.costs.columns import ENTRIES
from nas.costs.cost import Cost
from nas.costs.operators import Trace
from nas.spaces.architecture import Graph, Layer
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.blocks.block import Block
    from nas.costs.model import CostModel
    from nas.costs.target import Target

Key: TypeAlias = tuple[Layer | Graph, Signature, int]
"""A layer or cell, the signature of its input, the classes of the network."""
EMPTY_ROW = 0


@dataclass(frozen=True)
class Provenance:
    """How the figures of a target were found."""

    kind: str
    tier: str
    model: str


class Entries:
    """Rows of figures, one for each distinct layer met, of shape (targets, ENTRIES); row 0 is that of no
    layer.

    A model may charge a constant for each network; it stands in `constants` and in no row.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        model: CostModel,
        blocks: Mapping[str, Block],
        owner: object = None,
    ) -> None:
        self._targets = tuple(targets)
        self._model = model
        self._owner = owner
        self._blocks = blocks
        self._profiles = list(dict.fromkeys((target.batch_size, target.precision) for target in targets))
        self._rows: dict[Key, int] = {}
        self._unknown: dict[int, tuple[str, ...]] = {}
        self._values = np.zeros((64, len(self._targets), len(ENTRIES)))
        costs = [model.price(_nothing(target), target, owner) for target in self._targets]
        self.provenance = tuple(Provenance(cost.kind, cost.tier, cost.model) for cost in costs)
        self.constants = np.array([_figures(cost, 0) for cost in costs])

    @property
    def values(self) -> NDArray[np.float64]:
        """All rows so far, and zeros."""
        return self._values

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, element: Layer | Graph, signature: Signature, classes: int) -> int:
        """The row of a layer; it is traced and priced where it is new."""
        key = (element, signature, classes)
        row = self._rows.get(key)
        return self._add(key) if row is None else row

    def unknown_operators(self, rows: Sequence[int]) -> tuple[str, ...]:
        """The operators without a rule in these rows, each once."""
        if not self._unknown:
            return ()
        return tuple(dict.fromkeys(name for row in rows for name in self._unknown.get(row, ())))

    def _add(self, key: Key) -> int:
        from nas.costs.deployed import trace_element

        element, signature, classes = key
        found = trace_element(element, signature, self._blocks, classes, self._profiles)
        traces = dict(zip(self._profiles, found, strict=True))
        row = len(self._rows) + 1
        if row == len(self._values):
            self._values = np.concatenate([self._values, np.zeros_like(self._values)])
        for index, target in enumerate(self._targets):
            trace = traces[target.batch_size, target.precision]
            cost = self._model.price(trace, target, self._owner)
            self._values[row, index] = _figures(cost, trace.weight_bytes) - self.constants[index]
        if found[0].unknown_operators:
            self._unknown[row] = found[0].unknown_operators
        self._rows[key] = row
        return row


def _nothing(target: Target) -> Trace:
    """The trace of a network without operators."""
    return Trace((), 0, 0, 0, 0, target.batch_size, target.precision)


def _figures(cost: Cost, weight_bytes: int) -> NDArray[np.float64]:
    """The figures of a cost in the order of ENTRIES."""
    entries = {
        "latency": cost.latency_ms,
        "latency_low": cost.low_ms,
        "latency_high": cost.high_ms,
        "energy": cost.energy_mj,
        "params": cost.params,
        "macs": cost.macs,
        "bytes_moved": cost.bytes_moved,
        "activation_bytes": cost.activation_bytes,
        "weight_bytes": weight_bytes,
        "live_bytes": cost.peak_memory_bytes - weight_bytes,
    }
    return np.array([entries[name] for name in ENTRIES], dtype=np.float64)
