"""What a command of the command line gave, for the tests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """What one command did: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def warnings(self) -> list[str]:
        """The lines of its warnings."""
        return [line for line in self.err.splitlines() if line.startswith("warning:")]

    @property
    def error(self) -> list[str]:
        """The lines of its error."""
        lines = self.err.splitlines()
        return lines[next(i for i, line in enumerate(lines) if line.startswith("error:")) :]
