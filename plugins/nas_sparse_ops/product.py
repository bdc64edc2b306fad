"""Products of a sparse matrix with a dense one, as operators that the cost trace sees whole.

The patterns are those of `nas_sparse_ops.layouts`. Each product runs as CSR (torch.sparse) on the stored
values alone; on the meta device only its shape is found, which is how a network is priced before it has
weights.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

SPARSE_TYPES = (torch.float32, torch.float64)
"""Types that sparse products exist for on every device; others are computed in float32."""


def _take_note() -> None:
    """Makes a sparse tensor, so that what torch says once per process about their youth is said unheard."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        none = torch.zeros(1, dtype=torch.int32, device="cpu")
        torch.sparse_csr_tensor(none, none[:0], none[:0].float(), (0, 1), check_invariants=False)


_take_note()


@torch.library.custom_op(
    "nas_sparse_ops::block_matmul",
    mutates_args=(),
    schema="(Tensor values, Tensor columns, Tensor offsets, Tensor dense) -> Tensor",
)
def block_matmul(values: Tensor, columns: Tensor, offsets: Tensor, dense: Tensor) -> Tensor:
    """A matrix of b×1 blocks times `dense` (inner, positions), to (rows, positions).

    `values` (blocks, b) holds them block row by block row, `columns` (blocks,) where each stands, `offsets`
    (rows / b + 1,) where each block row begins: CSR for b = 1. The b rows of a block row share their columns.
    """
    parts = [csr_product(offsets, columns, part, dense) for part in values.unbind(1)]
    return parts[0] if len(parts) == 1 else torch.stack(parts, 1).flatten(0, 1)


@torch.library.custom_op(
    "nas_sparse_ops::nm_matmul",
    mutates_args=(),
    schema="(Tensor values, Tensor places, int m, Tensor dense) -> Tensor",
)
def nm_matmul(values: Tensor, places: Tensor, m: int, dense: Tensor) -> Tensor:
    """An n:m matrix times `dense` (inner, positions), to (rows, positions).

    `values` (rows, inner / m, n) are what each m columns keep, `places` (uint8, same shape) their places.
    """
    rows, groups, n = values.shape
    columns = places.int() + m * torch.arange(groups, device=places.device).int().reshape(-1, 1)
    offsets = groups * n * torch.arange(rows + 1, device=places.device).int()
    return csr_product(offsets, columns.flatten(), values.flatten(), dense)


@torch.library.custom_op(
    "nas_sparse_ops::grouped_nm_matmul",
    mutates_args=(),
    schema="(Tensor values, Tensor order, Tensor patterns, int m, Tensor dense) -> Tensor",
)
def grouped_nm_matmul(values: Tensor, order: Tensor, patterns: Tensor, m: int, dense: Tensor) -> Tensor:
    """An n:m:g matrix times `dense` (inner, positions), to (rows, positions).

    `values` (chunks, inner / m, patterns, g, n) are sorted by pattern, `order` (chunks, inner / m,
    patterns, g) says which row of its chunk each belongs to, `patterns` (patterns, n) are the places kept.
    """
    places = patterns.reshape(1, 1, len(patterns), 1, -1).expand(values.shape)
    by_row = torch.argsort(order.flatten(2), dim=-1).unsqueeze(-1).expand(-1, -1, -1, values.shape[-1])
    kept, at = (part.flatten(2, 3).gather(2, by_row).transpose(1, 2) for part in (values, places))
    product: Tensor = nm_matmul(kept.flatten(0, 1), at.flatten(0, 1), m, dense)
    return product


def csr_product(offsets: Tensor, columns: Tensor, values: Tensor, dense: Tensor) -> Tensor:
    """A CSR matrix times a dense one, in the type of the dense one."""
    kind = dense.dtype if dense.dtype in SPARSE_TYPES else torch.float32
    size = (len(offsets) - 1, len(dense))
    matrix = torch.sparse_csr_tensor(
        offsets, columns, values.to(kind).contiguous(), size, check_invariants=False
    )
    with torch.autocast(dense.device.type, enabled=False):
        product: Tensor = matrix @ dense.to(kind).contiguous()
    return product.to(dense.dtype)


@block_matmul.register_fake
def _(values: Tensor, columns: Tensor, offsets: Tensor, dense: Tensor) -> Tensor:
    return dense.new_empty(((len(offsets) - 1) * values.shape[1], dense.shape[1]))


@nm_matmul.register_fake
def _(values: Tensor, places: Tensor, m: int, dense: Tensor) -> Tensor:
    return dense.new_empty((len(values), dense.shape[1]))


@grouped_nm_matmul.register_fake
def _(values: Tensor, order: Tensor, patterns: Tensor, m: int, dense: Tensor) -> Tensor:
    return dense.new_empty((order.numel() // order.shape[1], dense.shape[1]))
