"""What the products of `nas_sparse_ops.product` take: every stored value is used once for each position."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.costs.operator_rule import OperatorRule

if TYPE_CHECKING:
    from nas.costs.call import Call


def macs(call: Call) -> int:
    """Multiply-adds of a product."""
    return int(call["values"].numel() * call["dense"].shape[1])


def dims(call: Call) -> dict[str, int]:
    """The dimensions of a sparse product of which no rows share their columns."""
    dense = call["dense"]
    return {
        "batch": 1,
        "rows": call.outputs[0].shape[0],
        "columns": dense.shape[1],
        "inner": dense.shape[0],
        "nonzeros": call["values"].numel(),
        "block": 1,
    }


def block_dims(call: Call) -> dict[str, int]:
    """The same where the rows of a block share their columns."""
    return dims(call) | {"block": call["values"].shape[1]}


def grouped_dims(call: Call) -> dict[str, int]:
    """The same where the rows of a group share theirs."""
    return dims(call) | {"block": call["values"].shape[3]}


RULES = [
    OperatorRule("nas_sparse_ops::block_matmul", "sparse", macs, dims=block_dims),
    OperatorRule("nas_sparse_ops::nm_matmul", "sparse", macs, dims=dims),
    OperatorRule("nas_sparse_ops::grouped_nm_matmul", "sparse", macs, dims=grouped_dims),
]
