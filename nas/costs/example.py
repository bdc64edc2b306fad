"""What one block takes at a stated size, so that blocks can be compared in a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.blocks.defaults import default_use
from nas.spaces.architecture import BlockUse, Layer
from nas.spaces.fitting import WIDTH_ROLES, fit
from nas.spaces.signature import Signature

if TYPE_CHECKING:
    from nas.blocks.block import Block

SIGNATURES = {
    "image": Signature("image", 64, (56, 56)),
    "series": Signature("series", 64, (128,)),
    "sequence": Signature("sequence", 64, (196,)),
    "vector": Signature("vector", 64, ()),
}
"""The input that a block of each domain is priced at."""
CLASSES = 1000


@dataclass(frozen=True)
class BlockExample:
    """A block with its default knobs on one input: its parameters, and its MACs in the deployed form."""

    signature: Signature
    knobs: BlockUse
    params: int
    macs: int


def block_example(name: str, blocks: Mapping[str, Block]) -> BlockExample | None:
    """The example of a block: at 64 channels and the usual size of its domain, or nearby where it fits only
    there; None where it fits nowhere or needs another block that is not there.

    A block that may change the width keeps it, at stride 1; a head has 1000 classes.
    """
    from nas.costs.deployed import trace_element
    from nas.costs.trace_keys import Profile

    use = default_use(name, blocks)
    if use is None or blocks[name].domain not in SIGNATURES:
        return None
    for signature, stride in _places(SIGNATURES[blocks[name].domain]):
        width = signature.channels if blocks[name].role in WIDTH_ROLES else None
        if fit(use, signature, width, stride, blocks) is not None:
            found = trace_element(
                Layer(use, width, stride), signature, blocks, CLASSES, [Profile(1, "fp32")]
            )[0]
            return BlockExample(signature, use, found.params, found.macs)
    return None


def _places(usual: Signature) -> Iterator[tuple[Signature, int]]:
    for stride in (1, 2):
        for channels in (1, 2, 4):
            for shrink in (1, 2, 4, 8):
                size = tuple(max(1, extent // shrink) for extent in usual.size)
                yield Signature(usual.domain, usual.channels * channels, size), stride
