"""Files that appear whole and checked, or not at all; locks that die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nas.errors import NasError, UsageError

_held: set[Path] = set()
_guard = threading.Lock()


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


class FileLock:
    """An exclusive lock on a small file, which names its holder.

    POSIX record locks are used since a forked child does not inherit them: no worker that outlives a killed
    driver keeps its study locked. They do not exclude threads of one process, therefore `_held`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._descriptor: int | None = None

    def acquire(self, seconds: float = 0.0) -> None:
        """Takes the lock, waiting up to `seconds`; raises BlockingIOError(holder) where another has it."""
        deadline = time.monotonic() + seconds
        while not self._try():
            if time.monotonic() >= deadline:
                raise BlockingIOError(self._holder())
            time.sleep(random.uniform(0.002, 0.02))

    def _try(self) -> bool:
        with _guard:
            if self.path in _held:  # opening and closing the file again would drop the lock
                return False
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            if not _locked_in_place(descriptor, self.path):
                os.close(descriptor)
                return False
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder_name().encode(), 0)
            self._descriptor = descriptor
            _held.add(self.path)
            return True

    def _holder(self) -> str:
        with _guard:
            if self.path in _held:
                return holder_name()
            try:
                return self.path.read_text(errors="replace")[:200].strip() or "another process"
            except OSError:
                return "another process"

    def release(self) -> None:
        """Gives the lock back and removes its file."""
        with _guard:
            if self._descriptor is None:
                return
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self._descriptor)
            self._descriptor = None
            _held.discard(self.path)


def _locked_in_place(descriptor: int, path: Path) -> bool:
    """Locks the open file; False where another holds it, or has removed it meanwhile."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except OSError:
        return False


def holder_name() -> str:
    """How this process is named in the message another one shows."""
    return f"process {os.getpid()} on {socket.gethostname()}"
