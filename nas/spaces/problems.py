"""Collects what is wrong with a space file, so that it is told all at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nas.errors import SpaceError, nearest

SHOWN = 5
LISTED = 12


class Problems:
    """The problems of one file, each with the key it is about."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._found: list[str] = []

    def add(self, key: Sequence[str | int], text: str) -> None:
        """Notes what is wrong at a key such as ``("stages", 0, "depth")``."""
        path = ".".join(_plain(str(part)) for part in key)
        self._found.append(f"{path}: {text}" if path else text)

    def add_unknown(self, key: Sequence[str | int], known: Iterable[str], kind: str = "key") -> None:
        """Notes a name that nothing knows, with the nearest one that is known."""
        names = sorted(known)
        match = nearest(str(key[-1]), names)
        listed = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
        hint = f"Did you mean {match!r}?" if match else f"There are: {listed or 'none'}"
        self.add(key, f"unknown {kind}. {hint}")

    def check(self) -> None:
        """Raises SpaceError with the first few problems where there are any."""
        if not self._found:
            return
        if len(self._found) == 1:
            raise SpaceError(f"{self._origin}: {self._found[0]}")
        shown = "; ".join(self._found[:SHOWN])
        rest = len(self._found) - SHOWN
        more = f"; and {rest} more" if rest > 0 else ""
        raise SpaceError(f"{self._origin}: {len(self._found)} problems in this space:\n{shown}{more}")


def _plain(name: str) -> str:
    """A key as a message shows it: short, and on one line whatever the file holds."""
    short = name if len(name) <= 40 else f"{name[:37]}..."
    return short if short.isprintable() else repr(short)
