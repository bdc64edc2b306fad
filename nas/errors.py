"""Every error a user can meet.

::

    NasError                     exit 1   something failed; the message says what, where and what to do
    ├── InputError               exit 2   the user's input cannot be used
    │   ├── UsageError                    an option or argument
    │   ├── SpaceError                    a space file or an architecture
    │   ├── TargetError                   a target file or name
    │   ├── DataError                     a data set: missing, truncated, of another shape
    │   └── UnknownNameError              no such space, block, target, ...; offers the nearest name
    ├── StoreError               exit 3   the store cannot be opened, read or written
    ├── PluginError              exit 4   a plugin is broken or clashes with another
    │   └── MissingPluginError            a plugin that a study needs is not there
    ├── BlockError               exit 1   a block built or computed something it must not
    ├── CostError                exit 1   a cost could not be computed
    ├── TrialError               exit 1   an evaluation failed; recorded, the study goes on
    └── ExportError              exit 1   a format could not be written or did not agree with torch

A message is one or two lines: what is wrong, where, what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NasError(Exception):
    """Base of every error that is shown to a user as one or two lines."""

    exit_code = 1


class InputError(NasError):
    """The user's input cannot be used."""

    exit_code = 2


class UsageError(InputError):
    """An option or an argument is wrong."""


class SpaceError(InputError):
    """A space file or an architecture is wrong."""


class TargetError(InputError):
    """A target file or a target name is wrong."""


class DataError(InputError):
    """A data set is missing, truncated or of another shape than expected."""


class UnknownNameError(InputError):
    """A name that nothing provides; the message offers the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} {name!r}. {suggestion(name, known, kind)}")


class StoreError(NasError):
    """The store cannot be opened, read or written."""

    exit_code = 3


class PluginError(NasError):
    """A plugin is broken, missing, or clashes with another."""

    exit_code = 4


class MissingPluginError(PluginError):
    """A plugin that a study needs is not installed here, or not on the host that ran a trial."""


class BlockError(NasError):
    """A block was built or computed something that breaks its contract."""


class CostError(NasError):
    """A cost could not be computed."""


class TrialError(NasError):
    """An evaluation failed; it is recorded and the study goes on."""


class ExportError(NasError):
    """An export format could not be written, or did not agree with torch."""


SHORTEST_PART = 3


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name`, or None where nothing is close.

    >>> nearest("mobil", ["mobile", "cell"])
    'mobile'
    """
    names = list(known)
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.55)
    if matches:
        return matches[0]
    longer = [other for other in names if len(name) >= SHORTEST_PART and name in other]
    return min(longer, key=len) if longer else None


def suggestion(name: str, known: Iterable[str], kind: str = "name") -> str:
    """The sentence that helps after an unknown name: the nearest one, or all there are."""
    names = sorted(known)
    match = nearest(name, names)
    if match is not None:
        return f"Did you mean {match!r}?"
    if not names:
        return f"There is no {kind} at all: is the plugin that provides it installed?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"There are: {shown}"
