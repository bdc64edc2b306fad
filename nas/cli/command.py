"""A further command as a plugin offers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click


@dataclass(frozen=True)
class Command:
    """A click command that appears as ``nas NAME``."""

    name: str
    command: click.Command
