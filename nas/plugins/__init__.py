"""Plugins: the hooks, their loading, and the names they provide."""

from nas.plugins.hookspecs import hookimpl, hookspec
from nas.plugins.manager import Plugin, PluginManager, load_plugins
from nas.plugins.registry import Names, Registry, default_registry

__all__ = [
    "Names",
    "Plugin",
    "PluginManager",
    "Registry",
    "default_registry",
    "hookimpl",
    "hookspec",
    "load_plugins",
]
