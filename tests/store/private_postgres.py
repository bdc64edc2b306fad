"""A PostgreSQL server of our own in a temporary folder, run by a user without privileges."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER, PASSWORD = "nas", "s3cret/pass@word"
QUOTED = "s3cret%2Fpass%40word"
SETTINGS = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=60"


def find_binaries() -> Path | None:
    """The folder that holds initdb, pg_ctl and postgres together; the newest one."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: (len(p.parent.name), p.parent.name)
    )
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    complete = [f for f in folders if all((f / name).exists() for name in ("initdb", "pg_ctl", "postgres"))]
    return complete[-1] if complete else None


def server_user() -> str | None:
    """Who runs the server: None for ourselves; the server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextmanager
def running_server(binaries: Path) -> Iterator[str]:
    """Yields ``postgresql://USER:PASSWORD@127.0.0.1:PORT`` of a server that ends with the block."""
    folder = Path(tempfile.mkdtemp(prefix="nas-postgres-", dir="/tmp"))
    user = server_user()
    try:
        (folder / "password").write_text(PASSWORD)
        if user is not None:
            entry = pwd.getpwnam(user)
            for path in (folder, folder / "password"):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        port = _free_port()
        data = str(folder / "data")
        access = [f"--username={USER}", f"--pwfile={folder}/password", "--auth=scram-sha-256"]
        _call(
            user,
            folder,
            [str(binaries / "initdb"), "-D", data, "-N", "--encoding=UTF8", "--locale=C", *access],
        )
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 {SETTINGS}"
        control = [str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
        _call(user, folder, [*control, "-o", options, "start"])
        try:
            yield f"postgresql://{USER}:{QUOTED}@127.0.0.1:{port}"
        finally:
            _call(user, folder, [*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _call(user: str | None, folder: Path, command: list[str]) -> None:
    # As ourselves where user is None; a shell of another user's login is not needed.
    extra = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **extra,
    )
    if done.returncode:
        log = folder / "log"
        raise RuntimeError(
            f"{command[0]}: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}"
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
