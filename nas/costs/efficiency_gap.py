"""The efficiency gap: how far a network's latency lies from what its arithmetic alone would take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nas.costs.cost import Cost
from nas.costs.speed import speed_of
from nas.costs.target import Target


@dataclass(frozen=True)
class EfficiencyGap:
    """One network on one target, in milliseconds for its batch.

    `ideal_ms` is its multiply-adds at the peak of the target, `actual_ms` its latency, measured or predicted
    as `kind` says; `score` is what it is worth, for example its accuracy in percent, where known.
    """

    name: str
    ideal_ms: float
    actual_ms: float
    kind: str
    score: float | None = None

    @property
    def efficiency(self) -> float:
        """latency = operations / (peak · efficiency) (arXiv:2404.03617): the share of the peak in use."""
        return self.ideal_ms / self.actual_ms


def efficiency_gaps(
    costs: Mapping[str, Iterable[Cost]], target: Target, scores: Mapping[str, float] | None = None
) -> tuple[EfficiencyGap, ...]:
    """The gap of every named network that has a latency on the target, in the order given.

    A measured latency is taken where there is one, else the predicted one. Costs of other targets, and those
    without a latency, are left out.
    """
    found = ((name, _latest(items, target)) for name, items in costs.items())
    return tuple(
        EfficiencyGap(name, ideal_ms(cost.macs, target), cost.latency_ms, cost.kind, (scores or {}).get(name))
        for name, cost in found
        if cost is not None
    )


def ideal_ms(macs: int, target: Target) -> float:
    """The least time of a batch of samples with so many multiply-adds each, at the peak of the target.

    >>> from nas.costs.target import Device, Figure
    >>> figures = {"fp32_tflops": Figure(1.0, "datasheet"), "memory_bandwidth_gbs": Figure(10.0, "datasheet")}
    >>> ideal_ms(10**9, Target("slow", Device("slow", "gpu", "none", figures), "fp32", batch_size=2))
    4.0
    """
    return 2 * macs * target.batch_size / speed_of(target).matrix


def _latest(costs: Iterable[Cost], target: Target) -> Cost | None:
    """The cost on the target that is closest to the truth."""
    own = [cost for cost in costs if cost.target in (target.name, target.label) and cost.latency_ms > 0]
    return min(own, key=lambda cost: cost.kind != "measured", default=None)
