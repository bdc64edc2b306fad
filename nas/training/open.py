"""Task references: ``digits``, ``cifar10:PATH``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import DataError

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.training.task import TaskData


def open_task(reference: str, registry: Registry, split_seed: int = 0) -> TaskData:
    """The data a reference names: ``NAME`` or ``NAME:ARGUMENT``; raises UnknownNameError and DataError."""
    name, _, argument = absolute_reference(reference, registry).partition(":")
    try:
        return registry.tasks[name].open(argument, split_seed)
    except OSError as error:  # a permission, a folder in place of a file, a broken disk
        where = f" {error.filename!r}" if error.filename else ""
        raise DataError(f"--data {reference}:{where} cannot be read: {error.strerror or error}") from None
    except MemoryError:
        raise DataError(
            f"--data {reference}: the data set does not fit into the memory of this machine"
        ) from None


def absolute_reference(reference: str, registry: Registry) -> str:
    """The reference with its path made absolute, where its task takes one: it then means the same everywhere.

    Raises UnknownNameError where there is no such task.
    """
    name, _, argument = reference.partition(":")
    if not (argument and registry.tasks[name].takes_path):
        return reference
    try:
        return f"{name}:{Path(argument).expanduser().absolute()}"
    except RuntimeError:  # "~nobody"
        return reference
