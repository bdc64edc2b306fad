"""Statements about artifacts."""

from __future__ import annotations

import re

from sqlalchemy import Connection, delete, insert, select

from nas.errors import StoreError
from nas.store.records import ArtifactRecord
from nas.store.schema import artifact, trial
from nas.store.values import now, relative_path, whole

_SHA256 = re.compile(r"[0-9a-f]{64}")
_KIND = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def write_artifact(connection: Connection, key: int, *, kind: str, path: str, sha256: str, size: int) -> None:
    """Records a file of a trial; one of the same kind and path is replaced."""
    if not _KIND.fullmatch(kind):
        raise StoreError(f"artifact kind {kind!r:.100} is not allowed: a-z, 0-9, '.', '_', '-'")
    if not _SHA256.fullmatch(sha256):
        raise StoreError(f"artifact {path!r:.200}: {sha256!r:.100} is not a SHA-256 in hex")
    row = {"trial_id": key, "kind": kind, "path": relative_path(path), "sha256": sha256, "created": now()}
    same = (artifact.c.trial_id == key, artifact.c.kind == kind, artifact.c.path == path)
    connection.execute(delete(artifact).where(*same))
    connection.execute(insert(artifact), {**row, "size": whole(size, "artifact size")})


def read_artifacts(
    connection: Connection, study_key: int, name: str, number: int | None
) -> list[ArtifactRecord]:
    """The files of one trial or of all; a stored path that would leave its folder raises StoreError."""
    columns = (
        trial.c.number,
        artifact.c.kind,
        artifact.c.path,
        artifact.c.sha256,
        artifact.c.size,
        artifact.c.created,
    )
    statement = select(*columns).join(trial).where(trial.c.study_id == study_key)
    if number is not None:
        statement = statement.where(trial.c.number == number)
    rows = connection.execute(statement.order_by(trial.c.number, artifact.c.id))
    records = [ArtifactRecord(name, *row) for row in rows]
    for record in records:
        relative_path(record.path)
    return records
