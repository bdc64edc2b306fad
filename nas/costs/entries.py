"""The entries of a cost table: each distinct layer, traced once and priced on every target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.border_rows import BorderRows
from nas.costs.columns import ENTRIES
from nas.costs.cost import FINISHED, Cost
from nas.costs.operators import Trace
from nas.costs.trace_keys import Key
from nas.costs.tracing import Tracing
from nas.errors import CostError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.target import Target
    from nas.costs.tracing import TraceCache
    from nas.plugins import Registry


@dataclass(frozen=True)
class Provenance:
    """How the figures of a target were found."""

    kind: str
    tier: str
    model: str


class Entries:
    """The rows of all distinct layers met, and the figures of networks that are made of them.

    A row holds the amounts of the cost model, padded with zeros to the most of any target, then COUNTS and
    LIVE. A model may charge a constant for each network, which stands in no row.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        registry: Registry,
        model: str,
        cache: TraceCache | None = None,
    ) -> None:
        self._targets = tuple(targets)
        self._model = registry.cost_models[model]
        self._owner = registry.cost_models.provider(model)
        self._rows: dict[Key, int] = {}
        self._unknown: dict[int, tuple[str, ...]] = {}
        costs = [self._model.price(_nothing(target), target, self._owner) for target in self._targets]
        self.provenance = tuple(Provenance(cost.kind, cost.tier, cost.model) for cost in costs)
        self._widths = [len(self._amounts(cost)) for cost in costs]
        self._padded = max(self._widths)
        self._constants = np.stack([self._figures(index, cost, 0) for index, cost in enumerate(costs)])
        self._border_rows = BorderRows(targets, self._priced, self._constants.shape[-1])
        self._tracing = Tracing(registry, self._border_rows.profiles, cache)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, keys: Sequence[Key]) -> list[int]:
        """The row of each of some layers; those that are new are traced and priced."""
        new = [key for key in dict.fromkeys(keys) if key not in self._rows]
        for key, traces in zip(new, self._tracing.traces(new), strict=True):
            self._add(key, traces)
        return [self._rows[key] for key in keys]

    def unknown_operators(self, rows: Sequence[int]) -> tuple[str, ...]:
        """The operators without a rule in these rows, each once."""
        if not self._unknown:
            return ()
        return tuple(dict.fromkeys(name for row in rows for name in self._unknown.get(row, ())))

    def networks(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The figures of n networks of (n, layers) rows, of shape (n, targets, ENTRIES)."""
        sums = self._border_rows.sums(rows) + self._constants
        found = np.empty((*sums.shape[:2], len(ENTRIES)))
        for index, (target, width) in enumerate(zip(self._targets, self._widths, strict=True)):
            found[:, index, : len(FINISHED)] = self._model.finished(
                sums[:, index, :width], target, self._owner
            )
        found[..., len(FINISHED) :] = sums[..., self._padded :]
        return found

    def _add(self, key: Key, found: Sequence[Trace]) -> None:
        """Prices a layer on every target, from its trace for each profile."""
        row = self._border_rows.add(dict(zip(self._border_rows.profiles, found, strict=True)))
        if found[0].unknown_operators:
            self._unknown[row] = found[0].unknown_operators
        self._rows[key] = row

    def _priced(self, index: int, trace: Trace) -> NDArray[np.float64]:
        """The figures of a trace on one target, without the constant of a network."""
        cost = self._model.price(trace, self._targets[index], self._owner)
        constant: NDArray[np.float64] = self._constants[index]
        return self._figures(index, cost, trace.weight_bytes) - constant

    def _amounts(self, cost: Cost) -> tuple[float, ...]:
        """What adds up over layers: the model's own amounts, or the figures themselves."""
        if self._model.finish is not None:
            return cost.amounts
        return tuple(getattr(cost, name) for name in FINISHED)

    def _figures(self, index: int, cost: Cost, weight_bytes: int) -> NDArray[np.float64]:
        """The row of a cost on one target, of shape (width,), with the constant of a network."""
        amounts = self._amounts(cost)
        if len(amounts) != self._widths[index]:
            raise CostError(
                f"cost model {self._model.name!r} gave {len(amounts)} amounts for one module and"
                f" {self._widths[index]} for another on {self._targets[index].label}."
                " This is a defect of the model."
            )
        padding = (0.0,) * (self._padded - len(amounts))
        counts = (cost.params, cost.macs, cost.bytes_moved, cost.activation_bytes, weight_bytes)
        return np.array(
            [*amounts, *padding, *counts, cost.peak_memory_bytes - weight_bytes], dtype=np.float64
        )


def _nothing(target: Target) -> Trace:
    """The trace of a network without operators."""
    return Trace((), 0, 0, 0, 0, target.batch_size, target.precision)
