"""Loads plugins one at a time; a broken one costs one warning, never the command."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from nas.errors import PluginError, nearest
from nas.plugins import hookspecs
from nas.plugins.checks import hook_problem, items_problem, version_problem
from nas.plugins.files import import_file
from nas.plugins.plugin import Plugin

MESSAGE_LENGTH = 500


class PluginManager:
    """The loaded plugins and a safe way to call their hooks.

    `names` limits loading to entry points of these names, and to those of distributions of these names
    (None: all). With `strict`, a broken plugin raises PluginError at once instead of being skipped; `warn`
    hears of each that is skipped, in one line.
    """

    def __init__(
        self,
        *,
        names: frozenset[str] | None = None,
        strict: bool = False,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        self._names = names
        self._strict = strict
        self._warn = warn
        self._pluggy = pluggy.PluginManager(hookspecs.GROUP)
        self._pluggy.add_hookspecs(hookspecs)
        self._plugins: dict[str, Plugin] = {}

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """All plugins met, loaded or not."""
        return tuple(self._plugins.values())

    @property
    def broken(self) -> tuple[Plugin, ...]:
        """The plugins that were skipped, each with its error."""
        return tuple(plugin for plugin in self._plugins.values() if not plugin.is_loaded)

    def load_entry_points(self) -> None:
        """Loads every entry point of the group, in a fixed order."""
        found = sorted(entry_points(group=hookspecs.GROUP), key=lambda point: (_owner(point), point.name))
        for point in found:
            if self._names is None or {point.name, _owner(point)} & self._names:
                self._load_entry_point(point)
        self._warn_of_unknown_names({name for point in found for name in (point.name, _owner(point))})

    def load_files(self, paths: Sequence[Path]) -> None:
        """Loads plugin files; they were asked for by name, so a broken one raises PluginError."""
        for path in dict.fromkeys(path.resolve() for path in paths):
            begin = time.perf_counter()
            plugin, module = import_file(path)
            problem = version_problem(module) or hook_problem(module)
            if problem is not None:
                raise PluginError(f"--plugin {path}: {problem}")
            self._record(replace(plugin, seconds=time.perf_counter() - begin), module)

    def register(self, module: ModuleType, name: str, distribution: str = "", version: str = "") -> Plugin:
        """Registers a module that is imported already."""
        return self._record(Plugin(name, module.__name__, distribution or name, version or "0"), module)

    def _load_entry_point(self, point: EntryPoint) -> None:
        version = point.dist.version if point.dist else "0"
        plugin = Plugin(point.name, point.value, _owner(point), version)
        begin = time.perf_counter()
        try:
            # A plugin that prints on import must not spoil --json.
            with contextlib.redirect_stdout(io.StringIO()):
                module = point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # SystemExit too: a plugin must not end the command
            self._refuse(plugin, f"{type(error).__name__}: {error}", error)
            return
        self._record(replace(plugin, seconds=time.perf_counter() - begin), module)

    def _record(self, plugin: Plugin, module: Any) -> Plugin:
        problem = version_problem(module) or hook_problem(module)
        if problem is not None:
            return self._refuse(plugin, problem)
        try:
            self._pluggy.register(module, name=plugin.key)
        except ValueError as error:
            return self._refuse(plugin, str(error), error)
        callers = self._pluggy.get_hookcallers(module) or []
        loaded = replace(plugin, hooks=tuple(sorted(caller.name for caller in callers)))
        self._plugins[plugin.key] = loaded
        return loaded

    def _refuse(self, plugin: Plugin, error: str, cause: BaseException | None = None) -> Plugin:
        refused = replace(plugin, error=" ".join(error.split())[:MESSAGE_LENGTH])
        self._plugins[plugin.key] = refused
        if self._strict:
            raise PluginError(f"plugin {refused}: {refused.error}") from cause
        self.warn(f"plugin {refused} was skipped: {refused.error}")
        return refused

    def warn(self, line: str) -> None:
        """Tells the user one line, where somebody listens."""
        if self._warn is not None:
            self._warn(line)

    def _warn_of_unknown_names(self, known: Collection[str]) -> None:
        for name in sorted((self._names or frozenset()) - set(known)):
            match = nearest(name, known)
            hint = f" Did you mean {match!r}?" if match else ""
            self.warn(f"NAS_PLUGINS lists {name!r}, which no installed plugin is called.{hint}")

    def collect(self, hook: str) -> Iterator[tuple[Plugin, Any]]:
        """Every item of every implementation of a hook, with its plugin.

        An implementation that raises, or returns something else than its hook says, is left out whole.
        """
        for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
            plugin = self._plugins[implementation.plugin_name]
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    items = implementation.function()
                    items = list(items) if isinstance(items, Iterator) else items
                problem, cause = items_problem(hook, items), None
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                problem, cause = f"{hook} raised {type(error).__name__}: {error}", error
            if problem is not None:
                self._refuse(plugin, problem, cause)
                continue
            for item in items:
                yield plugin, item

    def notify(self, hook: str, **arguments: Any) -> list[str]:
        """Calls an observer hook; returns one warning line for each plugin that raised."""
        warnings = []
        for implementation in getattr(self._pluggy.hook, hook).get_hookimpls():
            wanted = {name: arguments[name] for name in implementation.argnames}
            try:
                implementation.function(**wanted)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                plugin = self._plugins[implementation.plugin_name]
                line = " ".join(f"{hook} raised {type(error).__name__}: {error}".split())
                warnings.append(f"plugin {plugin}: {line[:MESSAGE_LENGTH]}")
        return warnings


def _owner(point: EntryPoint) -> str:
    """The distribution of an entry point."""
    return point.dist.name if point.dist else "unknown"
