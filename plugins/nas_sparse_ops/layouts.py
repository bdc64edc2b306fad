"""How the kept weights of a matrix are stored, and back.

A matrix on the meta device is packed into tensors without data: their shapes follow from the pattern alone,
so that a network is priced before it has weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import comb

import torch
from torch import Tensor

from nas_sparse_ops.sparsifiers import check_nm, check_nmg, pattern_table, patterns

INDEX_BYTES = 4
PLACE_BYTES = 1
SMALL_CHUNK = 256
"""Rows of a chunk up to which an order takes one byte for each."""


@dataclass(frozen=True)
class Packed:
    """A sparse matrix (rows, inner): the tensors of its layout, of which "values" are the kept weights."""

    layout: str
    shape: tuple[int, int]
    tensors: Mapping[str, Tensor]
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def values(self) -> Tensor:
        """The kept weights."""
        return self.tensors["values"]

    @property
    def storage_bytes(self) -> int:
        """What its tensors take."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors.values())


def pack_dense(weight: Tensor, mask: Tensor) -> Packed:
    """Every weight, zeros where the mask has none."""
    return Packed("dense", _shape(weight), {"values": weight * mask})


def unpack_dense(packed: Packed) -> Tensor:
    """The matrix."""
    return packed.values


def dense_bytes(rows: int, inner: int, *, item: int = 4) -> int:
    """Bytes of the dense layout."""
    return rows * inner * item


