"""What each operator computes: its kind, its multiply-adds and its arithmetic, from the shapes alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from nas.costs.call import Call, Rule, Work, elements, per_input, per_output, product
from nas.costs.rule_names import (
    ADAPTIVE_POOLS,
    COPIES,
    FACTORS,
    GATHERS,
    NORMS,
    POINTWISE,
    POOLS,
    REDUCTIONS,
    RESAMPLES,
)
from nas.costs.rules_matrix import MATRIX_RULES
from nas.costs.rules_of_plugins import rule_of_plugin


def _pool(call: Call) -> Work:
    window = call["kernel_size"]
    window = [window] if isinstance(window, int) else list(window)
    axes = int(call.name.partition("_pool")[2][0])
    taps = product(window * axes if len(window) == 1 else window)
    return Work("pool", 0, call.outputs[0].numel() * taps, (("window", taps),))


def _fft(call: Call) -> Work:
    """5 n log2 n for each complex transform of n points, half of it where one side is real."""
    source, output = call["self"], call.outputs[0]
    is_real = not (source.is_complex() and output.is_complex())
    points = output if is_real and source.is_complex() else source
    length = product([points.shape[axis] for axis in call["dim"]])
    flops = 5 * points.numel() * math.log2(max(2, length)) / (2 if is_real else 1)
    return Work("fft", round(flops / 2), round(flops), (("points", points.numel()), ("length", length)))


def _grid_sample(call: Call) -> Work:
    """Linear in each direction: two corners per axis, weighted and added."""
    corners: int = 2 ** (call["input"].ndim - 2)
    taps = corners if call["interpolation_mode"] == 0 else 1 if call["interpolation_mode"] == 1 else 16
    return Work("resample", 0, 2 * taps * call.outputs[0].numel(), (("taps", taps),))


def _resample(factor: int) -> Rule:
    """So many operations for each element; ``positions`` are those of one map."""

    def rule(call: Call) -> Work:
        output = call.outputs[0]
        dims = (("positions", product(output.shape[2:])),)
        return Work("resample", 0, factor * output.numel(), dims)

    return rule


def _norm(factor: int) -> Rule:
    """So many operations for each element; ``normalized`` are the elements that share their moments, where
    they are found at run time."""

    def rule(call: Call) -> Work:
        source = call.tensors()[0]
        shape = call.given.get("normalized_shape")
        dims = (("normalized", product(shape)),) if shape else ()
        return Work("norm", 0, factor * source.numel(), dims)

    return rule


def _distances(call: Call) -> Work:
    """All pairs of rows of two matrices: difference, power, sum."""
    return Work("reduce", 0, 3 * call.outputs[0].numel() * call["x1"].shape[-1])


def _sort(call: Call) -> Work:
    """Comparisons along one axis, or of all elements where the operator is not given one."""
    source, axis = call["self"], call.given.get("dim")
    extent = source.numel() if axis is None or not source.ndim else source.shape[axis]
    return Work("sort", 0, round(source.numel() * math.log2(max(2, extent))))


RULES: Mapping[str, Rule] = {
    **MATRIX_RULES,
    **{name: per_output("pointwise", factor) for name, factor in FACTORS.items()},
    **{name: per_output("pointwise") for name in POINTWISE},
    **{name: per_input("reduce") for name in REDUCTIONS},
    **{name: _norm(factor) for name, factor in NORMS.items()},
    **{name: per_output("copy", 0) for name in COPIES},
    **{name: per_output("gather", 0) for name in GATHERS},
    **{name: _resample(factor) for name, factor in RESAMPLES.items()},
    **{name: per_output("softmax", 5) for name in ("_softmax", "_log_softmax", "_safe_softmax")},
    **dict.fromkeys(POOLS, _pool),
    **{name: per_input("pool") for name in ADAPTIVE_POOLS},
    **dict.fromkeys(("_fft_r2c", "_fft_c2r", "_fft_c2c"), _fft),
    **dict.fromkeys(("grid_sampler_2d", "grid_sampler_3d"), _grid_sample),
    **dict.fromkeys(("sort", "argsort", "topk", "kthvalue", "median", "mode", "_unique2"), _sort),
    "_cdist_forward": _distances,
    "_euclidean_dist": _distances,
}


def rule_for(operator: Any) -> Rule | None:
    """The rule of an operator, or None where none describes it.

    In-place forms (``add_``) share that of the plain one; what torch tags as pointwise needs none of its own.
    An operator of another library is described by a plugin, or else by the formula it registered with
    `torch.utils.flop_counter`.
    """
    if operator.namespace != "aten":
        return rule_of_plugin(f"{operator.namespace}::{operator._opname}") or _registered(operator)
    name = operator._opname
    rule = RULES.get(name) or (RULES.get(name[:-1]) if name.endswith("_") else None)
    if rule is None and torch.Tag.pointwise in operator.tags:
        return per_output("pointwise")
    return rule


def _registered(operator: Any) -> Rule | None:
    from torch.utils.flop_counter import flop_registry

    formula = flop_registry.get(operator.overloadpacket)
    if formula is None:
        return None

    def rule(call: Call) -> Work:
        output = call.outputs[0] if len(call.outputs) == 1 else tuple(call.outputs)
        flops = int(formula(*call.given.values(), out_val=output))
        return Work("custom", flops // 2, flops)

    return rule


def unknown(call: Call) -> Work:
    """What is assumed of an operator without a rule: one operation for each element it reads or writes."""
    return Work("custom", 0, elements([*call.tensors(), *call.outputs]))
