"""One plugin, loaded or refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plugin:
    """Where a plugin comes from, and what is wrong with it if anything.

    `name` is that of its entry point, or the stem of a plugin file; `module` the module, or the path of the
    file; `distribution` and `version` say which package it came in (for a file: its name and a short hash of
    its content); `seconds` is what its import took.
    """

    name: str
    module: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether its hooks are called."""
        return self.error is None

    @property
    def is_file(self) -> bool:
        """Whether it was given by ``--plugin FILE`` and not installed."""
        return self.module.endswith(".py")

    @property
    def key(self) -> str:
        """What tells it from every other plugin."""
        return f"{self.distribution}:{self.name}:{self.module}"

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"
