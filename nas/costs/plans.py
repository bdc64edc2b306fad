"""What is known of an operator before it is called: whether it is recorded, taken apart or free."""

from __future__ import annotations

from typing import Any

import torch

from nas.costs.autocast import policy_of
from nas.costs.call import Rule
from nas.costs.rules import rule_for

WHOLE = frozenset(
    [
        "scaled_dot_product_attention",
        "linear",
        "lstm",
        "gru",
        "rnn_tanh",
        "rnn_relu",
        "batch_norm",
        "layer_norm",
        "group_norm",
        "instance_norm",
        "rms_norm",
        "max_pool1d",
        "max_pool2d",
        "max_pool3d",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
    ]
)
"""Compositions that runtimes have a kernel for: recorded as themselves. All others are taken apart."""
FREE = frozenset(
    [
        "empty",
        "empty_strided",
        "new_empty",
        "new_empty_strided",
        "empty_like",
        "detach",
        "detach_",
        "lift_fresh",
        "alias",
        "resize_",
        "set_",
        "_local_scalar_dense",
        "is_same_size",
        "_unsafe_view",
        "as_strided_",
        "squeeze_",
        "swapaxes_",
        "swapdims_",
        "t_",
        "transpose_",
        "unsqueeze_",
        "_has_compatible_shallow_copy_type",
        "_assert_async",
        "_assert_tensor_metadata",
        "sym_size",
        "sym_numel",
    ]
)
"""Operators that neither compute nor move data."""
WRITE_ONLY = frozenset(
    {
        "copy_",
        "fill_",
        "zero_",
        "normal_",
        "uniform_",
        "bernoulli_",
        "random_",
        "exponential_",
        "new_zeros",
        "new_ones",
        "new_full",
        "zeros_like",
        "ones_like",
        "full_like",
        "rand_like",
        "randn_like",
        "randint_like",
    }
)
"""Operators that do not read their first argument: they overwrite it, or make something like it."""
KEEP_SHAPE = frozenset(
    [
        "relu",
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "silu",
        "gelu",
        "tanh",
        "hardtanh",
        "leaky_relu",
        "elu",
        "exp",
        "sqrt",
        "rsqrt",
        "clamp",
        "neg",
        "abs",
        "square",
        "add",
        "sub",
        "mul",
        "div",
        "maximum",
        "minimum",
    ]
)
"""Operators whose output is like the largest input: on the meta device they need not run."""
LIKE_INPUT = frozenset({"batch_norm", "layer_norm", "group_norm", "rms_norm"})
"""Operators whose output is like their first argument, whatever weights they are given."""
ONE_OUTPUT = frozenset({"norm", "pool", "sdpa"})
"""Kinds whose further outputs (statistics, indices) inference does not write."""


class Plan:
    """What is known of an operator before it is called; found once for each."""

    def __init__(self, operator: Any) -> None:
        self.operator = operator
        namespace, opname = operator.namespace, operator._opname
        self.name = opname if namespace == "aten" else f"{namespace}::{opname}"
        key = "CompositeImplicitAutograd"
        has_composition = torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), key)
        self.rule: Rule | None = None if self.name in FREE else rule_for(operator)
        is_whole = self.name in WHOLE or (namespace != "aten" and self.rule is not None)
        self.is_composite = has_composition and not is_whole
        self.is_free = self.name in FREE
        self.is_linear = self.name == "linear"
        self.is_mutable = operator._schema.is_mutable
        self.is_pure = namespace == "aten" and not self.is_free and not _shares_memory(operator._schema)
        self.policy = policy_of(operator)
        self.takes_device = any(argument.name == "device" for argument in operator._schema.arguments)
        self.keeps_shape = self.name in KEEP_SHAPE
        in_place = self.name.endswith("_") and self.name[:-1] in KEEP_SHAPE
        self.keeps_input = in_place or self.name in LIKE_INPUT


def _shares_memory(schema: Any) -> bool:
    """Whether an operator writes its arguments or returns views of them."""
    return any(argument.alias_info is not None for argument in (*schema.arguments, *schema.returns))


_plans: dict[Any, Plan] = {}


def plan_of(operator: Any) -> Plan:
    """The plan of an operator; a formula may be registered later, so what has no rule is asked again."""
    plan = _plans.get(operator)
    if plan is None or (plan.rule is None and not (plan.is_composite or plan.is_free)):
        plan = _plans[operator] = Plan(operator)
    return plan
