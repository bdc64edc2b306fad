"""How bi-level routing cuts a map into regions, and what it costs; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nas.spaces.signature import Signature


@dataclass(frozen=True)
class RegionGrid:
    """A map of `size` cut into `counts` regions of `extent` positions, each a (vertical, horizontal) pair."""

    size: tuple[int, int]
    counts: tuple[int, int]
    extent: tuple[int, int]

    @property
    def regions(self) -> int:
        """The number of regions."""
        return self.counts[0] * self.counts[1]

    @property
    def positions(self) -> int:
        """The positions of one region."""
        return self.extent[0] * self.extent[1]

    @property
    def missing(self) -> tuple[int, int]:
        """The rows and columns that the last regions lack."""
        (height, width), (rows, columns), (tall, wide) = self.size, self.counts, self.extent
        return rows * tall - height, columns * wide - width

    @property
    def is_padded(self) -> bool:
        """Whether the last regions lack any."""
        return any(self.missing)


def region_grid(size: tuple[int, int], regions: int) -> RegionGrid:
    """`regions` regions per side of a map, or as many as it takes to cover it with none of them empty."""
    extent = tuple(-(-length // regions) for length in size)
    counts = tuple(-(-length // part) for length, part in zip(size, extent, strict=True))
    return RegionGrid((size[0], size[1]), (counts[0], counts[1]), (extent[0], extent[1]))


def fits(signature: Signature, width: int | None, stride: int, **knobs: Any) -> bool:
    """The heads split the channels evenly; the kernel of the local convolution is odd, or 0 for none."""
    kernel, head_dim = int(knobs["local_kernel"]), int(knobs["head_dim"])
    return signature.channels % head_dim == 0 and (kernel == 0 or kernel % 2 == 1)


def block_fits(
    signature: Signature, width: int | None, stride: int, *, position_kernel: int, **knobs: Any
) -> bool:
    """The kernel of the positional convolution is odd, or 0 for none."""
    return position_kernel == 0 or position_kernel % 2 == 1


def routing_params(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """Queries, keys, values and projection with bias, and the local convolution."""
    channels = signature.channels
    return 4 * channels**2 + 4 * channels + _local_params(channels, knobs["local_kernel"])


def routing_macs(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """Layers on the map, one product between all regions, and attention to the routed ones."""
    channels, grid = signature.channels, region_grid(_area(signature), knobs["regions"])
    keys = min(int(knobs["topk"]), grid.regions) * grid.positions
    queries = grid.regions * grid.positions
    attention = 2 * channels * queries * keys
    return _layer_macs(signature, knobs["local_kernel"]) + grid.regions**2 * channels + attention


def enhanced_params(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """Queries, keys and values without bias, the projection with one, and the local convolution."""
    channels = signature.channels
    return 4 * channels**2 + channels + _local_params(channels, knobs["local_kernel"])


def enhanced_macs(signature: Signature, width: int | None, stride: int, **knobs: Any) -> int:
    """Layers on the map, and attention between all of its positions."""
    height, breadth = _area(signature)
    return _layer_macs(signature, knobs["local_kernel"]) + 2 * signature.channels * (height * breadth) ** 2


def _local_params(channels: int, kernel: int) -> int:
    return channels * (kernel**2 + 1) if kernel else 0


def _layer_macs(signature: Signature, kernel: int) -> int:
    height, breadth = _area(signature)
    return height * breadth * (4 * signature.channels**2 + signature.channels * kernel**2)


def _area(signature: Signature) -> tuple[int, int]:
    return signature.size[0], signature.size[1]
