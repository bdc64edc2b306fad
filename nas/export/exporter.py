"""An export format as a plugin offers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas._lazy import resolve

if TYPE_CHECKING:
    import torch

    from nas.spaces.architecture import Network


@dataclass(frozen=True)
class ExportRequest:
    """What an exporter writes: the trained, fused module in eval mode and an example input with batch 1.

    `preparation` says in words how a picture becomes an input, for formats that have room for it.
    """

    network: Network
    module: torch.nn.Module
    example: torch.Tensor
    path: Path
    preparation: str = ""


@dataclass(frozen=True)
class ExportReport:
    """What was written, and the largest absolute difference to torch that was found when checking it."""

    path: Path
    difference: float | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exporter:
    """A format by name; `write(request)` (or ``"module:name"`` of it) writes and checks the file."""

    name: str
    suffix: str
    write: Callable[[ExportRequest], ExportReport] | str
    description: str = ""

    def run(self, request: ExportRequest) -> ExportReport:
        """Writes the file and checks it against torch."""
        write = resolve(self.write) if isinstance(self.write, str) else self.write
        report: ExportReport = write(request)
        return report
