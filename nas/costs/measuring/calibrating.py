"""Calibrates a target: measures what it needs, and fits what changes about the predictions for it."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch

from nas.costs.calibration import Calibration, Correction
from nas.costs.measuring.chains import CHAINS, chains
from nas.costs.measuring.clocks import clock_for
from nas.costs.measuring.conditions import busy_with, conditions, exclusive, pinned
from nas.costs.measuring.fit import Sample, fit_corrections
from nas.costs.measuring.kernels import MicroKernel, designed_kernels
from nas.costs.measuring.micro import MeasuredKernel, measure_all, measure_chain
from nas.costs.measuring.probe import probe
from nas.costs.target import Target

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.cost import Cost
    from nas.costs.model import CostModel

KERNELS = 200
DOMINANT = 0.7
"""A micro-kernel says something of an operator that takes such a share of its predicted time."""
LARGE = 1e4
"""A scale beside which launches are short."""
CONFIDENCE = 0.9
GROUPS = (
    frozenset({"conv", "conv_depthwise", "conv_grouped"}),
    frozenset({"gemm", "bmm", "sdpa", "rnn", "sparse"}),
)
"""Kinds whose kernels are alike in what company costs them; all others are one more group."""
MANY = 60
TELLING = 0.02
"""From so many networks on a kind has a factor of its own, if it takes such a share of their time."""
NETWORK_SECONDS = 0.15
"""How long a network of a space is measured: rather many of them than each closely."""
DRIFT = 0.15
"""A calibration says so where a round took so much longer than another."""
PARTS = 1000
"""Into how many parts the progress of these is told."""
SHRINKING = 0.3
"""How much the factors of groups are drawn towards that of all."""
OUTSIDE = 1.5
"""An interval from fewer measurements than its confidence needs reaches so far beyond the worst of them, as a
power."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Calibrated:
    """A calibrated target, and what it rests on."""

    target: Target
    kernels: Sequence[MeasuredKernel]
    chains: Sequence[MeasuredKernel]
    busy: str | None


def calibrate(
    target: Target,
    model: CostModel,
    device: torch.device,
    *,
    seconds: float = 110.0,
    on_progress: Progress = lambda done, number: None,
    networks: Iterable[MicroKernel] | None = None,
) -> Calibrated:
    """Measures micro-kernels and chains of them on this machine for so many seconds, and fits the cost model
    to them (tier T2); and as long again networks of a space, where they are given (T3).

    `target` is this machine without calibration. Raises CostError where another process measures here.
    """
    threads = int(target.figures["units"].value) if device.type == "cpu" else None
    on_kernel = on_progress if networks is None else _half(on_progress)
    begin = time.monotonic()
    with exclusive(device), pinned(threads):
        figures = probe(device, target.precision)
        alone = designed_kernels(KERNELS, target.batch_size)
        in_company = list(chains(target.batch_size))
        left = seconds - (time.monotonic() - begin)
        together = measure_all(alone, in_company, target, device, left, on_kernel)
        kernels, measured = together.kernels, list(together.chains)
        found = _measured_networks(networks or (), target, device, seconds, on_progress)
        under = conditions(device, clock_for(device).name)
    busy = busy_with(device) or _drifted(together.drift)
    tier, rests_on = "T3" if found else "T2", source(len(kernels), len(measured), len(found))
    blank = Calibration(tier, model.name, rests_on, figures=figures)
    blank = replace(blank, conditions={**under, **({"busy": busy} if busy else {})})
    measured += found
    fitted = fitted_calibration(replace(target, calibration=blank), model, kernels, measured)
    return Calibrated(fitted, kernels, measured, busy)


def _drifted(drift: float) -> str | None:
    """What is said of a machine that was slower for a while."""
    return f"the machine was {100 * drift:.0f} % slower for a while" if drift > DRIFT else None


def _half(on_progress: Progress) -> Progress:
    """Tells of the first half of what is to be done."""
    return lambda done, number: on_progress(done, 2 * number)


def _measured_networks(
    networks: Iterable[MicroKernel],
    target: Target,
    device: torch.device,
    seconds: float,
    on_progress: Progress,
) -> list[MeasuredKernel]:
    """Networks measured one after the other for so many seconds: the second half of what is to be done."""
    begin = time.monotonic()
    found = []
    for network in networks:
        share = (time.monotonic() - begin) / seconds
        if share > 1:
            break
        on_progress(round(PARTS * (1 + share) / 2), PARTS)
        found.append(measure_chain(network, target, device, NETWORK_SECONDS))
    return found


def source(kernels: int, in_chains: int, networks: int = 0) -> str:
    """What a calibration rests on, in a line."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    space = f", {networks} networks" if networks else ""
    return f"nas calibrate, {when}: {kernels} kernels, {in_chains} chains{space}"


def fitted_calibration(
    target: Target, model: CostModel, kernels: Sequence[MeasuredKernel], networks: Sequence[MeasuredKernel]
) -> Target:
    """The target with the corrections that kernels lead to, the scale that networks do, and its interval."""
    blank = target.calibration
    assert blank is not None
    samples = [sample for kernel in kernels if (sample := sample_of(kernel, target, model)) is not None]
    scale, corrections = fit_corrections(samples)
    fitted = replace(target, calibration=replace(blank, scale=scale, corrections=corrections))
    return scaled_to(fitted, model, networks)


def sample_of(kernel: MeasuredKernel, target: Target, model: CostModel) -> Sample | None:
    """What a measured kernel says of its operator; None where no operator dominates.

    The predicted time is a part that factors multiply and one that they do not, the launch: told apart where
    the first is large, so that no least time of an operator hides it.
    """
    blank = target.calibration
    assert blank is not None
    plain = model.price(kernel.trace, target)
    times = [operator.latency_ms for operator in plain.operators]
    if not times or max(times) < DOMINANT * sum(times):
        return None
    large, larger = (
        model.price(kernel.trace, replace(target, calibration=replace(blank, scale=scale)))
        for scale in (LARGE, 2 * LARGE)
    )
    own = int(np.argmax(times))
    multiplied = (larger.operators[own].latency_ms - large.operators[own].latency_ms) / LARGE
    if multiplied <= 0:
        return None
    rest = large.operators[own].latency_ms - LARGE * multiplied + plain.latency_ms - times[own]
    return Sample(kernel.trace.operators[own], multiplied, max(0.0, rest), kernel.latency_ms)


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
    return replace(target, calibration=replace(multiplied(calibration, factors, groups), low=low, high=high))


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
        corrections={kind: _times(found, kinds.get(kind, rest)) for kind, found in corrections.items()},
    )


def _times(correction: Correction, factor: float) -> Correction:
    names = ("scale", "smallest", "largest", "added_ms")
    return replace(correction, **{name: factor * getattr(correction, name) for name in names})


ALONE = 0.3
"""The half-width of the log interval where one network was measured: one scale known, a datasheet roofline is
off by 26-38 % at the 90th percentile of devices never measured."""
