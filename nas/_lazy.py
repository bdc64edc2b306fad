"""Public names that are imported at their first use, so that `import nas` stays light."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module `__getattr__` that finds each public name in the module that defines it.

    `homes` maps a public name to the module it lives in, e.g. ``{"Space": "nas.spaces.space"}``.
    """

    def __getattr__(name: str) -> Any:  # noqa: N807
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(home), name)

    return __getattr__


def resolve(reference: str) -> Any:
    """The object behind ``"package.module:name"``; imports the module.

    >>> resolve("math:floor")(2.5)
    2
    """
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)
