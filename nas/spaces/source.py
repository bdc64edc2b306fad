"""A named search space as a plugin offers it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SpaceSource:
    """A named space: the TOML file that holds it, and one line about it."""

    name: str
    path: Path
    description: str = ""
