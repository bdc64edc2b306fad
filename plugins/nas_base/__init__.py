"""The first-party building blocks for images: what each one is, without importing torch.

Beside this file are the offers (`convolutional_offer`, `modular_offer`) and the blocks themselves, which are
imported when one is built.
"""

from __future__ import annotations

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl
from nas_base.convolutional_offer import convolutional
from nas_base.modular_offer import modular
from nas_base.offer import ACTIVATIONS

__all__ = ["ACTIVATIONS", "nas_blocks"]


@hookimpl
def nas_blocks() -> list[Block]:
    """The first-party blocks."""
    return [*convolutional(), *modular()]
