"""The costs of many architectures as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.confidence import MEDIAN, quantile, split_quantile
from nas.costs.cost import COST_NAMES
from nas.errors import UnknownNameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FINISHED = ("latency", "latency_low", "latency_high", "energy")
"""What a cost model makes of the amounts that add up over the layers of a network."""
COUNTS = ("params", "macs", "bytes_moved", "activation_bytes", "weight_bytes")
"""What adds up over the layers of a network, whatever the model."""
LIVE = "live_bytes"
"""What is not weights in the peak memory: the largest of all layers counts."""
ENTRIES = (*FINISHED, *COUNTS, LIVE)
COLUMN_NAMES = (*COST_NAMES, "latency_low", "latency_high")


@dataclass(frozen=True)
class CostColumns:
    """The costs of n architectures on each target.

    A column is named by a cost, on the first target, or by cost and target: ``latency@a100``. Costs are those
    of COST_NAMES, ``latency_low`` and ``latency_high``, and ``latency_p90``, the latency that is kept with a
    probability of 90 %; latency in ms, energy in mJ, memory in bytes, MACs
    for one sample. `values` is of shape (n, targets, ENTRIES).
    """

    targets: tuple[str, ...]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    def column(self, name: str) -> NDArray[np.float64]:
        """One cost of every architecture, of shape (n,); UnknownNameError for a name that is none."""
        median, confidence = split_quantile(name)
        if confidence != MEDIAN:
            return self._quantile(median.partition("@")[2] or self.targets[0], confidence)
        cost, index = self.locate(self.targets, name)
        if cost == "peak_memory":
            values = self.values[:, index]
            total: NDArray[np.float64] = (
                values[:, ENTRIES.index("weight_bytes")] + values[:, ENTRIES.index(LIVE)]
            )
            return total
        return self.values[:, index, ENTRIES.index(cost)]

    def _quantile(self, target: str, confidence: float) -> NDArray[np.float64]:
        """The latency on a target that is kept with this probability, of shape (n,)."""
        median, low, high = (
            self.column(f"{name}@{target}") for name in ("latency", "latency_low", "latency_high")
        )
        return quantile(median, low, high, confidence)

    @staticmethod
    def locate(targets: Sequence[str], name: str) -> tuple[str, int]:
        """The cost and the place of the target that a name stands for; UnknownNameError where it is none."""
        cost, at, target = split_quantile(name)[0].partition("@")
        if cost not in COLUMN_NAMES or (at and target not in targets):
            qualified = (f"{known}@{target}" for target in targets for known in COLUMN_NAMES)
            raise UnknownNameError("cost", name, [*COLUMN_NAMES, *qualified])
        return cost, targets.index(target) if at else 0

    @property
    def latency(self) -> NDArray[np.float64]:
        """Milliseconds on the first target."""
        return self.column("latency")

    @property
    def params(self) -> NDArray[np.float64]:
        """Parameters."""
        return self.column("params")

    @property
    def macs(self) -> NDArray[np.float64]:
        """Multiply-adds for one sample."""
        return self.column("macs")

    @property
    def peak_memory(self) -> NDArray[np.float64]:
        """Bytes on the first target."""
        return self.column("peak_memory")
