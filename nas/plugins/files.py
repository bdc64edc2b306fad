"""Plugins that are one file, given by ``--plugin FILE``."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import os
import sys
import traceback
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from nas.errors import PluginError, UsageError
from nas.plugins.plugin import Plugin

VARIABLE = "NAS_PLUGIN_FILES"
"""The environment variable that holds the paths, separated as those of PATH are: workers inherit it."""


def plugin_files() -> list[Path]:
    """The plugin files that this process was given."""
    return [Path(entry) for entry in os.environ.get(VARIABLE, "").split(os.pathsep) if entry]


def add_plugin_files(paths: Sequence[str | Path]) -> None:
    """Has this process and those that it starts load these files; UsageError where one is no Python file."""
    given = plugin_files()
    for path in map(Path, paths):
        if path.suffix != ".py" or not path.is_file():
            kind = "is a folder" if path.is_dir() else "no such Python file"
            raise UsageError(
                f"--plugin {path}: {kind}; give the path of a .py file, or install a package with pip"
            )
        given.append(path.resolve())
    os.environ[VARIABLE] = os.pathsep.join(map(str, dict.fromkeys(given)))


def import_file(path: Path) -> tuple[Plugin, ModuleType]:
    """The plugin of a file, imported under the file's own name; PluginError where that cannot be."""
    name = path.stem
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PluginError(f"--plugin {path}: {error.strerror or error}") from None
    plugin = Plugin(name, str(path), path.name, hashlib.sha256(content).hexdigest()[:12])
    known = sys.modules.get(name)
    if known is not None and _is_of(known.__spec__, content):
        return plugin, known
    if not name.isidentifier():
        raise PluginError(f"--plugin {path}: {name!r} cannot be the name of a module; rename the file")
    found = known.__spec__ if known is not None else importlib.util.find_spec(name)
    if known is not None or (found is not None and not _is_of(found, content)):
        raise PluginError(f"--plugin {path}: {name!r} is the name of another module; rename the file")
    return plugin, _imported(name, path)


def _is_of(spec: ModuleSpec | None, content: bytes) -> bool:
    """Whether a module comes from a file of this content: the same one, or a copy on its way to a worker."""
    origin = Path(spec.origin) if spec is not None and spec.origin else None
    return origin is not None and origin.is_file() and origin.read_bytes() == content


def _imported(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        problem = " ".join(f"{type(error).__name__}: {error}".split())
        raise PluginError(f"--plugin {path}{_line(error, path)}: {problem}") from error
    return module


def _line(error: BaseException, path: Path) -> str:
    """Where in the file an import failed, as ``:12``."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f":{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{frames[-1].lineno}" if frames else ""
