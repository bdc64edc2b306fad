"""What measured operators say of the factors that a calibration gives them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from nas.costs.measuring.fit import Sample
from nas.costs.traffic import in_range

if TYPE_CHECKING:
    from nas.costs.measuring.micro import MeasuredKernel
    from nas.costs.model import CostModel
    from nas.costs.operators import Operator, Trace
    from nas.costs.target import Target

DOMINANT = 0.7
"""A micro-kernel says something of an operator that takes such a share of its predicted time."""
LARGE = 1e4
"""A scale beside which launches are short."""


def sample_of(kernel: MeasuredKernel, target: Target, model: CostModel) -> Sample | None:
    """What a measured kernel says of its operator; None where no operator dominates."""
    plain = model.price(kernel.trace, target)
    times = [operator.latency_ms for operator in plain.operators]
    if not times or max(times) < DOMINANT * sum(times):
        return None
    own = int(np.argmax(times))
    multiplied, rest = _parts(kernel.trace, target, model)[own]
    if multiplied <= 0:
        return None
    others = plain.latency_ms - times[own]
    return Sample(kernel.trace.operators[own], multiplied, max(0.0, rest + others), kernel.latency_ms)


def samples_of(trace: Trace, latencies_ms: Sequence[float], target: Target, model: CostModel) -> list[Sample]:
    """What the operators of a network say that take so long, one by one; nothing of those that take no
    time."""
    rows = zip(trace.operators, _parts(trace, target, model), latencies_ms, strict=True)
    traffic = in_range(trace.bytes_moved)
    return [
        Sample(operator, multiplied, max(0.0, rest), latency, traffic)
        for operator, (multiplied, rest), latency in rows
        if multiplied > 0 and latency > 0
    ]


def distinct(samples: Iterable[Sample]) -> list[Sample]:
    """One sample for all operators that are alike but for where they stand, in networks of about the same
    traffic, with their geometric mean."""
    alike: dict[tuple[Operator, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        about = round(math.log2(sample.traffic))
        alike[replace(sample.operator, module="", sources=()), about].append(sample)
    return [
        replace(each[0], latency_ms=math.exp(sum(math.log(one.latency_ms) for one in each) / len(each)))
        for each in alike.values()
    ]


def _parts(trace: Trace, target: Target, model: CostModel) -> list[tuple[float, float]]:
    """The predicted milliseconds of each operator: the part that factors multiply and the one that they do
    not, the launch; told apart where the first is large, so that no least time of an operator hides it."""
    blank = target.calibration
    assert blank is not None
    large, larger = (
        model.price(trace, replace(target, calibration=replace(blank, scale=scale))).operators
        for scale in (LARGE, 2 * LARGE)
    )
    found = []
    for once, twice in zip(large, larger, strict=True):
        multiplied = (twice.latency_ms - once.latency_ms) / LARGE
        found.append((multiplied, once.latency_ms - LARGE * multiplied))
    return found
