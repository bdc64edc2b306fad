"""A block with the default of every knob, and blocks in the knobs that take one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nas.spaces.architecture import BlockUse

if TYPE_CHECKING:
    from nas.blocks.block import Block

MAX_NESTING = 3


def default_use(name: str, blocks: Mapping[str, Block], nesting: int = 0) -> BlockUse | None:
    """The block as a space file without any knob would have it.

    A knob that takes a block and has no default gets the first of `candidates`. None where there is none, or
    where blocks would hold each other without end.
    """
    block = blocks[name]
    values: dict[str, Any] = {}
    for knob, choice in block.knobs.items():
        value = choice.default
        if choice.role is not None:
            names = [value] if value else candidates(name, choice.role, blocks)
            value = default_use(names[0], blocks, nesting + 1) if names and nesting < MAX_NESTING else None
            if value is None:
                return None
        values[knob] = value
    return BlockUse(name, tuple(sorted(values.items())))


def candidates(name: str, role: str, blocks: Mapping[str, Block]) -> list[str]:
    """The blocks of a role that a knob of this block may take: those of its own plugin, or else all."""
    provider = getattr(blocks, "provider", None)
    fitting = [
        other
        for other in unique(blocks)
        if other != name and blocks[other].role == role and blocks[other].domain == blocks[name].domain
    ]
    if provider is None:
        return fitting
    own = [other for other in fitting if provider(other) == provider(name)]
    return own or fitting


def unique(blocks: Mapping[str, Block]) -> list[str]:
    """The names that are those of one block only."""
    found = getattr(blocks, "unique", None)
    return list(found() if found is not None else blocks)
