"""Ray's authentication token, kept readable by its owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def secure_token() -> None:
    """Makes sure that the token Ray will use is a file of mode 0600.

    Ray itself writes a missing token readable for everybody on the machine. A token the user gave in
    RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH is left alone.
    """
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    path = Path.home() / ".ray" / "auth_token"
    with contextlib.suppress(OSError):  # Ray says what is wrong with the folder when it looks for the token
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write_new(path, secrets.token_hex(32))
        elif path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _write_new(path: Path, token: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:  # another study was faster
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(token)
