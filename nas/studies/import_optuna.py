"""Reads a study of Optuna from its database or its journal; changes and creates nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import UnknownNameError, UsageError
from nas.search.searchers.quiet import quiet_optuna
from nas.search.trial import TrialState
from nas.studies.foreign import ForeignStudy, ForeignTrial
from nas.studies.optuna_options import Values, options_of

if TYPE_CHECKING:
    import optuna

_SQLITE = b"SQLite format 3\0"
_TABLES = frozenset({"studies", "trials", "version_info"})
_ENDED = {"COMPLETE": TrialState.FINISHED, "PRUNED": TrialState.STOPPED, "FAIL": TrialState.FAILED}


def read_optuna(url: str, study: str | None = None) -> ForeignStudy:
    """The study behind a database URL (``sqlite:///x.db``), a SQLite file or a journal file.

    `study` is its name, needed where there are several. Raises UsageError for what cannot be read,
    UnknownNameError for a name that is not there.
    """
    from nas.store.address import mask

    with quiet_optuna():
        try:
            storage = _open(url)
            name = _study_name(storage, study, mask(url))
            return _read(storage, name, mask(url))
        except (UsageError, UnknownNameError):
            raise
        except Exception as error:
            line = mask(next(iter(str(error).splitlines()), ""))[:300]
            raise UsageError(
                f"{mask(url)} cannot be read as a storage of Optuna: {type(error).__name__}: {line}"
            ) from None


def _open(url: str) -> Any:
    """A storage that nothing is written to."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    path = _path(url)
    if path is None:
        return optuna.storages.RDBStorage(url, skip_table_creation=True)
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}: give the URL or the file of an Optuna study")
    with path.open("rb") as file:
        head = file.read(len(_SQLITE))
    if head == _SQLITE:
        _check_tables(path)
        read_only = f"sqlite:///{path.absolute().as_uri()}?mode=ro&uri=true"
        return optuna.storages.RDBStorage(read_only, skip_table_creation=True)
    if not head.startswith(b"{"):
        raise UsageError(f"{path} is neither a SQLite database nor a journal of Optuna")
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def _path(url: str) -> Path | None:
    """The file a URL or a plain path names; None for a server."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return Path(url)
    if not scheme.startswith("sqlite"):
        return None
    name = rest.removeprefix("/").partition("?")[0]
    if not name or name == ":memory:" or name.startswith("file:"):
        raise UsageError(f"{url}: an Optuna study in SQLite is read from a file: sqlite:///study.db")
    return Path(name)


def _check_tables(path: Path) -> None:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if not tables >= _TABLES:
        raise UsageError(f"{path} is a database, but not one of Optuna: it has no table of its studies")


def _study_name(storage: Any, wanted: str | None, source: str) -> str:
    import optuna

    names = sorted(optuna.get_all_study_names(storage))
    if wanted is not None:
        if wanted not in names:
            raise UnknownNameError("Optuna study", wanted, names)
        return wanted
    if not names:
        raise UsageError(f"{source} holds no study")
    if len(names) > 1:
        shown = ", ".join(repr(name) for name in names[:8]) + (", ..." if len(names) > 8 else "")
        raise UsageError(f"{source} holds {len(names)} studies: choose one by --study-name: {shown}")
    return str(names[0])


def _read(storage: Any, name: str, source: str) -> ForeignStudy:
    import optuna

    study = optuna.load_study(study_name=name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state.name in _ENDED]
    options, notes = options_of(ended)
    values = Values(options)
    return ForeignStudy(
        program="optuna",
        name=name,
        source=source,
        directions=tuple("max" if d.name == "MAXIMIZE" else "min" for d in study.directions),
        metric_names=tuple(study.metric_names or ()),
        options=options,
        trials=tuple(_trial(trial, values) for trial in ended),
        waiting=len(trials) - len(ended),
        notes=tuple(notes),
    )


def _trial(trial: optuna.trial.FrozenTrial, values: Values) -> ForeignTrial:
    state = _ENDED[trial.state.name]
    return ForeignTrial(
        number=trial.number,
        state=state,
        params=values.plain(trial.params),
        values=tuple(trial.values or ()) if state is TrialState.FINISHED else (),
        steps=tuple(sorted(trial.intermediate_values.items())),
        seconds=trial.duration.total_seconds() if trial.duration is not None else None,
        error=str(trial.system_attrs.get("fail_reason", "")),
    )
