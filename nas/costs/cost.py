"""What a network takes on a target."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEFAULT_MODEL = "utilisation"
"""The cost model that predicts where none is named."""
COST_NAMES = ("latency", "peak_memory", "energy", "params", "macs", "bytes_moved", "activation_bytes")


@dataclass(frozen=True)
class OperatorCost:
    """One executed operator: what it does, what it takes, and what bounds it.

    `module` is the path of the module that ran it, `bound` one of compute, memory, launch. `known` is False
    for an operator that no rule describes: it is priced by its bytes, and named.
    """

    name: str
    kind: str
    module: str
    macs: int
    flops: int
    bytes_moved: int
    latency_ms: float
    bound: str
    known: bool = True


@dataclass(frozen=True)
class Cost:
    """What a network takes on one target, for one batch.

    `latency_ms` lies between `low_ms` and `high_ms` with 90 % confidence. `kind` is ``"predicted"`` or
    ``"measured"``; `tier` says what the figure rests on (``"T0"``: datasheet only). Everything is that of
    the deployed form but `params`, which counts those of the network as it is trained. `macs` counts one
    multiply-add as one, for one sample; bytes are for the batch. `amounts` are numbers of the model's own,
    which add up over the layers of a network and from which its `finish` makes latency, bounds and energy.
    """

    target: str
    kind: str
    tier: str
    model: str
    latency_ms: float
    low_ms: float
    high_ms: float
    peak_memory_bytes: int
    energy_mj: float
    params: int
    macs: int
    bytes_moved: int
    activation_bytes: int
    operators: tuple[OperatorCost, ...] = ()
    unknown_operators: tuple[str, ...] = ()
    amounts: tuple[float, ...] = ()

    def found(self, name: str) -> float | None:
        """An amount of AMOUNTS; None where a measurement did not find it, and it is kept as 0."""
        amount: float = getattr(self, name)
        return None if self.kind == "measured" and amount == 0 else amount

    @property
    def energy_low_mj(self) -> float:
        """The lower bound of the energy, ENERGY_ERROR below it where it was predicted."""
        return self.energy_mj * (1 - ENERGY_ERROR if self.kind == "predicted" else 1)

    @property
    def energy_high_mj(self) -> float:
        """The upper bound of the energy."""
        return self.energy_mj * (1 + ENERGY_ERROR if self.kind == "predicted" else 1)


ENERGY_ERROR = 0.4
"""How far a predicted energy may be off: power follows from datasheets alone."""
ROUNDING = 1e-9
KINDS = ("predicted", "measured")
FINISHED = ("latency_ms", "low_ms", "high_ms", "energy_mj")
"""What a model's `finish` gives, in this order."""
AMOUNTS = (
    *FINISHED,
    "peak_memory_bytes",
    "params",
    "macs",
    "bytes_moved",
    "activation_bytes",
)


def cost_problem(cost: object) -> str | None:
    """What makes a cost impossible, in a few words; None where nothing does."""
    if not isinstance(cost, Cost):
        return f"a {type(cost).__name__}, not a Cost,"
    for name in AMOUNTS:
        value = getattr(cost, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"{name} = {value!r:.60}"
        if not math.isfinite(value) or value < 0:
            return f"{name} = {value:g}"
    if any(not isinstance(amount, int | float) or not math.isfinite(amount) for amount in cost.amounts):
        return f"amounts = {cost.amounts!r:.60}"
    low, latency, high = cost.low_ms, cost.latency_ms, cost.high_ms
    if low > latency * (1 + ROUNDING) or latency > high * (1 + ROUNDING):
        return f"latency_ms = {latency:g} outside low_ms = {low:g} to high_ms = {high:g}"
    return None if cost.kind in KINDS else f"kind = {cost.kind!r:.60}"
