"""What the command line loads: installed plugins and plugin files, as the environment says."""

from __future__ import annotations

import os
import sys

from nas.plugins.files import plugin_files
from nas.plugins.manager import PluginManager


def load_plugins() -> PluginManager:
    """The manager of all installed plugins, or of those that NAS_PLUGINS lists, and of the plugin files.

    ``NAS_PLUGINS=base,nas-my-blocks`` loads only these entry points, or those of these distributions,
    ``NAS_PLUGINS=`` none; ``NAS_PLUGIN_ERRORS=raise`` stops at the first broken one. Files are those of
    ``--plugin``: they are loaded in any case, and a broken one raises PluginError.
    """
    listed = os.environ.get("NAS_PLUGINS")
    names = None if listed is None else frozenset(n.strip() for n in listed.split(",") if n.strip())
    strict = os.environ.get("NAS_PLUGIN_ERRORS") == "raise"
    manager = PluginManager(names=names, strict=strict, warn=_warn)
    manager.load_entry_points()
    manager.load_files(plugin_files())
    return manager


def _warn(line: str) -> None:
    sys.stderr.write(f"warning: {line}\n")
