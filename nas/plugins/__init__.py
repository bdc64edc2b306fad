"""Plugins: the hooks, their loading, and the names they provide."""

from nas.plugins.files import add_plugin_files
from nas.plugins.hookspecs import API_VERSION, hookimpl, hookspec
from nas.plugins.load import load_plugins
from nas.plugins.manager import PluginManager
from nas.plugins.needs import PluginNeeds
from nas.plugins.plugin import Plugin
from nas.plugins.registry import Names, Registry, default_registry

__all__ = [
    "API_VERSION",
    "Names",
    "Plugin",
    "PluginManager",
    "PluginNeeds",
    "Registry",
    "add_plugin_files",
    "default_registry",
    "hookimpl",
    "hookspec",
    "load_plugins",
]
