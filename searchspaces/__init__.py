"""The named search spaces, offered through the same hook a stranger would use."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from nas.plugins.hookspecs import hookimpl
from nas.spaces.source import SpaceSource

_FOLDER = Path(__file__).parent


@hookimpl
def nas_spaces() -> Iterator[SpaceSource]:
    """The search spaces by the names of their files, the published networks as ``published/NAME``."""
    for path in sorted(_FOLDER.rglob("*.toml")):
        name = path.relative_to(_FOLDER).with_suffix("").as_posix()
        description = tomllib.loads(path.read_text(encoding="utf-8")).get("description", "")
        yield SpaceSource(name, path, description)
