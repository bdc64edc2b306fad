"""The plugins that trials need wherever they run: named, and sent along where they are files."""

from __future__ import annotations

import atexit
import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from nas.errors import MissingPluginError
from nas.plugins.files import add_plugin_files, plugin_files
from nas.plugins.plugin import Plugin
from nas.plugins.registry import default_registry


@dataclass(frozen=True)
class PluginFile:
    """A plugin file with its content."""

    name: str
    content: bytes


@dataclass(frozen=True)
class PluginNeeds:
    """What a worker must have before it can run a trial of a study: installed plugins, and plugin files.

    >>> PluginNeeds().meet()
    """

    installed: tuple[Plugin, ...] = ()
    files: tuple[PluginFile, ...] = ()

    @classmethod
    def of(cls, plugins: Iterable[Plugin]) -> PluginNeeds:
        """The needs of a study that uses these plugins; files are read now."""
        used = list(plugins)
        files = [Path(plugin.module) for plugin in used if plugin.is_file]
        return cls(
            tuple(plugin for plugin in used if not plugin.is_file),
            tuple(PluginFile(path.name, path.read_bytes()) for path in files),
        )

    def meet(self) -> None:
        """Loads the files here where they are not; MissingPluginError names what is not installed here."""
        if self.files:
            self._load_files()
        if self.installed:
            self._check_installed()

    def _load_files(self) -> None:
        here = {_digest(path.read_bytes()) for path in plugin_files() if path.is_file()}
        missing = [file for file in self.files if _digest(file.content) not in here]
        if missing:
            add_plugin_files([_written(file) for file in missing])
            default_registry.cache_clear()

    def _check_installed(self) -> None:
        plugins = default_registry().manager.plugins
        loaded = {(plugin.distribution, plugin.name) for plugin in plugins if plugin.is_loaded}
        broken = {(plugin.distribution, plugin.name): plugin.error for plugin in plugins}
        for plugin in self.installed:
            key = (plugin.distribution, plugin.name)
            if key not in loaded:
                what = f"is broken ({broken[key]})" if key in broken else "is not installed"
                raise MissingPluginError(
                    f"on host {platform.node()} the package {plugin.distribution} {plugin.version} (plugin "
                    f"{plugin.name!r}) {what}: install it there and go on with 'nas resume'"
                )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _written(file: PluginFile) -> Path:
    """The file in a private folder that goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="nas-plugin-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / file.name
    path.write_bytes(file.content)
    return path
