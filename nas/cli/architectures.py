"""Architectures as the command line names them: a trial, a file, a published network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.cli.options import split_trial
from nas.errors import InputError, NasError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from nas.plugins import Registry
    from nas.spaces.architecture import Architecture


def read_architecture(what: str, store: str, registry: Registry) -> Architecture:
    """The architecture that STUDY#TRIAL, a .json file or the name of a space of one network stands for."""
    from nas.spaces import load_space
    from nas.spaces.architecture import Architecture

    if "#" in what:
        return _stored(what, store)
    if what.endswith(".json"):
        try:
            return Architecture.from_json(Path(what).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{what}: {getattr(error, 'strerror', None) or error}") from None
    try:
        space = load_space(what, registry)
    except UnknownNameError:
        _check_no_study(what, store)
        raise
    size = space.size()
    if size != 1:
        raise UsageError(
            f"{what!r} is a space of {size:,} architectures: name one network, such as published/resnet50, "
            "STUDY#TRIAL, a .json file or package.module:callable"
        )
    return space.decode(next(iter(space.enumerate())))


def _check_no_study(what: str, store: str) -> None:
    """Raises UsageError where a study has the name that no network has."""
    from nas.store import Store

    try:
        with Store.open(store, create=False, read_only=True) as opened:
            opened.study(what)
    except NasError:
        return
    raise UsageError(
        f"{what!r} is a study of {store}: name one of its trials, such as {what}#0; "
        "'nas measure' takes its front with --front"
    )


def _stored(what: str, store: str) -> Architecture:
    from nas.store import Store

    study, number = split_trial(what)
    assert number is not None
    with Store.open(store, create=False, read_only=True) as opened:
        return opened.trial(study, number).architecture
