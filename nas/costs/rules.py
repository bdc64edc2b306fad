"""What each operator computes: its kind, its multiply-adds and its arithmetic, from the shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

Tensors = Sequence[torch.Tensor]


@dataclass(frozen=True)
class Work:
    """The kind of an operator, its multiply-adds, its arithmetic operations, and the dimensions that matter."""

    kind: str
    macs: int
    flops: int
    dims: tuple[int, ...] = ()


Rule = Callable[[tuple[Any, ...], Mapping[str, Any], Tensors], Work]
"""(arguments, keyword arguments, output tensors) → Work"""


def elements(tensors: Tensors) -> int:
    """The number of elements of all tensors."""
    return sum(tensor.numel() for tensor in tensors)


def _convolution(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
    inputs, weight = args[0], args[1]
    transposed, groups = bool(args[6]), int(args[8])
    out = outputs[0]
    positions = math.prod(inputs.shape[2:]) if transposed else math.prod(out.shape[2:])
    macs = out.shape[0] * positions * weight.numel()
    kind = "conv" if groups == 1 else "conv_depthwise" if groups == inputs.shape[1] else "conv_grouped"
    dims = (*inputs.shape[:2], out.shape[1], *weight.shape[2:], *out.shape[2:], groups)
    return Work(kind, macs, 2 * macs + (out.numel() if args[2] is not None else 0), dims)


def _matmul(first: int, second: int, kind: str) -> Rule:
    def rule(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
        a, b = args[first], args[second]
        rows = a.shape[-2] if a.ndim > 1 else 1
        inner = a.shape[-1]
        columns = b.shape[-1] if b.ndim > 1 else 1
        batch = a.shape[0] if kind == "bmm" else 1
        macs = batch * rows * inner * columns
        return Work(kind, macs, 2 * macs, (batch, rows, columns, inner))

    return rule


def _attention(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
    """softmax(Q K^T / sqrt(d)) V; a causal mask halves neither figure, since kernels differ in using it."""
    query, key, value = args[0], args[1], args[2]
    batch = math.prod(query.shape[:-2])
    length, depth, keys = query.shape[-2], query.shape[-1], key.shape[-2]
    macs = batch * length * keys * (depth + value.shape[-1])
    return Work("sdpa", macs, 2 * macs + 5 * batch * length * keys, (batch, length, keys, depth))


def _per_element(kind: str, factor: int = 1, *, by: str = "out") -> Rule:
    def rule(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
        counted = elements(outputs) if by == "out" else next(a.numel() for a in args if isinstance(a, torch.Tensor))
        return Work(kind, 0, factor * counted)

    return rule


def _pool(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
    window = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    return Work("pool", 0, outputs[0].numel() * math.prod(window or (1,)))


def _adaptive_pool(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
    return Work("pool", 0, args[0].numel())


def _fft(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
    """5 n log2 n for each complex transform of length n, half of it where one side is real."""
    source = args[0]
    axes = args[1] if len(args) > 1 else [source.ndim - 1]
    real = not (source.is_complex() and outputs[0].is_complex())
    points = max(source.numel(), outputs[0].numel())
    length = math.prod(max(source.shape[axis], outputs[0].shape[axis]) for axis in axes)
    flops = 5 * points * max(1.0, math.log2(max(2, length)))
    return Work("fft", 0, round(flops / 2 if real else flops), (points, length))


def _grid_sample(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
    corners = 2 ** (args[0].ndim - 2)
    return Work("resample", 0, outputs[0].numel() * 2 * corners)


def _recurrent(gates: int) -> Rule:
    """LSTM, GRU and plain recurrent layers: every weight is used once for each step of each sample."""

    def rule(args: tuple[Any, ...], kwargs: Mapping[str, Any], outputs: Tensors) -> Work:
        steps = args[0].numel() // args[0].shape[-1]
        weights = [w for a in args if isinstance(a, list | tuple) for w in a if isinstance(w, torch.Tensor) and w.ndim == 2]
        macs = steps * sum(weight.numel() for weight in weights)
        return Work("rnn", macs, 2 * macs + 3 * gates * elements(outputs[:1]), (steps, len(weights)))

    return rule


RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "mm": _matmul(0, 1, "gemm"),
    "addmm": _matmul(1, 2, "gemm"),
    "mv": _matmul(0, 1, "gemm"),
    "addmv": _matmul(1, 2, "gemm"),
    "dot": _matmul(0, 1, "gemm"),
    "bmm": _matmul(0, 1, "bmm"),
    "baddbmm": _matmul(1, 2, "bmm"),
    "scaled_dot_product_attention": _attention,
    "native_batch_norm": _per_element("norm", 4, by="in"),
    "_native_batch_norm_legit_no_training": _per_element("norm", 4, by="in"),
    "_native_batch_norm_legit": _per_element("norm", 4, by="in"),
    "cudnn_batch_norm": _per_element("norm", 4, by="in"),
    "native_layer_norm": _per_element("norm", 8, by="in"),
    "native_group_norm": _per_element("norm", 8, by="in"),
    "_fused_rms_norm": _per_element("norm", 6, by="in"),
    "_softmax": _per_element("softmax", 5),
    "_safe_softmax": _per_element("softmax", 5),
    "_log_softmax": _per_element("softmax", 5),
    "avg_pool1d": _pool,
    "avg_pool2d": _pool,
    "avg_pool3d": _pool,
    "max_pool2d_with_indices": _pool,
    "max_pool3d_with_indices": _pool,
    "_adaptive_avg_pool2d": _adaptive_pool,
    "_adaptive_avg_pool3d": _adaptive_pool,
    "adaptive_max_pool2d": _adaptive_pool,
    "_fft_r2c": _fft,
    "_fft_c2r": _fft,
    "_fft_c2c": _fft,
    "grid_sampler_2d": _grid_sample,
    "grid_sampler_3d": _grid_sample,
    "lstm": _recurrent(4),
    "gru": _recurrent(3),
    "rnn_tanh": _recurrent(1),
    "rnn_relu": _recurrent(1),
}

_REDUCTIONS = ("sum", "mean", "amax", "amin", "max", "min", "argmax", "argmin", "prod", "all", "any", "var", "std",
               "var_mean", "std_mean", "norm", "linalg_vector_norm", "cumsum", "cumprod", "logsumexp", "median", "topk",
               "sort", "nansum", "count_nonzero")  # fmt: skip
_COPIES = ("clone", "copy_", "_to_copy", "cat", "stack", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d",
           "replication_pad1d", "replication_pad2d", "roll", "flip", "repeat", "contiguous", "fill_", "zeros_like",
           "ones_like", "full_like", "empty_like", "zeros", "ones", "full", "arange", "pixel_shuffle", "pixel_unshuffle",
           "channel_shuffle", "tril", "triu", "im2col", "col2im", "new_zeros", "new_ones", "new_full", "rot90",
           "repeat_interleave", "eye", "linspace", "scalar_tensor")  # fmt: skip
_GATHERS = ("index", "index_select", "gather", "scatter", "scatter_add", "embedding", "index_put", "index_put_",
            "index_add", "take_along_dim", "masked_fill", "masked_select", "_unsafe_index")  # fmt: skip
_RESAMPLES = ("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_bilinear2d", "upsample_bicubic2d",
              "_upsample_bilinear2d_aa", "upsample_linear1d", "upsample_trilinear3d")  # fmt: skip
_FACTORS: Mapping[str, int] = {
    "gelu": 14, "silu": 5, "sigmoid": 4, "tanh": 6, "exp": 2, "log": 2, "erf": 8, "hardswish": 4, "hardsigmoid": 3,
    "mish": 10, "softplus": 5, "elu": 4, "pow": 2, "sqrt": 2, "rsqrt": 2, "sin": 4, "cos": 4, "hardtanh": 2,
    "clamp": 2, "lerp": 3, "addcmul": 2, "addcdiv": 2, "leaky_relu": 2, "celu": 4, "selu": 4, "log_sigmoid_forward": 5,
}  # fmt: skip
_POINTWISE = ("add", "sub", "rsub", "mul", "div", "neg", "abs", "relu", "maximum", "minimum", "where", "sign", "square",
              "reciprocal", "floor", "ceil", "round", "trunc", "frac", "eq", "ne", "lt", "le", "gt", "ge", "logical_and",
              "logical_or", "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "threshold", "prelu",
              "_prelu_kernel", "remainder", "fmod", "atan2", "log1p", "expm1", "isnan", "isfinite", "isinf", "clamp_min",
              "clamp_max", "polar", "complex", "native_dropout", "dropout", "bernoulli", "rand", "randn", "rand_like",
              "randn_like", "floor_divide", "copysign", "hypot", "nan_to_num", "sinc", "softshrink", "hardshrink")  # fmt: skip

RULES |= {name: _per_element("reduce", by="in") for name in _REDUCTIONS}
RULES |= {name: _per_element("copy", 0) for name in _COPIES}
RULES |= {name: _per_element("gather", 0) for name in _GATHERS}
RULES |= {name: _per_element("resample", 8) for name in _RESAMPLES}
RULES |= {name: _per_element("pointwise", factor) for name, factor in _FACTORS.items()}
RULES |= {name: _per_element("pointwise") for name in _POINTWISE}


def rule_for(name: str) -> Rule | None:
    """The rule of an operator; in-place forms (``add_``) share that of the plain one."""
    return RULES.get(name) or RULES.get(name.rstrip("_"))
