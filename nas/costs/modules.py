"""Modules that are named on the command line: ``package.module:callable``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def load_module(reference: str) -> nn.Module:
    """The torch module that ``package.module:callable`` returns; the current folder is looked in first.

    What is named may be a function, a class that needs no arguments, or a module that is built already.
    Raises InputError, which says what could not be found, imported, called or used.
    """
    from torch import nn

    name, _, attribute = reference.partition(":")
    if name.endswith(".py"):
        path = Path(name)
        elsewhere = path.is_absolute() or ".." in path.parts
        module = path.stem if elsewhere else ".".join(path.with_suffix("").parts)
        raise InputError(f"{reference}: name the module and not its file, {module}:{attribute or 'callable'}")
    if not name or not attribute.isidentifier() or not all(part.isidentifier() for part in name.split(".")):
        raise InputError(f"{reference!r} is not of the form package.module:callable")
    with _here_first():
        found = _attribute(reference, name, attribute)
        if not isinstance(found, nn.Module):
            found = _called(reference, found)
    if not isinstance(found, nn.Module):
        raise InputError(f"{reference}: returned {type(found).__name__}, not a torch module")
    return found


def _attribute(reference: str, name: str, attribute: str) -> Any:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{reference}: there is no module {error.name or name!r} here or among the installed ones"
        ) from None
    except (Exception, SystemExit) as error:
        raise InputError(f"{reference}: importing {name!r} raised {_line(error)}") from error
    try:
        return getattr(module, attribute)
    except AttributeError:
        place = getattr(module, "__file__", None) or "no file"
        raise InputError(f"{reference}: the module {name!r} ({place}) has no {attribute!r}") from None
    except Exception as error:  # a module may make its attributes when they are asked for
        raise InputError(f"{reference}: getting {attribute!r} raised {_line(error)}") from error


def _called(reference: str, found: Any) -> Any:
    if not callable(found):
        raise InputError(
            f"{reference} is a {type(found).__name__}, not a torch module or a function that returns one"
        )
    try:
        return found()
    except (Exception, SystemExit) as error:
        raise InputError(f"{reference}: calling it without arguments raised {_line(error)}") from error


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"


@contextmanager
def _here_first() -> Iterator[None]:
    """The current folder in front of everything else that can be imported from."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
