"""Rules of matrix work: convolutions, matrix products, attention, recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from nas.costs.call import Call, Rule, Work, product, spread
from nas.costs.tensors import number_bytes

FUSED_DIMENSIONS = 4
"""The dimensions of the queries that torch has fused attention for: batch, heads, positions, depth."""


def _convolution(call: Call) -> Work:
    """Every weight is used once for each position: of the output, or of the input where it is transposed."""
    inputs, weight, output = call["input"], call["weight"], call.outputs[0]
    transposed, groups = bool(call["transposed"]), int(call["groups"])
    positions = product((inputs if transposed else output).shape[2:])
    batch = inputs.shape[0] if inputs.ndim == weight.ndim else 1
    channels = inputs.shape[-weight.ndim + 1]
    macs = batch * positions * weight.numel()
    kind = "conv" if groups == 1 else "conv_depthwise" if groups == channels else "conv_grouped"
    dims = (
        ("batch", batch),
        ("in_channels", channels),
        ("out_channels", output.shape[-weight.ndim + 1]),
        ("groups", groups),
        ("transposed", int(transposed)),
        *spread("kernel", weight.shape[2:]),
        *spread("stride", call["stride"]),
        *spread("dilation", call["dilation"]),
        *spread("out", output.shape[2 - weight.ndim :]),
    )
    return Work(kind, macs, 2 * macs, dims)


def _product(first: str, second: str, kind: str) -> Rule:
    """A matrix product of two arguments: (batch,) rows × inner times inner × columns."""

    def rule(call: Call) -> Work:
        a, b = call[first], call[second]
        sparse = next((t for t in (a, b) if t.layout is not torch.strided), None)
        rows = a.shape[-2] if a.ndim > 1 else 1
        columns = b.shape[-1] if b.ndim > 1 else 1
        batch = a.shape[0] if kind == "bmm" else 1
        dims = (("batch", batch), ("rows", rows), ("columns", columns), ("inner", a.shape[-1]))
        if sparse is not None:
            macs = stored_values(sparse) * (columns if sparse is a else rows)
            stored = (("nonzeros", stored_values(sparse)), ("block", _block_rows(sparse)))
            return Work("sparse", macs, 2 * macs, (*dims, *stored))
        macs = batch * rows * columns * a.shape[-1]
        return Work(kind, macs, 2 * macs, dims)

    return rule


def stored_values(tensor: torch.Tensor) -> int:
    """The numbers that a sparse tensor holds."""
    values = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
    return values.numel()


def _block_rows(tensor: torch.Tensor) -> int:
    """How many rows of a sparse matrix share their columns because it is stored in blocks."""
    in_blocks = tensor.layout in (torch.sparse_bsr, torch.sparse_bsc)
    return tensor.values().shape[-2] if in_blocks else 1


def _linear(call: Call) -> Work:
    inputs, weight = call["input"], call["weight"]
    rows = product(inputs.shape[:-1])
    columns = weight.shape[0] if weight.ndim > 1 else 1
    macs = rows * columns * inputs.shape[-1]
    return Work(
        "gemm",
        macs,
        2 * macs,
        (("batch", 1), ("rows", rows), ("columns", columns), ("inner", inputs.shape[-1])),
    )


def as_linear(work: Work) -> Work:
    """A batch of products with the same matrix, which is a linear layer though it runs as a batch."""
    return replace(work, kind="gemm")


def _attention(call: Call) -> Work:
    """softmax(Q K^T / sqrt(d)) V over all pairs; ``causal`` tells that half of them are masked, if so.

    Torch's kernels that never write the scores take four dimensions; it composes attention over any others,
    with scores in memory: ``fused`` is 0.
    """
    query, key, value = call["query"], call["key"], call["value"]
    batch, heads = product(query.shape[:-3]), query.shape[-3] if query.ndim > 2 else 1
    queries, keys, depth = query.shape[-2], key.shape[-2], query.shape[-1]
    macs = batch * heads * queries * keys * (depth + value.shape[-1])
    dims = (
        ("batch", batch),
        ("heads", heads),
        ("queries", queries),
        ("keys", keys),
        ("depth", depth),
        ("value_depth", value.shape[-1]),
        ("causal", int(bool(call.given.get("is_causal")))),
        ("mask", int(isinstance(call.given.get("attn_mask"), torch.Tensor))),
        ("fused", int(query.ndim == FUSED_DIMENSIONS)),
    )
    work = Work("sdpa", macs, 2 * macs, dims)
    if query.ndim == FUSED_DIMENSIONS:
        return work
    pairs = batch * heads * queries * keys
    return _composed(call, work, scores=pairs * number_bytes(query.dtype, call.width))


def _composed(call: Call, work: Work, scores: int) -> Work:
    """Attention by parts: it copies its inputs, and holds the scores (bytes) before and after the softmax."""
    given = sum(call.bytes(tensor) for tensor in call.tensors())
    moved = 2 * given + 2 * scores, given + 2 * scores + call.bytes(call.outputs[0])
    return replace(work, moved=moved, held=2 * scores)


def _recurrent(call: Call) -> Work:
    """LSTM, GRU and plain recurrent layers: each matrix is used once for each step of each sample.

    A pass is a layer in one direction; `recurrent` are the numbers of the matrices that wait for the step
    before. Of packed sequences, which differ in length, the batch is that of a step in the middle.
    """
    inputs = call.given.get("input", call.given.get("data"))
    assert isinstance(inputs, torch.Tensor)
    params, rows = call["params"], product(inputs.shape[:-1])
    matrices = [weight for weight in params if weight.ndim == 2]
    passes = call.given["num_layers"] * (1 + bool(call.given.get("bidirectional")))
    first = params[:: len(params) // passes]
    numbers = sum(weight.numel() for weight in matrices)
    steps = _steps(call, inputs)
    dims = (
        ("batch", max(1, rows // max(1, steps))),
        ("steps", steps),
        ("inputs", inputs.shape[-1]),
        ("hidden", call.outputs[0].shape[-1]),
        ("matrices", len(matrices)),
        ("passes", passes),
        ("recurrent", numbers - sum(weight.numel() for weight in first)),
    )
    return Work("rnn", rows * numbers, 2 * rows * numbers, dims)


def _steps(call: Call, inputs: torch.Tensor) -> int:
    """The steps of a recurrent layer: packed sequences come with the batch of each."""
    if "batch_sizes" in call.given:
        return int(call["batch_sizes"].numel())
    return int(inputs.shape[1 if call.given.get("batch_first") else 0])


def _trilinear(call: Call) -> Work:
    """The bilinear layer: every output sums over all pairs of inputs."""
    macs = product(call["i1"].shape[:1]) * call["i2"].numel()
    return Work("bmm", macs, 2 * macs)


_gemm = _product("self", "mat2", "gemm")
MATRIX_RULES: Mapping[str, Rule] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "mm": _gemm,
    "_int_mm": _gemm,
    "_scaled_mm": _gemm,
    "addmm": _product("mat1", "mat2", "gemm"),
    "mv": _product("self", "vec", "gemm"),
    "addmv": _product("mat", "vec", "gemm"),
    "dot": _product("self", "tensor", "gemm"),
    "vdot": _product("self", "other", "gemm"),
    "bmm": _product("self", "mat2", "bmm"),
    "baddbmm": _product("batch1", "batch2", "bmm"),
    "addbmm": _product("batch1", "batch2", "bmm"),
    "_sparse_mm": _product("sparse", "dense", "gemm"),
    "_sparse_addmm": _product("mat1", "mat2", "gemm"),
    "linear": _linear,
    "scaled_dot_product_attention": _attention,
    "_trilinear": _trilinear,
    "lstm": _recurrent,
    "gru": _recurrent,
    "rnn_tanh": _recurrent,
    "rnn_relu": _recurrent,
}
