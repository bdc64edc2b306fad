"""Statements about studies and what was installed when they ran."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from nas.errors import StoreError, UnknownNameError
from nas.plugins.plugin import Plugin
from nas.search.study import check_name
from nas.store.dialect import insert_missing
from nas.store.records import StudyRecord
from nas.store.schema import plugin, study
from nas.store.values import now

_RECORD = (study.c.name, study.c.spec, study.c.created, study.c.version)


def create_study(connection: Connection, record: StudyRecord) -> None:
    """Adds a study; `created` and `version` are filled in where they are empty."""
    from nas import __version__

    row = {
        "name": check_name(record.name),
        "spec": record.spec,
        "created": record.created or now(),
        "version": record.version or __version__,
    }
    try:
        connection.execute(insert(study), row)
    except IntegrityError:
        raise StoreError(f"study {record.name!r} exists already: resume it, or choose another name") from None


def study_id(connection: Connection, name: str) -> int:
    """The key of a study; raises UnknownNameError with the nearest name."""
    found = connection.execute(select(study.c.id).where(study.c.name == name)).scalar()
    if found is None:
        raise _unknown(connection, name)
    return int(found)


def read_study(connection: Connection, name: str) -> StudyRecord:
    """One study by name."""
    row = connection.execute(select(*_RECORD).where(study.c.name == name)).first()
    if row is None:
        raise _unknown(connection, name)
    return StudyRecord(*row)


def read_studies(connection: Connection) -> list[StudyRecord]:
    """All studies in the order they were made."""
    return [StudyRecord(*row) for row in connection.execute(select(*_RECORD).order_by(study.c.id))]


def update_spec(connection: Connection, name: str, spec: str) -> None:
    """Replaces the settings of a study."""
    changed = connection.execute(update(study).where(study.c.name == name).values(spec=spec))
    if changed.rowcount == 0:
        raise _unknown(connection, name)


def _unknown(connection: Connection, name: str) -> UnknownNameError:
    return UnknownNameError("study", name[:80], connection.execute(select(study.c.name)).scalars().all())


def record_plugins(connection: Connection, key: int, plugins: Sequence[Plugin]) -> None:
    """Adds what is installed; what the study has on record stays."""
    for item in plugins:
        row = {
            "study_id": key,
            "distribution": item.distribution,
            "version": item.version,
            "name": item.name,
            "module": item.module,
            "hooks": json.dumps(item.hooks),
            "error": item.error,
            "created": now(),
        }
        connection.execute(insert_missing(connection, plugin), row)


def read_plugins(connection: Connection, key: int) -> list[Plugin]:
    """Everything on record for a study, oldest first."""
    statement = select(plugin).where(plugin.c.study_id == key)
    rows = connection.execute(statement.order_by(plugin.c.created, plugin.c.distribution, plugin.c.name))
    return [
        Plugin(row.name, row.module, row.distribution, row.version, tuple(json.loads(row.hooks)), row.error)
        for row in rows
    ]
