"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from nas.errors import UsageError


def check_writable(path: Path) -> None:
    """Raises UsageError, before any work is done, where `path` cannot become a file."""
    if "\0" in str(path):
        raise UsageError(f"cannot write {str(path)!r:.200}: a file name holds no NUL")
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name the file to write, e.g. {path / 'report.html'}")
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"cannot write {path}: the folder {path.parent} is read-only")
    except OSError as error:  # a name too long, a loop of links
        raise UsageError(f"cannot write {str(path)!r:.200}: {error.strerror or error}") from None


def write_whole(path: Path, text: str) -> None:
    """Writes a text beside `path` and renames it there; UsageError where the system refuses."""
    temporary = path.parent / f".nas-{secrets.token_hex(8)}.part"
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)
