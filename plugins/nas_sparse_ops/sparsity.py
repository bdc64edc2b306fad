"""Sparsity as three independent choices: which weights are kept, how they are stored, what runs on them.

The programming model of STen (arXiv:2304.07613): sparsifiers, layouts and operators are registered apart from
each other, and an operator that nobody wrote for a layout runs on the dense matrix, with one warning::

    matrix = DEFAULT.pack(weight, "nmg", "nmg", n=2, m=4, g=4)
    product = DEFAULT.run("matmul", matrix, x)
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nas.errors import UnknownNameError
from nas_sparse_ops import layouts, product, sparsifiers
from nas_sparse_ops.layouts import Packed


class SparsityWarning(UserWarning):
    """An operator runs on a dense copy because it does not know a layout."""


@dataclass(frozen=True)
class Sparsifier:
    """Which weights are kept: ``mask(weight, **options)`` gives a bool mask of its shape."""

    name: str
    mask: Callable[..., Tensor]


@dataclass(frozen=True)
class Layout:
    """How a masked matrix is stored: ``pack(weight, mask, **options)``, ``unpack(packed)``, and the bytes it
    takes by formula, ``storage_bytes(rows, inner, **options, item=...)``."""

    name: str
    pack: Callable[..., Packed]
    unpack: Callable[[Packed], Tensor]
    storage_bytes: Callable[..., int]


@dataclass(frozen=True)
class Operator:
    """An implementation of the operator `name` whose first argument has this layout."""

    name: str
    layout: str
    run: Callable[..., Tensor]


@dataclass(frozen=True)
class Format:
    """What the result of an operator is made into: the names of a sparsifier and a layout, and options."""

    sparsifier: str
    layout: str
    options: Mapping[str, Any] = field(default_factory=dict)


class Sparsity:
    """Sparsifiers, layouts and operators by name; `add` registers one, and replaces one of the same name."""

    def __init__(self, items: Iterable[Sparsifier | Layout | Operator] = ()) -> None:
        self.sparsifiers: dict[str, Sparsifier] = {}
        self.layouts: dict[str, Layout] = {}
        self.operators: dict[tuple[str, str], Operator] = {}
        self._warned: set[tuple[str, str]] = set()
        for item in items:
            self.add(item)

    def add(self, item: Sparsifier | Layout | Operator) -> None:
        """Registers a sparsifier, a layout or an operator."""
        if isinstance(item, Sparsifier):
            self.sparsifiers[item.name] = item
        elif isinstance(item, Layout):
            self.layouts[item.name] = item
        else:
            self.operators[item.name, item.layout] = item

    def mask(self, weight: Tensor, sparsifier: str, **options: Any) -> Tensor:
        """The mask of a sparsifier; options that it does not take are those of a layout."""
        found = _named(self.sparsifiers, sparsifier, "sparsifier")
        mask: Tensor = found.mask(weight, **_taken(found.mask, options))
        return mask

    def pack(self, weight: Tensor, sparsifier: str, layout: str, **options: Any) -> Packed:
        """A matrix (rows, inner) sparsified and stored."""
        mask = self.mask(weight, sparsifier, **options)
        found = _named(self.layouts, layout, "layout")
        packed: Packed = found.pack(weight, mask, **_taken(found.pack, options))
        return packed

    def unpack(self, packed: Packed) -> Tensor:
        """The dense matrix, zeros where nothing is kept."""
        layout: Layout = _named(self.layouts, packed.layout, "layout")
        return layout.unpack(packed)

    def run(
        self, name: str, matrix: Packed, *arguments: Any, output: Format | None = None
    ) -> Tensor | Packed:
        """The operator on a packed matrix, by the implementation for its layout or else on the dense matrix.

        With `output` the result is sparsified and stored again.
        """
        operator = self.operators.get((name, matrix.layout))
        if operator is not None:
            result = operator.run(matrix, *arguments)
        else:
            result = self._dense(name, matrix.layout).run(
                layouts.pack_dense(self.unpack(matrix), torch.ones((), device=matrix.values.device)),
                *arguments,
            )
        if output is None:
            return result
        return self.pack(result, output.sparsifier, output.layout, **output.options)

    def _dense(self, name: str, layout: str) -> Operator:
        """The dense implementation in place of one for a layout, with a warning the first time."""
        operator = self.operators.get((name, "dense"))
        if operator is None:
            raise UnknownNameError("operator", name, {known for known, _ in self.operators})
        if (name, layout) not in self._warned:
            self._warned.add((name, layout))
            message = f"no operator {name!r} for the layout {layout!r}: it runs on the dense matrix"
            warnings.warn(message, SparsityWarning, stacklevel=3)
        return operator


def _named(known: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in known:
        raise UnknownNameError(what, name, known)
    return known[name]


def _taken(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that a function has parameters for."""
    parameters = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in parameters}


def block_product(matrix: Packed, dense: Tensor) -> Tensor:
    """A matrix stored in blocks times a dense one."""
    tensors = matrix.tensors
    found: Tensor = product.block_matmul(tensors["values"], tensors["columns"], tensors["offsets"], dense)
    return found


def nm_product(matrix: Packed, dense: Tensor) -> Tensor:
    """An n:m matrix times a dense one."""
    found: Tensor = product.nm_matmul(matrix.values, matrix.tensors["places"], matrix.options["m"], dense)
    return found


def nmg_product(matrix: Packed, dense: Tensor) -> Tensor:
    """An n:m:g matrix times a dense one."""
    order, table = matrix.tensors["order"], matrix.tensors["patterns"]
    found: Tensor = product.grouped_nm_matmul(matrix.values, order, table, matrix.options["m"], dense)
    return found


def dense_product(matrix: Packed, dense: Tensor) -> Tensor:
    """A matrix stored with its zeros times a dense one."""
    return matrix.values @ dense


def _standard() -> list[Sparsifier | Layout | Operator]:
    names = ("keep_all", "random", "scalar_fraction", "block_fraction", "nm", "nmg")
    return [
        *(Sparsifier(name, getattr(sparsifiers, name)) for name in names),
        Layout("dense", layouts.pack_dense, layouts.unpack_dense, layouts.dense_bytes),
        Layout("blocks", layouts.pack_blocks, layouts.unpack_blocks, layouts.block_bytes),
        Layout("nm", layouts.pack_nm, layouts.unpack_nm, layouts.nm_bytes),
        Layout("nmg", layouts.pack_nmg, layouts.unpack_nmg, layouts.nmg_bytes),
        Operator("matmul", "dense", dense_product),
        Operator("matmul", "blocks", block_product),
        Operator("matmul", "nm", nm_product),
        Operator("matmul", "nmg", nmg_product),
        Operator("transposed_matmul", "dense", lambda matrix, dense: matrix.values.T @ dense),
        Operator("add", "dense", lambda matrix, dense: matrix.values + dense),
        Operator("multiply", "dense", lambda matrix, dense: matrix.values * dense),
    ]


DEFAULT = Sparsity(_standard())
"""The sparsifiers, layouts and operators of this package; a plugin may add its own."""
