"""What a training step takes, in memory and time: forward, backward, optimiser, from the trace of a forward
pass.

Memory is walked through backwards: weights and optimiser state are there all the time, gradients of weights
come as what autograd has saved goes, and each operator needs the gradients of its output and
inputs. Time is that of the forward operators, each with a backward pass of so many times as much, and of an
optimiser that reads and writes all it keeps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.costs.cost import DEFAULT_MODEL, Cost, OperatorCost
from nas.costs.estimation import or_default
from nas.costs.resolve import resolve_target
from nas.costs.saved import saved_by
from nas.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

    from nas.costs.operators import Operator, Trace
    from nas.costs.target import Target
    from nas.costs.trace import Shapes
    from nas.plugins import Registry

OPTIMIZERS: Mapping[str, int] = {"sgd": 1, "adam": 2, "adamw": 2}
"""Optimiser → numbers it keeps for each weight: a momentum, or both moments."""
NUMBER_BYTES: Mapping[str, int] = {"fp16": 2, "bf16": 2}
"""Bytes of a weight, its gradient and each number of its state; 4 in all other precisions."""
TRAINED_IN: Mapping[str, str] = {"fp16": "amp-fp16", "int8": "fp32"}
"""What a network is trained in that is deployed in a precision in which none is."""

BACKWARD: Mapping[str, float] = {
    "conv": 2.0,
    "conv_grouped": 2.0,
    "conv_depthwise": 2.0,
    "gemm": 2.0,
    "bmm": 2.0,
    "rnn": 2.0,
    "sdpa": 2.5,
    "norm": 3.0,
    "copy": 1.0,
}
"""Kind → backward by forward time. Matrix work has a product for the gradient of either factor; fused
attention has five products for two (arXiv:2307.08691); a norm in training reads its input once more for the
statistics, and going back twice, with the gradient. The rest reads the gradient and what was saved, and
writes a gradient: three passes for two."""
OTHER_BACKWARD = 1.5
LOW_FACTOR, HIGH_FACTOR = 0.73, 1.43
"""How far a step may be from so many times a forward pass: the 5th and 95th percentile of their ratio by its
median, 4.2, for 288 networks on an RTX 3090 (huggingface/pytorch-image-models, results/, autocast)."""
OPTIMIZER_BANDWIDTH_SHARE = 0.8
HOLES_SHARE = 0.08
"""What torch's caching allocator holds besides, as a share of all that is alive: with it the largest batch of
networks on an RTX 3090 (the same results, torch 1.12) is met best."""
CONVOLUTIONS = frozenset({"conv", "conv_depthwise", "conv_grouped"})


@dataclass(frozen=True)
class TrainingCost:
    """What one training step takes on a target, for a batch.

    `saved_bytes` is what autograd keeps from forward to backward, `peak_memory_bytes` the whole at the most
    demanding moment, the context of the device apart. `step_ms` lies between `low_ms` and `high_ms` with
    90 % confidence; `energy_mj` is that of the step. Layers that only training runs, such as dropout, are not
    in it, nor is the data pipeline.
    """

    target: str
    optimizer: str
    tier: str
    model: str
    step_ms: float
    low_ms: float
    high_ms: float
    energy_mj: float
    weight_bytes: int
    gradient_bytes: int
    optimizer_bytes: int
    saved_bytes: int
    peak_memory_bytes: int
    unknown_operators: tuple[str, ...] = ()


def estimate_training(
    module: nn.Module,
    input_shape: Shapes,
    target: str | Path | Target = "a100",
    batch_size: int | None = None,
    optimizer: str = "sgd",
    *,
    precision: str | None = None,
    runtime: str = "eager",
    model: str = DEFAULT_MODEL,
    registry: Registry | None = None,
) -> TrainingCost:
    """What one training step of a module takes on a target, for inputs of (batch size, *input_shape).

    All parameters are trained. `precision` is that of the target, by autocast where that is fp16. `optimizer`
    is one of sgd (with momentum), adam, adamw. Raises UnknownNameError for another, CostError where the
    module cannot run.
    """
    from nas.costs.trace import trace
    from nas.costs.trace_keys import traced_layout

    if optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", optimizer, OPTIMIZERS)
    registry = or_default(registry)
    resolved = resolve_target(target, registry, batch_size=batch_size, runtime=runtime, precision=precision)
    if precision is None and resolved.precision in TRAINED_IN:
        resolved = resolve_target(resolved, registry, precision=TRAINED_IN[resolved.precision])
    found = trace(module, input_shape, resolved.batch_size, resolved.precision, traced_layout(resolved))
    cost = registry.cost_models[model].price(found, resolved, registry.cost_models.provider(model))
    return training_cost(found, cost, resolved, optimizer)


def training_cost(trace: Trace, forward: Cost, target: Target, optimizer: str = "sgd") -> TrainingCost:
    """The cost of a training step, from the trace of a forward pass and what that costs."""
    width = NUMBER_BYTES.get(trace.precision, 4)
    gradients = width * trace.params
    state = OPTIMIZERS[optimizer] * gradients
    saved = saved_by(trace.operators)
    step = _step_ms(forward, gradients, state, target)
    low, high = _interval(forward, step)
    return TrainingCost(
        target=target.label,
        optimizer=optimizer,
        tier=forward.tier,
        model=forward.model,
        step_ms=step,
        low_ms=low,
        high_ms=high,
        energy_mj=forward.energy_mj * step / forward.latency_ms if forward.latency_ms else 0.0,
        weight_bytes=trace.weight_bytes,
        gradient_bytes=gradients,
        optimizer_bytes=state,
        saved_bytes=sum(size for sizes in saved for size in sizes),
        peak_memory_bytes=_peak(trace, forward, saved, gradients, state),
        unknown_operators=trace.unknown_operators,
    )


def _step_ms(forward: Cost, gradients: int, state: int, target: Target) -> float:
    """Forward, backward, and an optimiser that reads weights, gradients and state and writes all but the
    gradients."""
    backward = sum(operator.latency_ms * _backward(operator) for operator in forward.operators)
    moved = 3 * gradients + 2 * state
    bandwidth = target.figures["memory_bandwidth_gbs"].value * 1e6 * OPTIMIZER_BANDWIDTH_SHARE
    return forward.latency_ms + backward + moved / bandwidth


def _backward(operator: OperatorCost) -> float:
    return BACKWARD.get(operator.kind, OTHER_BACKWARD)


def _interval(forward: Cost, step: float) -> tuple[float, float]:
    """The bounds of the forward pass and those of the ratio to it, taken as independent."""
    if not forward.latency_ms:
        return step, step
    below = math.log(max(forward.low_ms, 1e-12) / forward.latency_ms)
    above = math.log(forward.high_ms / forward.latency_ms)
    low = step * math.exp(-math.hypot(below, math.log(LOW_FACTOR)))
    return low, step * math.exp(math.hypot(above, math.log(HIGH_FACTOR)))


def _peak(trace: Trace, forward: Cost, saved: Sequence[Sequence[int]], gradients: int, state: int) -> int:
    """The most bytes there at one time, on the way back or at the end of the way there."""
    held = sum(size for sizes in saved for size in sizes)
    inputs = sum(allocation.size for allocation in trace.allocations if allocation.released == _end(trace))
    done, most = 0, held + forward.peak_memory_bytes - trace.weight_bytes - _widest(trace)
    weights = sum(operator.weight_bytes for operator in trace.operators) or 1
    for operator, sizes in zip(reversed(trace.operators), reversed(saved), strict=True):
        done += operator.weight_bytes
        most = max(most, held + _transient(operator) + gradients * done // weights)
        held -= sum(sizes)
    return trace.weight_bytes + state + round(max(most, gradients + inputs) * (1 + HOLES_SHARE))


def _transient(operator: Operator) -> int:
    """The gradients of the output and inputs of an operator, and a workspace of a convolution as large."""
    gradients = operator.bytes_read - operator.weight_bytes + operator.bytes_written
    return gradients * (2 if operator.kind in CONVOLUTIONS else 1)


def _end(trace: Trace) -> int:
    return max(1, len(trace.operators))


def _widest(trace: Trace) -> int:
    """The largest working set of one operator: in training it is among what was saved."""
    sizes = (
        operator.bytes_read - operator.weight_bytes + operator.bytes_written for operator in trace.operators
    )
    return max(sizes, default=0)
