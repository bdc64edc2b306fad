"""Where the weights of a trial are, and whether they are still what was recorded."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from nas.errors import ExportError

if TYPE_CHECKING:
    from nas.store import ArtifactRecord, Store, TrialRecord

KIND = "weights"


def trial_weights(store: Store, trial: TrialRecord, artifacts: Path | None = None) -> Path:
    """The weights file of a finished trial, its SHA-256 checked against the store.

    `artifacts` is the folder of the study's files; by default ``nas-artifacts/STUDY`` beside a SQLite store,
    or in the current folder. Raises ExportError where the trial has no weights, or the file is gone or
    changed.
    """
    name = f"{trial.study}#{trial.number}"
    record = next((a for a in store.artifacts(trial.study, trial.number) if a.kind == KIND), None)
    if record is None:
        raise ExportError(f"trial {name} has no weights: {_reason(trial)}")
    folder = default_folder(store, trial.study) if artifacts is None else artifacts
    path = _inside(folder, record)
    if not path.is_file():
        raise ExportError(
            f"the weights of trial {name} are gone: {path} does not exist. Were the artifacts moved?"
        )
    if _digest(path) != record.sha256:
        raise ExportError(
            f"the weights of trial {name} were changed since training: {path} is not what was recorded"
        )
    return path


def default_folder(store: Store, study: str) -> Path:
    """Where the files of a study lie where nobody said otherwise."""
    beside = Path() if store.path is None else store.path.parent
    return beside / "nas-artifacts" / study


def _reason(trial: TrialRecord) -> str:
    if trial.error:
        return f"it {trial.state} with {trial.error.strip().splitlines()[0][:200]}"
    return f"it is {trial.state}; only finished trials keep weights"


def _inside(folder: Path, record: ArtifactRecord) -> Path:
    """The file of a record; ExportError where a link would lead out of the folder."""
    path = folder / record.path
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ExportError(f"the weights {record.path!r} lie outside of {folder}: they are not used")
    return path


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror or error}") from None
