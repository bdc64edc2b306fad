"""The processes of a local Ray cluster, so that none of them outlives its run."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A running process; `born` (clock ticks since boot) tells it from a later one with the same id."""

    pid: int
    parent: int
    born: int


def processes_of(folder: str) -> list[Process]:
    """The processes with `folder` on their command line or a file in it open, and all their descendants.

    This process is not among them. Empty where there is no /proc: there Ray's own clean-up has to do.
    """
    table = {process.pid: process for process in _running() if process.pid != os.getpid()}
    chosen = {pid for pid in table if folder.encode() in _command_line(pid) or _has_open(pid, folder)}
    grown = True
    while grown:
        children = {p.pid for p in table.values() if p.parent in chosen} - chosen
        chosen |= children
        grown = bool(children)
    return [table[pid] for pid in sorted(chosen)]


def end_processes(processes: list[Process]) -> None:
    """Kills those of the processes that still run."""
    for process in still_running(processes):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def still_running(processes: list[Process]) -> list[Process]:
    """Those of the processes that have not ended."""
    return [process for process in processes if (now := _read(process.pid)) and now.born == process.born]


def _running() -> list[Process]:
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()) if PROC.is_dir() else ()
    return [process for pid in pids if (process := _read(pid)) is not None]


def _read(pid: int) -> Process | None:
    """The process with this id, or None where it has ended; a zombie has."""
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    state, parent, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else Process(pid, int(parent), int(fields[17]))


def _command_line(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _has_open(pid: int, folder: str) -> bool:
    """Whether the process has a file in the folder open; Ray's agents overwrite their command lines."""
    try:
        links = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
    return any(_target(link).startswith(folder) for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
