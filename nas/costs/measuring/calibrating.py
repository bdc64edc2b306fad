"""Calibrates a target: measures what it needs, and fits what changes about the predictions for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import torch

from nas.costs.calibration import Calibration
from nas.costs.measuring.bounds import bounds_of_sorts
from nas.costs.measuring.chains import chains
from nas.costs.measuring.clocks import clock_for
from nas.costs.measuring.conditions import busy_with, conditions, exclusive, pinned
from nas.costs.measuring.designed_networks import designed_networks
from nas.costs.measuring.fit import Sample, fit_corrections
from nas.costs.measuring.fresh import FreshProcesses
from nas.costs.measuring.in_company import MeasuredNetwork, can_watch, measure_in_company, prepare
from nas.costs.measuring.kernels import MicroKernel, designed_kernels
from nas.costs.measuring.micro import MeasuredKernel, measure_all
from nas.costs.measuring.probe import probe
from nas.costs.measuring.samples import distinct, sample_of, samples_of
from nas.costs.measuring.scales import scaled_to
from nas.costs.measuring.space_networks import measure_networks
from nas.costs.measuring.warmth import fit_warmth
from nas.costs.reading import Reading
from nas.costs.target import Figure, Target

if TYPE_CHECKING:
    from nas.costs.cost import Cost
    from nas.costs.model import CostModel

KERNELS = 200
NETWORKS = 480
"""The most kernels, or networks, that are measured."""
FOLDS = 5
"""Into so many parts networks are divided; each is predicted from all others."""
LEAST_SHARE = 0.002
"""This share of operators takes less than the least time that is told of them."""
DRIFT = 0.15
"""A calibration says so where a round took so much longer than another."""
PARTS = 1000
"""Into how many parts the progress of these is told."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Calibrated:
    """A calibrated target, and what disturbed the machine meanwhile."""

    target: Target
    busy: str | None


@dataclass(frozen=True)
class _Measured:
    """What was measured, in words; how it fits a target; how much slower the machine was for a while, as a
    share; the figures that it replaces; and what the reference usually took."""

    rests_on: str
    fitted: Callable[[Target], Target]
    drift: float
    figures: Mapping[str, Figure] = field(default_factory=dict)
    reference: Reading | None = None


def calibrate(
    target: Target,
    model: CostModel,
    device: torch.device,
    *,
    seconds: float = 110.0,
    on_progress: Progress = lambda done, number: None,
    networks: Iterable[MicroKernel] | None = None,
) -> Calibrated:
    """Measures operators on this machine for so many seconds, and fits the cost model to them (tier T2); and
    as long again networks of a space, where they are given (T3).

    Where the processor runs them one by one operators are timed within designed networks, and elsewhere as
    micro-kernels. `target` is this machine without calibration. Raises CostError where another process
    measures here.
    """
    threads = int(target.figures["units"].value) if device.type == "cpu" else None
    on_operator = on_progress if networks is None else _half(on_progress)
    measured_by = _by_operators if can_watch(target, device) else _by_kernels
    begin = time.monotonic()
    with exclusive(device), pinned(threads):
        figures = probe(device, target.precision)
        left = seconds - (time.monotonic() - begin)
        measured = measured_by(target, model, device, left, on_operator)
        figures = {**figures, **measured.figures}
        blank = Calibration("T2", model.name, "", figures=figures, reference=measured.reference)
        fitted = measured.fitted(replace(target, calibration=blank))
        found = measure_networks(networks or (), fitted, model, device, seconds, _second_half(on_progress))
        under = conditions(device, clock_for(device).name)
    busy = busy_with(device) or _drifted(measured.drift)
    scaled = scaled_to(fitted, model, found)
    assert scaled.calibration is not None
    rests_on = source(measured.rests_on, len(found))
    told = replace(scaled.calibration, tier="T3" if found else "T2", source=rests_on)
    told = replace(told, conditions={**under, **({"busy": busy} if busy else {})})
    return Calibrated(replace(scaled, calibration=told), busy)


def _by_operators(
    target: Target, model: CostModel, device: torch.device, seconds: float, on_progress: Progress
) -> _Measured:
    """Operators measured within designed networks."""
    networks = designed_networks(NETWORKS, target.batch_size)
    with FreshProcesses(prepare, target) as caller:
        found = measure_in_company(networks, target, seconds, on_progress, caller)
    number = sum(len(network.operators_ms) for network in found.networks)
    return _Measured(
        f"{number} operators in {len(found.networks)} networks",
        lambda blank: fitted_to_operators(blank, model, found.networks),
        found.drift,
        _least_time([latency for network in found.networks for latency in network.operators_ms]),
        found.reference,
    )


