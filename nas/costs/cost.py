"""What a network takes on a target."""

from __future__ import annotations

from dataclasses import dataclass

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
    multiply-add as one, for one sample; bytes are for the batch.
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
