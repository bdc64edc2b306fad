"""Loads plugins one entry point at a time; a broken one costs one warning, never the command."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

import pluggy

from nas.errors import PluginError, nearest
from nas.plugins import hookspecs


@dataclass(frozen=True)
class Plugin:
    """One loaded or refused plugin: where it comes from, and what is wrong with it if anything."""

    name: str
    module: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    error: str | None = None
    seconds: float = 0.0

    @property
    def is_loaded(self) -> bool:
        """Whether its hooks are called."""
        return self.error is None

    def __str__(self) -> str:
        return f"{self.name} ({self.distribution} {self.version})"


class PluginManager:
    """The loaded plugins and a safe way to call their hooks.

    `names` limits loading to these entry-point names (None: all). With `strict`, a broken plugin raises
    PluginError at once instead of being skipped.
    """

    def __init__(self, *, names: frozenset[str] | None = None, strict: bool = False) -> None:
        self._names = names
        self._strict = strict
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
        found = entry_points(group=hookspecs.GROUP)
        for point in sorted(found, key=lambda p: (p.dist.name if p.dist else "", p.name)):
            if self._names is None or point.name in self._names:
                self._load_entry_point(point)

    def register(self, module: ModuleType, name: str, distribution: str = "", version: str = "") -> Plugin:
        """Registers a module that is imported already; for tests and for ``--plugin FILE``."""
        return self._record(Plugin(name, module.__name__, distribution or name, version or "0"), module)

    def _load_entry_point(self, point: EntryPoint) -> None:
        distribution = point.dist.name if point.dist else "unknown"
        version = point.dist.version if point.dist else "0"
        plugin = Plugin(point.name, point.value, distribution, version)
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
        problem = _hook_problem(module)
        if problem is not None:
            return self._refuse(plugin, problem)
        key = f"{plugin.distribution}:{plugin.name}:{plugin.module}"
        try:
            self._pluggy.register(module, name=key)
        except ValueError as error:
            return self._refuse(plugin, str(error), error)
        callers = self._pluggy.get_hookcallers(module) or []
        loaded = replace(plugin, hooks=tuple(sorted(caller.name for caller in callers)))
        self._plugins[key] = loaded
        return loaded

    def _refuse(self, plugin: Plugin, error: str, cause: BaseException | None = None) -> Plugin:
        refused = replace(plugin, error=" ".join(error.split())[:500])
        self._plugins[f"{plugin.distribution}:{plugin.name}:{plugin.module}"] = refused
        if self._strict:
            raise PluginError(f"plugin {refused}: {refused.error}") from cause
        return refused

    def collect(self, hook: str) -> Iterator[tuple[Plugin, Any]]:
        """Every item of every implementation of a hook, with its plugin; a raising one is refused."""
        caller = getattr(self._pluggy.hook, hook)
        for implementation in caller.get_hookimpls():
            plugin = self._plugins[implementation.plugin_name]
            try:
                items: Iterable[Any] = list(implementation.function())
            except Exception as error:
                self._refuse(plugin, f"{hook} raised {type(error).__name__}: {error}", error)
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
            except Exception as error:
                plugin = self._plugins[implementation.plugin_name]
                warnings.append(f"plugin {plugin}: {hook} raised {type(error).__name__}: {error}")
        return warnings


def _hook_problem(module: Any) -> str | None:
    """What is wrong with the hook implementations of a module, or None."""
    known = {name: value for name, value in vars(hookspecs).items() if name.startswith("nas_")}
    for name, function in inspect.getmembers(module, callable):
        if getattr(function, f"{hookspecs.GROUP}_impl", None) is None:
            continue
        if name not in known:
            match = nearest(name, known)
            return f"unknown hook {name!r}" + (f"; did you mean {match!r}?" if match else "")
        allowed = set(inspect.signature(known[name]).parameters)
        extra = set(inspect.signature(function).parameters) - allowed
        if extra:
            return f"hook {name!r} takes {sorted(allowed) or 'no arguments'}, not {sorted(extra)}"
    return None


def load_plugins() -> PluginManager:
    """The manager the command line uses: all installed plugins, or those that NAS_PLUGINS lists.

    ``NAS_PLUGINS=base,hardware`` loads only these entry points, ``NAS_PLUGINS=`` none;
    ``NAS_PLUGIN_ERRORS=raise`` stops at the first broken one.
    """
    listed = os.environ.get("NAS_PLUGINS")
    names = None if listed is None else frozenset(n.strip() for n in listed.split(",") if n.strip())
    manager = PluginManager(names=names, strict=os.environ.get("NAS_PLUGIN_ERRORS") == "raise")
    manager.load_entry_points()
    for plugin in manager.broken:
        sys.stderr.write(f"warning: plugin {plugin} was skipped: {plugin.error}\n")
    return manager