def _by_kernels(
    target: Target, model: CostModel, device: torch.device, seconds: float, on_progress: Progress
) -> _Measured:
    """Operators measured as micro-kernels, and chains of them."""
    kernels = designed_kernels(KERNELS, target.batch_size)
    found = measure_all(kernels, list(chains(target.batch_size)), target, device, seconds, on_progress)
    return _Measured(
        f"{len(found.kernels)} kernels, {len(found.chains)} chains",
        lambda blank: fitted_to_kernels(blank, model, found.kernels, found.chains),
        found.drift,
    )


def fitted_to_operators(target: Target, model: CostModel, networks: Sequence[MeasuredNetwork]) -> Target:
    """The target with the corrections that the operators of networks lead to, and how much quicker short ones
    are.

    Its interval holds the rounds of networks that were left out, as long as they took: at the speed of that
    moment.
    """
    samples = [samples_of(network.trace, network.operators_ms, target, model) for network in networks]
    fitted = _corrected(target, distinct(one for each in samples for one in each))
    assert fitted.calibration is not None
    added = {key: correction.added_ms for key, correction in fitted.calibration.corrections.items()}
    costs = _left_out(networks, samples, target, model, added)
    predicted = np.array([cost.latency_ms for cost in costs])
    warmth = fit_warmth(predicted, [sum(network.operators_ms) for network in networks])
    if warmth is not None:
        predicted *= warmth.factors(predicted)
    rows = zip(networks, predicted.tolist(), strict=True)
    errors = [[math.log(latency / told) for latency in network.rounds_ms] for network, told in rows]
    (low, high), bounds = bounds_of_sorts(costs, errors)
    found = replace(fitted.calibration, low=low, high=high, bounds=bounds, warmth=warmth)
    return replace(fitted, calibration=found)


def _left_out(
    networks: Sequence[MeasuredNetwork],
    samples: Sequence[Sequence[Sample]],
    target: Target,
    model: CostModel,
    added: Mapping[str, float],
) -> list[Cost]:
    """What is predicted of each network from the samples of others, and from what all say is `added`."""
    fitted = [
        _corrected(
            target,
            distinct(one for number, each in enumerate(samples) if number % FOLDS != fold for one in each),
            added,
        )
        for fold in range(min(FOLDS, len(networks)))
    ]
    return [model.price(network.trace, fitted[number % FOLDS]) for number, network in enumerate(networks)]


def fitted_to_kernels(
    target: Target, model: CostModel, kernels: Sequence[MeasuredKernel], networks: Sequence[MeasuredKernel]
) -> Target:
    """The target with the corrections that kernels lead to, the scale that networks do, and its interval."""
    samples = [sample for kernel in kernels if (sample := sample_of(kernel, target, model)) is not None]
    return scaled_to(_corrected(target, samples), model, networks)


def _corrected(target: Target, samples: Sequence[Sample], added: Mapping[str, float] | None = None) -> Target:
    """The target with the scale and the corrections that samples lead to."""
    scale, corrections = fit_corrections(samples, added)
    assert target.calibration is not None
    return replace(target, calibration=replace(target.calibration, scale=scale, corrections=corrections))


def _least_time(latencies_ms: Sequence[float]) -> Mapping[str, Figure]:
    """What the least of operators take in a network, which nothing hides."""
    least = float(np.quantile(latencies_ms, LEAST_SHARE))
    source = "measured by nas calibrate: the least time of an operator within a network"
    figure = Figure(float(f"{1e3 * least:.4g}"), source, "measured")
    return {"eager_operator_us": figure, "launch_floor_us": figure}


def _drifted(drift: float) -> str | None:
    """What is said of a machine that was slower for a while."""
    return f"the machine was {100 * drift:.0f} % slower for a while" if drift > DRIFT else None


def _half(on_progress: Progress) -> Progress:
    """Tells of the first half of what is to be done."""
    return lambda done, number: on_progress(done, 2 * number)


def _second_half(on_progress: Progress) -> Callable[[float], None]:
    """Tells of the second half by the share of it that is done."""
    return lambda share: on_progress(round(PARTS * (1 + share) / 2), PARTS)


def source(rests_on: str, networks: int = 0) -> str:
    """What a calibration rests on, in a line."""
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    space = f", {networks} networks of a space" if networks else ""
    return f"nas calibrate, {when}: {rests_on}{space}"