def pack_blocks(weight: Tensor, mask: Tensor, *, block: int = 1, kept: int | None = None) -> Packed:
    """Blocks of `block` rows by one column, block row by block row: CSR where `block` is 1.

    A block is stored where the mask keeps any of it. `kept` is their number, which the meta device needs.
    """
    rows, inner = _shape(weight)
    if weight.is_meta:
        assert kept is not None
        values, columns = weight.new_empty(kept, block), _empty(weight, torch.int32, kept)
        offsets = _empty(weight, torch.int32, rows // block + 1)
    else:
        stored = mask.reshape(rows // block, block, inner).any(1)
        masked = (weight * mask).reshape(rows // block, block, inner).transpose(1, 2)
        values, columns = masked[stored], stored.nonzero()[:, 1].int()
        offsets = torch.nn.functional.pad(stored.sum(1).cumsum(0), (1, 0)).int()
    tensors = {"values": values, "columns": columns, "offsets": offsets}
    return Packed("blocks", (rows, inner), tensors, {"block": block})


def unpack_blocks(packed: Packed) -> Tensor:
    """The matrix, by operators that export formats carry."""
    values, columns, offsets = (packed.tensors[name] for name in ("values", "columns", "offsets"))
    rows, inner = packed.shape
    count, block = values.shape
    numbers = torch.arange(count, device=values.device).unsqueeze(1)
    block_rows = (numbers >= offsets[1:-1].long()).long().sum(1)
    at = (block_rows * inner + columns.long()).unsqueeze(1).expand(-1, block)
    flat = values.new_zeros(rows // block * inner, block).scatter(0, at, values)
    return flat.reshape(rows // block, inner, block).transpose(1, 2).reshape(rows, inner)


def block_bytes(rows: int, inner: int, *, kept: int, block: int = 1, item: int = 4) -> int:
    """Bytes of `kept` blocks: their values, a column each, and where each block row begins."""
    return kept * (block * item + INDEX_BYTES) + (rows // block + 1) * INDEX_BYTES


def pack_nm(weight: Tensor, mask: Tensor, *, n: int, m: int) -> Packed:
    """n values of every m columns, and their places in a byte each."""
    rows, inner = _shape(weight)
    check_nm((rows, inner), n, m)
    shape = (rows, inner // m, n)
    places = _empty(weight, torch.uint8, *shape) if weight.is_meta else _places(mask, n, m).reshape(shape)
    values = weight.reshape(rows, -1, m).gather(-1, places.long())
    return Packed("nm", (rows, inner), {"values": values, "places": places}, {"n": n, "m": m})


def unpack_nm(packed: Packed) -> Tensor:
    """The matrix."""
    values, places = packed.values, packed.tensors["places"]
    spread = values.new_zeros(*values.shape[:2], packed.options["m"])
    return spread.scatter(-1, places.long(), values).reshape(packed.shape)


def nm_bytes(rows: int, inner: int, *, n: int, m: int, item: int = 4) -> int:
    """Bytes of an n:m matrix: a value and a place for each that is kept."""
    return rows * inner // m * n * (item + PLACE_BYTES)


def pack_nmg(weight: Tensor, mask: Tensor, *, n: int, m: int, g: int) -> Packed:
    """Values sorted by pattern, the row of its chunk that each belongs to, and the patterns once.

    ValueError where the mask does not hold each pattern exactly `g` times in every chunk.
    """
    rows, inner = _shape(weight)
    check_nmg((rows, inner), n, m, g)
    count = comb(m, n)
    shape = (rows // (count * g), inner // m, count, g)
    kind = torch.uint8 if count * g <= SMALL_CHUNK else torch.int32
    table = torch.tensor(patterns(n, m), dtype=torch.uint8, device=weight.device)
    order = _empty(weight, kind, *shape) if weight.is_meta else _order(mask, shape, n, m).to(kind)
    by_chunk = weight.reshape(shape[0], count * g, -1, m).transpose(1, 2)
    rows_of = order.flatten(2).long().unsqueeze(-1).expand(-1, -1, -1, m)
    sorted_rows = by_chunk.gather(2, rows_of).reshape(*shape, m)
    at = table.long().reshape(1, 1, count, 1, n).expand(*shape, n)
    tensors = {"values": sorted_rows.gather(-1, at), "order": order, "patterns": table}
    return Packed("nmg", (rows, inner), tensors, {"n": n, "m": m, "g": g})


def unpack_nmg(packed: Packed) -> Tensor:
    """The matrix."""
    values, order, table = (packed.tensors[name] for name in ("values", "order", "patterns"))
    chunks, groups, count, g, n = values.shape
    m = packed.options["m"]
    at = table.long().reshape(1, 1, count, 1, n).expand(values.shape)
    spread = values.new_zeros(chunks, groups, count, g, m).scatter(-1, at, values).flatten(2, 3)
    rows_of = order.flatten(2).long().unsqueeze(-1).expand(-1, -1, -1, m)
    by_chunk = torch.zeros_like(spread).scatter(2, rows_of, spread)
    return by_chunk.transpose(1, 2).reshape(packed.shape)


def nmg_bytes(rows: int, inner: int, *, n: int, m: int, g: int, item: int = 4) -> int:
    """Bytes of an n:m:g matrix: values, a row number for each group of a row, and the table of patterns."""
    count = comb(m, n)
    order = 1 if count * g <= SMALL_CHUNK else INDEX_BYTES
    return rows * inner // m * (n * item + order) + count * n * PLACE_BYTES


def _shape(weight: Tensor) -> tuple[int, int]:
    rows, inner = weight.shape
    return rows, inner


def _empty(like: Tensor, kind: torch.dtype, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=kind, device=like.device)


def _places(mask: Tensor, n: int, m: int) -> Tensor:
    """The columns kept in every group of m, in order; ValueError where they are not n."""
    grouped = mask.reshape(-1, m)
    if not bool((grouped.sum(1) == n).all()):
        raise ValueError(f"the mask does not keep {n} of every {m} columns")
    return grouped.nonzero()[:, 1].to(torch.uint8)


def _order(mask: Tensor, shape: tuple[int, ...], n: int, m: int) -> Tensor:
    """For each chunk and group of columns its rows sorted by pattern, (chunks, groups, patterns, g)."""
    chunks, groups, count, g = shape
    table = pattern_table(n, m).to(mask.device)
    by_chunk = mask.reshape(chunks, count * g, groups, m).transpose(1, 2)
    hits = (by_chunk.unsqueeze(-2) == table).all(-1)
    if not bool((hits.sum(-2) == g).all()):
        raise ValueError(f"the mask does not hold each {n}:{m} pattern {g} times in every chunk of rows")
    return hits.int().argmax(-1).argsort(dim=-1, stable=True).reshape(shape)
