"""Scaling a network to more or less work by its depth, width and resolution together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from nas.errors import InputError
from nas.spaces.architecture import BlockUse, Graph, KnobValue, Layer, Network
from nas.spaces.fitting import fit
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from nas.blocks.block import Block

GROUP_KNOBS = frozenset({"group_size", "group_width"})
"""Knobs that count the channels of a group: they are scaled like the width."""
MULTIPLE = 8


@dataclass(frozen=True)
class Scaling:
    """What depth, width and resolution are multiplied by for `by` times the work (arXiv:2103.06877).

    `alpha` is the share of the work that goes into the width: 1 scales the width alone, 1/3 all three alike,
    0.8 is fast compound scaling, which leaves activations nearly at the square root of the work.
    `dimensions` are those of a map: 2 for images.

    >>> Scaling(4, 1.0).width, Scaling(4, 1.0).depth, Scaling(16, 0.0).resolution
    (2.0, 1.0, 2.0)
    """

    by: float
    alpha: float = 0.8
    dimensions: int = 2

    def __post_init__(self) -> None:
        if not (math.isfinite(self.by) and self.by > 0):
            raise InputError(f"a factor of the work is a number above 0, not {self.by:g}")
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha is a share from 0 to 1, not {self.alpha:g}")

    @property
    def depth(self) -> float:
        """The factor of the number of layers."""
        return float(self.by ** ((1 - self.alpha) / 2))

    @property
    def width(self) -> float:
        """The factor of the channels: work grows with their square."""
        return float(self.by ** (self.alpha / 2))

    @property
    def resolution(self) -> float:
        """The factor of each side of the input: work grows with their product."""
        return float(self.by ** ((1 - self.alpha) / (2 * self.dimensions)))

    @property
    def params(self) -> float:
        """What the parameters of a stack of convolutions are multiplied by."""
        return float(self.by ** ((1 + self.alpha) / 2))

    @property
    def activations(self) -> float:
        """What the activations of a stack of convolutions are multiplied by."""
        return float(self.by ** (1 - self.alpha / 2))


def scale_network(
    network: Network,
    by: float,
    blocks: Mapping[str, Block],
    *,
    alpha: float = 0.8,
    multiple: int = MULTIPLE,
) -> Network:
    """The network with about `by` times the multiply-adds.

    Widths and the sides of the input become multiples of `multiple`, stages a whole number of layers of which
    new ones are like the last. Raises InputError where a block does not fit the scaled map.
    """
    if not network.input.size:
        raise InputError("the network takes vectors: without a resolution it cannot be scaled")
    factors = Scaling(by, alpha, len(network.input.size))
    size = tuple(_rounded(extent, factors.resolution, multiple) for extent in network.input.size)
    elements = [
        _wider(element, factors.width, multiple, blocks)
        for _, group in groupby(network.layers, key=_stage)
        for element in _deeper(tuple(group), factors.depth, blocks)
    ]
    scaled = Network(replace(network.input, size=size), tuple(elements), network.classes)
    _check(scaled, blocks)
    return scaled


def _stage(element: Layer | Graph) -> str:
    """The stage of an element; layers without one are repeated together."""
    return ".".join(element.slot.split(".")[:2])


def _deeper(
    stage: tuple[Layer | Graph, ...], factor: float, blocks: Mapping[str, Block]
) -> tuple[Layer | Graph, ...]:
    """A stage with its layers repeated, or with its last ones left out; at least one stays."""
    repeated = [element for element in stage if _is_repeated(element, blocks)]
    if not repeated or repeated[-1] is not stage[-1]:
        return stage
    missing = max(1, round(len(repeated) * factor)) - len(repeated)
    if missing <= 0:
        return stage[: len(stage) + missing]
    last, place = stage[-1], _stage(stage[-1])
    more = [
        replace(last, slot=f"{place}.layers.{len(repeated) + index}" if place else "")
        for index in range(missing)
    ]
    return (*stage, *(replace(e, stride=1) if isinstance(e, Layer) else e for e in more))


def _is_repeated(element: Layer | Graph, blocks: Mapping[str, Block]) -> bool:
    return isinstance(element, Graph) or blocks[element.block.use].role == "block"


def _wider(
    element: Layer | Graph, factor: float, multiple: int, blocks: Mapping[str, Block]
) -> Layer | Graph:
    if isinstance(element, Graph):
        edges = tuple(
            replace(edge, layer=_wider_layer(edge.layer, factor, multiple, blocks)) for edge in element.edges
        )
        return replace(element, edges=edges)
    return _wider_layer(element, factor, multiple, blocks)


def _wider_layer(layer: Layer, factor: float, multiple: int, blocks: Mapping[str, Block]) -> Layer:
    width = None if layer.width is None else _rounded(layer.width, factor, multiple)
    return replace(layer, width=width, block=_wider_groups(layer.block, factor, blocks))


def _wider_groups(use: BlockUse, factor: float, blocks: Mapping[str, Block]) -> BlockUse:
    knobs = tuple((name, _wider_knob(use, name, value, factor, blocks)) for name, value in use.knobs)
    return replace(use, knobs=knobs)


def _wider_knob(
    use: BlockUse, name: str, value: KnobValue, factor: float, blocks: Mapping[str, Block]
) -> KnobValue:
    """The offered value nearest to a scaled group; depthwise stays depthwise, everything else as it is."""
    if isinstance(value, BlockUse):
        return _wider_groups(value, factor, blocks)
    if name not in GROUP_KNOBS or not isinstance(value, int) or value <= 1:
        return value
    offered = [item for item in blocks[use.use].knobs[name].values if isinstance(item, int) and item > 1]
    return min(offered, key=lambda item: abs(math.log(item / (value * factor))), default=value)


def _rounded(extent: int, factor: float, multiple: int) -> int:
    """The scaled extent as the nearest multiple; as it is where nothing is scaled."""
    if factor == 1.0:
        return extent
    return max(multiple, round(extent * factor / multiple) * multiple)


def _check(network: Network, blocks: Mapping[str, Block]) -> None:
    """Every layer fits what the one before it gives."""
    signature = network.input
    for index, element in enumerate(network.layers):
        if isinstance(element, Graph):
            continue
        behind = fit(element.block, signature, element.width, element.stride, blocks)
        if behind is None:
            where = element.slot or f"layer {index}"
            raise InputError(
                f"{where}: {element.block.use} of width {element.width} does not fit {_shown(signature)}; "
                "try another factor, alpha or multiple"
            )
        signature = behind


def _shown(signature: Signature) -> str:
    return f"a map of {' x '.join(map(str, (signature.channels, *signature.size)))}"
