"""Scales a calibration to whole networks, and says how far off it is for others."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.calibration import Calibration, Correction, kind_of
from nas.costs.measuring.chains import CHAINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.cost import Cost
    from nas.costs.measuring.micro import MeasuredKernel
    from nas.costs.model import CostModel
    from nas.costs.target import Target

CONFIDENCE = 0.9
GROUPS = (
    frozenset({"conv", "conv_depthwise", "conv_grouped"}),
    frozenset({"gemm", "bmm", "sdpa", "rnn", "sparse"}),
)
"""Kinds whose kernels are alike in what company costs them; all others are one more group."""
MANY = 60
TELLING = 0.02
"""From so many networks on a kind has a factor of its own, if it takes such a share of their time."""
SHRINKING = 0.3
"""How much the factors of groups are drawn towards that of all."""
OUTSIDE = 1.5
"""An interval from fewer measurements than its confidence needs reaches so far beyond the worst of them, as a
power."""
ALONE = 0.3
"""The half-width of the log interval where one network was measured: one scale known, a datasheet roofline is
off by 26-38 % at the 90th percentile of devices never measured."""


def scaled_to(target: Target, model: CostModel, networks: Sequence[MeasuredKernel]) -> Target:
    """The target with the factors by which networks took longer than predicted, and with the interval that
    holds CONFIDENCE of them, each left out once.

    From few networks it is one factor for all kinds of operators, from CHAINS one for each of GROUPS, from
    MANY one for each kind that takes time in them.
    """
    if not networks:
        return target
    calibration = target.calibration
    assert calibration is not None
    costs = [model.price(network.trace, target) for network in networks]
    logs = np.array(
        [math.log(one.latency_ms / cost.latency_ms) for one, cost in zip(networks, costs, strict=True)]
    )
    groups = _groups(costs)
    shares = np.array([_shares(cost, groups) for cost in costs])
    low, high = interval(left_out(shares, logs))
    factors = np.exp(group_logs(shares, logs))
    scaled = replace(multiplied(calibration, factors, groups), low=low, high=high, bounds={})
    return replace(target, calibration=scaled)


def _groups(costs: Sequence[Cost]) -> Sequence[frozenset[str]]:
    """The kinds that have a factor together, by how many networks there are; all others are one more."""
    if len(costs) < MANY:
        return GROUPS
    times: dict[str, float] = defaultdict(float)
    for cost in costs:
        for operator in cost.operators:
            times[operator.kind] += operator.latency_ms / cost.latency_ms
    return [frozenset({kind}) for kind, share in sorted(times.items()) if share >= TELLING * len(costs)]


def _shares(cost: Cost, groups: Sequence[frozenset[str]]) -> list[float]:
    """The share of each group in the predicted time of a network."""
    times = [
        sum(operator.latency_ms for operator in cost.operators if operator.kind in group) for group in groups
    ]
    rest = sum(operator.latency_ms for operator in cost.operators) - sum(times)
    return [time / cost.latency_ms for time in (*times, rest)]


def group_logs(shares: NDArray[np.float64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """The log of the factor of each group: the median of all, and from CHAINS networks on what their shares
    explain of the rest, shrunk."""
    median = np.median(logs)
    if len(logs) < CHAINS - 1:
        return np.full(shares.shape[1], median)
    penalty = SHRINKING * np.eye(shares.shape[1])
    found: NDArray[np.float64] = median + np.linalg.solve(
        shares.T @ shares + penalty, shares.T @ (logs - median)
    )
    return found


def left_out(shares: NDArray[np.float64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each network is off, as a log, when the others alone are fitted."""
    if len(logs) == 1:
        return np.array([ALONE])
    kept = [np.delete(np.arange(len(logs)), index) for index in range(len(logs))]
    return np.array(
        [
            abs(logs[index] - shares[index] @ group_logs(shares[rest], logs[rest]))
            for index, rest in enumerate(kept)
        ]
    )


def interval(errors: NDArray[np.float64]) -> tuple[float, float]:
    """The factors between which measurements lie with CONFIDENCE, from the errors of networks as logs.

    >>> interval(np.zeros(30))
    (1.0, 1.0)
    """
    number = len(errors)
    rank = math.ceil((number + 1) * CONFIDENCE)
    ordered = np.sort(errors)
    half = float(ordered[rank - 1]) if rank <= number else OUTSIDE * float(ordered[-1])
    return math.exp(-half), math.exp(half)


def multiplied(
    calibration: Calibration,
    factors: NDArray[np.float64],
    groups: Sequence[frozenset[str]] = GROUPS,
) -> Calibration:
    """The calibration with the factors of each group times one more; the last one is that of all others."""
    kinds = {kind: float(factors[index]) for index, group in enumerate(groups) for kind in group}
    rest = float(factors[-1])
    scale = calibration.scale
    corrections = {kind: Correction(scale, 0, scale, scale) for kind in kinds}
    corrections.update(calibration.corrections)
    if np.ptp(factors) == 0:
        corrections = dict(calibration.corrections)
    return replace(
        calibration,
        scale=rest * calibration.scale,
        corrections={key: _times(found, kinds.get(kind_of(key), rest)) for key, found in corrections.items()},
    )


def _times(correction: Correction, factor: float) -> Correction:
    names = ("scale", "smallest", "largest", "added_ms")
    return replace(correction, **{name: factor * getattr(correction, name) for name in names})
