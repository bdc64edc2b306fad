"""How halo attention cuts a map into blocks, and what it costs; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.spaces.signature import Signature


@dataclass(frozen=True)
class BlockAxis:
    """One side of a map, cut into `count` blocks of `block` positions.

    The keys of a block are its own positions and `halo` more on either side; its queries are every
    `stride`-th of its positions.
    """

    length: int
    block: int
    halo: int
    stride: int

    @property
    def count(self) -> int:
        """The number of blocks."""
        return -(-self.length // self.block)

    @property
    def window(self) -> int:
        """The keys of one block."""
        return self.block + 2 * self.halo

    @property
    def queries(self) -> int:
        """The queries of one block."""
        return self.block // self.stride

    @property
    def missing(self) -> int:
        """The positions that the last block lacks."""
        return self.count * self.block - self.length

    @property
    def outputs(self) -> int:
        """The queries that lie on the map."""
        return -(-self.length // self.stride)

    @property
    def is_masked(self) -> bool:
        """Whether a window reaches beyond the map."""
        return bool(self.halo or self.missing)


def block_axis(length: int, block_size: int, halo_size: int, stride: int) -> BlockAxis:
    """The cut of one side: one block of it all where it is no longer than `block_size`, without a halo then.

    Where the stride does not divide the blocks, every position is a query, and what leaves is thinned out.
    """
    if length <= block_size:
        return BlockAxis(length, -(-length // stride) * stride, 0, stride)
    inner = stride if block_size % stride == 0 else 1
    reach = (-(-length // block_size) - 1) * block_size
    return BlockAxis(length, block_size, min(halo_size, reach), inner)


def axes(size: tuple[int, ...], block_size: int, halo_size: int, stride: int) -> tuple[BlockAxis, BlockAxis]:
    """The cuts of both sides of a map; they have one stride."""
    rows, columns = (block_axis(length, block_size, halo_size, stride) for length in size)
    if rows.stride != columns.stride:
        rows, columns = (block_axis(length, block_size, halo_size, 1) for length in size)
    return rows, columns


def value_dim(head_dim: int, value_ratio: float) -> int:
    """The channels of the values of one head."""
    return max(1, round(head_dim * value_ratio))


def inner_width(outputs: int, ratio: float) -> int:
    """The channels between the 1x1 convolutions of a bottleneck."""
    return max(1, round(outputs * ratio))


def attention_fits(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """The heads split the channels evenly."""
    return signature.channels % int(knobs["head_dim"]) == 0


def bottleneck_fits(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """The heads split the inner channels evenly."""
    return inner_width(width or signature.channels, knobs["ratio"]) % int(knobs["head_dim"]) == 0


def attention_params(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """Queries, keys, values and projection without bias, and the position table."""
    outputs = width or signature.channels
    return _core_params(signature.channels, knobs) + _values(signature.channels, knobs) * outputs


def attention_macs(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """The attention itself, and its projection at the positions that leave it."""
    area = _area(signature.after(width, stride))
    outputs = width or signature.channels
    return _core_macs(signature, stride, knobs) + area * _values(signature.channels, knobs) * outputs


def bottleneck_params(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """Two 1x1 convolutions, three batch norms, the attention, and the shortcut where there is one."""
    channels, outputs = signature.channels, width or signature.channels
    inner = inner_width(outputs, knobs["ratio"])
    values = _values(inner, knobs)
    convolutions = channels * inner + values * outputs
    shortcut = 0 if _is_kept(signature, width, stride) else channels * outputs + 2 * outputs
    return convolutions + _core_params(inner, knobs) + 2 * (inner + values + outputs) + shortcut


def bottleneck_macs(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """The same; norms are folded into what stands in front of them."""
    channels, outputs = signature.channels, width or signature.channels
    inner, after = inner_width(outputs, knobs["ratio"]), signature.after(width, stride)
    inside = signature.after(inner, 1)
    macs = _area(signature) * channels * inner + _core_macs(inside, stride, knobs)
    shortcut = 0 if _is_kept(signature, width, stride) else channels * outputs
    return macs + _area(after) * (_values(inner, knobs) * outputs + shortcut)


def _core_params(channels: int, knobs: dict[str, Any]) -> int:
    """Queries, keys, values: the table has a row per vertical and per horizontal distance in a window."""
    table = 2 * (2 * (knobs["block_size"] + 2 * knobs["halo_size"]) - 1) * knobs["head_dim"]
    return 2 * channels**2 + channels * _values(channels, knobs) + int(table)


def _core_macs(signature: Signature, stride: int, knobs: dict[str, Any]) -> int:
    channels, head_dim = signature.channels, knobs["head_dim"]
    rows, columns = axes(signature.size, knobs["block_size"], knobs["halo_size"], stride)
    queries = rows.count * rows.queries * columns.count * columns.queries
    values = _values(channels, knobs)
    layers = rows.outputs * columns.outputs * channels**2 + _area(signature) * channels * (channels + values)
    products = queries * rows.window * columns.window * (channels + values)
    positions = queries * (channels // head_dim) * (rows.window + columns.window) * head_dim
    return int(layers + products + positions)


def _values(channels: int, knobs: dict[str, Any]) -> int:
    return channels // int(knobs["head_dim"]) * value_dim(knobs["head_dim"], knobs["value_ratio"])


def _area(signature: Signature) -> int:
    return signature.size[0] * signature.size[1]


def _is_kept(signature: Signature, width: int | None, stride: int) -> bool:
    return stride == 1 and width in (None, signature.channels)
