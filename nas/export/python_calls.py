"""Calls of a `torch.export` graph as Python expressions that a person would write."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx

from nas.errors import ExportError

# aten name → how many leading arguments mean the same in torch.nn.functional
FUNCTIONAL = {
    "adaptive_avg_pool2d": 2, "avg_pool2d": 7, "conv1d": 7, "conv2d": 7, "conv3d": 7, "elu": 2, "gelu": 1,
    "group_norm": 5, "hardsigmoid": 1, "hardswish": 1, "hardtanh": 3, "layer_norm": 5, "leaky_relu": 2,
    "linear": 3,
    "max_pool2d": 6, "mish": 1, "pixel_shuffle": 2, "relu": 1, "relu6": 1, "scaled_dot_product_attention": 6,
    "silu": 1, "softplus": 3,
}  # fmt: skip
# aten name → how many leading arguments, self included, mean the same in a method of a tensor
METHODS = {
    "abs": 1, "amax": 3, "amin": 3, "chunk": 3, "clamp": 3, "contiguous": 1, "exp": 1, "expand": 2,
    "flatten": 3, "gather": 3, "log": 1, "logical_not": 1, "masked_fill": 3, "mean": 3, "narrow": 4,
    "neg": 1, "permute": 2, "pow": 2, "reciprocal": 1, "reshape": 2, "rsqrt": 1, "select": 3, "sigmoid": 1,
    "softmax": 2, "split": 3, "sqrt": 1, "square": 1, "squeeze": 2, "sum": 3, "tanh": 1, "transpose": 3,
    "unbind": 2, "unflatten": 3, "unsqueeze": 2, "view": 2,
}  # fmt: skip
TORCH = {"cat": 2, "einsum": 2, "maximum": 2, "minimum": 2, "stack": 2, "where": 3}
INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "matmul": "@"}
# trailing arguments that only choose a back end
IGNORED = {"layer_norm": 5, "group_norm": 5}
NOTHING = {"dropout", "detach", "alias", "lift_fresh_copy", "detach_"}
CHECKS = {
    "_assert_scalar",
    "_assert_tensor_metadata",
    "_assert_async",
    "sym_constrain_range",
    "sym_constrain_range_for_size",
}
_OPERATORS = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.floordiv: "//", operator.truediv: "/",
    operator.mod: "%", operator.pow: "**", operator.eq: "==", operator.ne: "!=", operator.lt: "<",
    operator.le: "<=", operator.gt: ">", operator.ge: ">=",
}  # fmt: skip

Names = Callable[[fx.Node], str]
"""What a value of the graph is called in the code."""


def operator_name(node: fx.Node) -> str:
    """The bare name of an aten operator: ``conv2d``; empty for anything else."""
    target = node.target
    return target._schema.name.partition("::")[2] if isinstance(target, torch._ops.OpOverload) else ""


def is_check(node: fx.Node) -> bool:
    """Whether a call only checks what export assumed, and gives nothing."""
    name = operator_name(node)
    return name in CHECKS or (not node.users and node.target in _OPERATORS)


def passes_through(node: fx.Node) -> bool:
    """Whether a call gives its first argument back, such as a dropout that is off."""
    name = operator_name(node)
    return name in NOTHING and (name != "dropout" or node.args[2:3] == (False,))


def call(node: fx.Node, names: Names) -> str:
    """The expression of one call; ExportError for what cannot be written as a call."""
    target = node.target
    if target in _OPERATORS:
        left, right = (literal(a, names) for a in node.args)
        return f"{left} {_OPERATORS[target]} {right}"
    if target is operator.getitem:
        return f"{literal(node.args[0], names)}[{literal(node.args[1], names)}]"
    if not isinstance(target, torch._ops.OpOverload):
        raise ExportError(
            f"the network uses {getattr(target, '__name__', target)!r}, which plain Python code cannot hold"
        )
    return _aten_call(operator_name(node), target, node, names)


def _aten_call(name: str, target: torch._ops.OpOverload, node: fx.Node, names: Names) -> str:
    args, kwargs = list(node.args), dict(node.kwargs)
    if target.namespace == "aten":
        args = args[: IGNORED.get(name, len(args))]
        if name == "sym_size":
            return f"{literal(args[0], names)}.shape[{args[1]}]"
        if name in INFIX and len(args) == 2 and not kwargs:
            return f"{literal(args[0], names)} {INFIX[name]} {literal(args[1], names)}"
        for table, pattern in ((FUNCTIONAL, "F.{name}({all})"), (TORCH, "torch.{name}({all})")):
            if len(args) <= table.get(name, -1):
                return pattern.format(name=name, all=_arguments(args, kwargs, names))
        if 0 < len(args) <= METHODS.get(name, -1):
            return f"{literal(args[0], names)}.{name}({_arguments(args[1:], kwargs, names)})"
    path = f"torch.ops.{target.namespace}.{name}.{target._overloadname}"
    return f"{path}({_arguments(args, kwargs, names)})"


def _arguments(args: list[Any], kwargs: Mapping[str, Any], names: Names) -> str:
    parts = [literal(a, names) for a in args] + [f"{key}={literal(v, names)}" for key, v in kwargs.items()]
    return ", ".join(parts)


def literal(value: Any, names: Names) -> str:
    """An argument as source text."""
    if isinstance(value, fx.Node):
        return names(value)
    if isinstance(value, list | tuple):
        inner = ", ".join(literal(item, names) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' if len(value) == 1 else ''})"
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        return f'float("{value}")'
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    if isinstance(value, torch.dtype | torch.memory_format | torch.layout):
        return str(value)
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    raise ExportError(f"the network passes a {type(value).__name__} that plain Python code cannot hold")
