"""How large tensors are: in the precision a network is deployed in, and as the memory they share."""

from __future__ import annotations

from typing import Any

import torch

HALVES = (torch.float16, torch.bfloat16, torch.complex32)


def number_bytes(dtype: torch.dtype, width: int | None) -> int:
    """Bytes of one number where one real number takes `width`: complex ones take twice that, integers their
    own. Without a width all take their own, double precision that of single."""
    if width is None:
        width = 2 if dtype in HALVES else 4
    if dtype.is_floating_point:
        return width
    return 2 * width if dtype.is_complex else dtype.itemsize


def distinct_elements(tensor: torch.Tensor) -> int:
    """The elements that differ in memory: an expanded dimension counts once."""
    if tensor.layout is not torch.strided or tensor.is_contiguous():
        return tensor.numel()
    count = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        count *= size if stride else min(size, 1)
    return count


def tensor_bytes(tensor: torch.Tensor, width: int | None) -> int:
    """Bytes of the elements of a tensor; of a sparse one, of its values and indices."""
    if tensor.layout is not torch.strided:
        return sum(tensor_bytes(part, width) for part in sparse_parts(tensor))
    return distinct_elements(tensor) * number_bytes(tensor.dtype, width)


def sparse_parts(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The tensors that a sparse tensor is made of."""
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices(), tensor._values()]
    by_row = tensor.layout in (torch.sparse_csr, torch.sparse_bsr)
    outer: Any = tensor.crow_indices() if by_row else tensor.ccol_indices()
    inner: Any = tensor.col_indices() if by_row else tensor.row_indices()
    return [outer, inner, tensor.values()]


def memory_key(tensor: torch.Tensor) -> int:
    """What all views of one memory share. Valid while one of them is alive."""
    if tensor.layout is not torch.strided:
        return id(tensor)
    return int(tensor.untyped_storage()._cdata)


def memory_bytes(tensor: torch.Tensor, width: int | None) -> int:
    """Bytes of the whole memory behind a tensor."""
    if tensor.layout is not torch.strided:
        return tensor_bytes(tensor, width)
    numbers = tensor.untyped_storage().nbytes() // max(1, tensor.dtype.itemsize)
    return numbers * number_bytes(tensor.dtype, width)
