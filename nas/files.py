"""Files that appear whole and checked, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import NasError, UsageError


def check_writable(path: Path) -> None:
    """Raises UsageError, before any work is done, where `path` cannot become a file."""
    if "\0" in str(path):
        raise UsageError(f"cannot write {str(path)!r:.200}: a file name holds no NUL")
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name the file to write")
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: the folder {path.parent} does not exist; make it first")
        if not os.access(path.parent, os.W_OK):
            raise UsageError(f"cannot write {path}: the folder {path.parent} is read-only")
    except OSError as error:  # a name too long, a loop of links
        raise UsageError(f"cannot write {str(path)!r:.200}: {error.strerror or error}") from None


@contextmanager
def whole_file(path: Path, error: type[NasError] = UsageError) -> Iterator[Path]:
    """A path to write to; the file is moved to `path` when the block ends well, and removed otherwise.

    The temporary file lies beside `path` and keeps its suffix, which some formats insist on. `error` is
    raised where the system refuses.
    """
    temporary = path.parent / f".nas-{secrets.token_hex(8)}{path.suffix}"
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as problem:
        raise error(f"cannot write {path}: {problem.strerror or problem}") from None
    finally:
        temporary.unlink(missing_ok=True)
