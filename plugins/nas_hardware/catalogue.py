"""The target files of this package, read in two steps: their heads at once, their figures at first use."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nas.costs.target import Device, Figure, Target

FOLDER = Path(__file__).parent / "targets"
FIGURES = "\n[figures]\n"


class FiguresOfFile(Mapping[str, Figure]):
    """The figures of one target file, read when the first one is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._figures: dict[str, Figure] | None = None

    def __getitem__(self, name: str) -> Figure:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"FiguresOfFile({str(self._path)!r})"

    def _read(self) -> dict[str, Figure]:
        if self._figures is None:
            content: dict[str, Any] = tomllib.loads(self._path.read_text(encoding="utf-8"))
            self._figures = {name: Figure(**figure) for name, figure in content["figures"].items()}
        return self._figures


def read_shipped(path: Path) -> Target:
    """The target of a file of this package.

    The tests hold these files to what `nas.costs.read_target` demands, so they are not checked again here:
    all of them are listed whenever one is named, and their figures are the larger part.
    """
    head = tomllib.loads(path.read_text(encoding="utf-8").partition(FIGURES)[0])
    names = head["name"], head["class"], head["vendor"]
    device = Device(*names, FiguresOfFile(path), tuple(head["aliases"]), head.get("architecture", ""))
    return Target(head["name"], device, **head["profile"])


def shipped_targets() -> Iterator[Target]:
    """Every target of this package, by file name."""
    for path in sorted(FOLDER.glob("*.toml")):
        yield read_shipped(path)
