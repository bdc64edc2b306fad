"""Sparse operators: what each block is, without importing torch."""

from __future__ import annotations

from nas.blocks.block import Block
from nas.plugins.hookspecs import hookimpl


@hookimpl
def nas_blocks() -> list[Block]:
    """The blocks of this family."""
    return []
