"""What the host spends on every operator in eager mode, before and beside its kernel.

At small batches an eager network takes what its operators take to be dispatched, not what they compute: the
number of operators ranks the FBNet networks (arXiv:1812.03443) on five GPUs at batch 1 better than anything
that counts arithmetic. A convolution or a norm costs the host more than a pointwise operator does, so

    dispatch = eager_operator_us · relative cost of the kind

with the figure of the target as the scale: the least an operator takes. On CPUs two more costs go by the
channel: that of norms where a target gives ``eager_norm_channel_us``, and on x86 that of depthwise
convolutions whose channels fill the vector registers badly, which run one by one. The ratios, with their
sources, are in ``fitted/dispatch.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas_hardware import assumptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.costs.operators import Operator
    from nas.costs.target import Figure, Target

FITTED = Path(__file__).parent / "fitted" / "dispatch.json"
CPU_CLASSES = frozenset({"arm-cpu", "x86-cpu"})
"""Device classes where the host that dispatches is the device that computes."""
NORM_NUMBERS = 4
"""The numbers a batch norm keeps for every channel: two moments, a scale and a shift."""
WIDTH = 4
"""Bytes of a number that a norm keeps."""


def dispatch_ms(operators: Sequence[Operator], target: Target) -> NDArray[np.float64]:
    """The milliseconds the host spends on each operator, an array of the length of `operators`.

    All zeros where the runtime of the target is not eager. It grows with the figure ``eager_operator_us``
    alone: a larger operator of the same kind and channels costs the host the same.
    """
    if target.runtime != "eager" or not operators:
        return np.zeros(len(operators))
    figures = target.figures
    unit = _value(figures, "eager_operator_us", assumptions.EAGER_OPERATOR_US)
    table = fitted()["cpu" if on_cpu(target) else "gpu"]
    units = np.array([table["relative"].get(operator.kind, table["other"]) for operator in operators])
    if not on_cpu(target):
        return units * unit / 1e3
    if target.device.device_class == "x86-cpu":
        units += [_odd_depthwise(operator, table["odd_depthwise"]) for operator in operators]
    channel = _value(figures, "eager_norm_channel_us", 0.0)
    return (units * unit + channel * np.array([_norm_channels(operator) for operator in operators])) / 1e3


def combined_ms(
    dispatch: NDArray[np.float64], kernel: NDArray[np.float64], target: Target
) -> NDArray[np.float64]:
    """What operators take, from the milliseconds of their dispatch and those of their kernels.

    A CPU dispatches and computes in turn: the sum. An accelerator computes while its host dispatches: the
    larger of the two, operator by operator. (Networks whose early layers keep a GPU busy and whose late ones
    are dispatched slower than they run take both times: one maximum over the whole network is measurably
    worse.)
    """
    return dispatch + kernel if on_cpu(target) else np.maximum(dispatch, kernel)


def on_cpu(target: Target) -> bool:
    """Whether a target computes on the host itself."""
    return target.device.device_class in CPU_CLASSES


def runs_whole(target: Target) -> bool:
    """Whether a network is handed over as one graph, with one launch for all of it."""
    return (
        target.device.device_class in assumptions.WHOLE_GRAPH_CLASSES
        or target.runtime in assumptions.WHOLE_GRAPH_RUNTIMES
    )


@cache
def fitted() -> dict[str, Any]:
    """The fitted ratios with their sources."""
    content: dict[str, Any] = json.loads(FITTED.read_text(encoding="utf-8"))
    return content


def _value(figures: Mapping[str, Figure], name: str, otherwise: float) -> float:
    return figures[name].value if name in figures else otherwise


def _norm_channels(operator: Operator) -> float:
    """The channels of a norm by its weights."""
    return operator.weight_bytes / (NORM_NUMBERS * WIDTH) if operator.kind == "norm" else 0.0


def _odd_depthwise(operator: Operator, cost: dict[str, float]) -> float:
    """What a depthwise convolution costs beside its dispatch where its channels leave many lanes empty."""
    channels = operator.dim("out_channels") or 0
    lanes = cost["lanes"]
    if operator.kind != "conv_depthwise" or not channels:
        return 0.0
    if -(-channels // lanes) * lanes <= cost["padding"] * channels:
        return 0.0
    taps = (operator.dim("kernel_0") or 1) * (operator.dim("kernel_1") or 1)
    return channels * (cost["per_channel"] + cost["per_channel_and_tap"] * taps)
