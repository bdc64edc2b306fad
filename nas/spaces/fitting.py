"""Whether a block fits where it stands, and what leaves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nas.errors import BlockError, NasError
from nas.spaces.architecture import BlockUse, Graph, Layer, Network
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from nas.blocks.block import Block

WIDTH_ROLES = ("stem", "block", "downsample", "operation")
"""Roles that are given a width and a stride; all others keep the signature."""


@dataclass(frozen=True)
class Span:
    """Where a block stands: `repeats` equal layers, the first of them with `stride`, all of `width`."""

    signature: Signature
    width: int | None
    stride: int
    repeats: int = 1

    @property
    def end(self) -> Signature:
        """What leaves the span where no block overrides the rule."""
        return self.signature.after(self.width, self.stride)

    def inside(self, block: Block) -> Span:
        """Where a block that is held by a knob stands.

        One that may change width and resolution takes the place of the layer that holds it; any other works
        behind that change.
        """
        if block.role in WIDTH_ROLES:
            return self
        end = self.end
        return Span(end, end.channels, 1)

    def outcome(self, use: BlockUse, blocks: Mapping[str, Block]) -> Signature | None:
        """The signature behind the span, or None where the block does not fit one of its places."""
        signature: Signature | None = self.signature
        stride = self.stride
        for _ in range(self.repeats):
            assert signature is not None
            before, signature = signature, fit(use, signature, self.width, stride, blocks)
            if signature is None or (signature == before and stride == 1):
                break
            stride = 1
        return signature


def fit(
    use: BlockUse, signature: Signature, width: int | None, stride: int, blocks: Mapping[str, Block]
) -> Signature | None:
    """The signature that leaves a block, or None where the block or one that it holds does not fit."""
    block = blocks[use.use]
    knobs = use.knob_values()
    if block.domain != signature.domain:
        return None
    width = settled_width(block, width, signature)
    try:
        if not block.accepts(signature, width, stride, knobs):
            return None
        output = block.output_signature(signature, width, stride, knobs)
        inside = block.inside_signature(signature, width, stride, knobs)
    except NasError:
        raise
    except Exception as error:
        where = f"{signature.domain} {signature.shape}, width {width}, stride {stride}"
        raise BlockError(
            f"block {block.name!r} could not tell whether it fits {where}: {type(error).__name__}: {error}. "
            "This is a defect of the plugin that provides it."
        ) from error
    for value in knobs.values():
        if isinstance(value, BlockUse) and not _fits_inside(value, signature, inside, width, stride, blocks):
            return None
    return output


def settled_width(block: Block, width: int | None, signature: Signature) -> int | None:
    """The channels that leave a block: where its role takes a width and none is given, those it is given."""
    return signature.channels if width is None and block.role in WIDTH_ROLES else width


def _fits_inside(
    use: BlockUse,
    signature: Signature,
    inside: Signature,
    width: int | None,
    stride: int,
    blocks: Mapping[str, Block],
) -> bool:
    if blocks[use.use].role in WIDTH_ROLES:
        return fit(use, signature, width, stride, blocks) is not None
    return fit(use, inside, inside.channels, 1, blocks) is not None


def element_signatures(
    network: Network, blocks: Mapping[str, Block]
) -> list[tuple[Layer | Graph, Signature]]:
    """Each layer or cell of a network with the signature of its input."""
    pairs: list[tuple[Layer | Graph, Signature]] = []
    signature = network.input
    for element in network.layers:
        pairs.append((element, signature))
        signature = _behind(element, signature, network.classes, blocks)
    return pairs


def output_signature(network: Network, blocks: Mapping[str, Block]) -> Signature:
    """The signature that leaves a network; behind a head it is a vector of `classes`."""
    pairs = element_signatures(network, blocks)
    if not pairs:
        return network.input
    element, signature = pairs[-1]
    return _behind(element, signature, network.classes, blocks)


def _behind(
    element: Layer | Graph, signature: Signature, classes: int, blocks: Mapping[str, Block]
) -> Signature:
    if isinstance(element, Graph):
        return signature
    block = blocks[element.block.use]
    if block.role == "head":
        return replace(signature, domain="vector", channels=classes, size=())
    return block.output_signature(signature, element.width, element.stride, element.block.knob_values())
