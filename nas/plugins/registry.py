"""Names → objects: what the loaded plugins provide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nas.errors import PluginError, UnknownNameError
from nas.plugins.manager import Plugin, PluginManager, load_plugins

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.cli.command import Command
    from nas.costs.model import CostModel
    from nas.costs.target import Target
    from nas.export.exporter import Exporter
    from nas.search.searcher import SearcherFactory
    from nas.spaces.source import SpaceSource
    from nas.training.task import Task

T = TypeVar("T")


class Names(Mapping[str, T], Generic[T]):
    """The objects of one kind by name: bare where unique, ``plugin/name`` always.

    Looking up an unknown name raises UnknownNameError with the nearest one; a bare name that two plugins
    provide raises PluginError that names both with their versions.
    """

    def __init__(self, kind: str, provided: list[tuple[Plugin, T]]) -> None:
        self.kind = kind
        self._items: dict[str, T] = {}
        self._providers: dict[str, list[Plugin]] = {}
        self._owners: dict[str, Plugin] = {}
        for plugin, item in provided:
            name = str(getattr(item, "name"))  # noqa: B009
            self._providers.setdefault(name, []).append(plugin)
            self._items.setdefault(name, item)
            self._items[f"{plugin.name}/{name}"] = item
            self._owners.setdefault(name, plugin)
            self._owners[f"{plugin.name}/{name}"] = plugin

    def __getitem__(self, name: str) -> T:
        if name not in self._items:
            raise UnknownNameError(self.kind, name, self)
        providers = self._providers.get(name, [])
        if len(providers) > 1:
            qualified = " or ".join(repr(f"{plugin.name}/{name}") for plugin in providers)
            owners = " and ".join(str(plugin) for plugin in providers)
            raise PluginError(f"{self.kind} {name!r} is provided by {owners}. Write {qualified}.")
        return self._items[name]

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._providers)

    def __len__(self) -> int:
        return len(self._providers)

    def unique(self) -> dict[str, T]:
        """The objects whose bare name is that of one plugin only."""
        return {name: self._items[name] for name in self if len(self._providers[name]) == 1}

    def provider(self, name: str) -> Plugin:
        """The plugin that provides a name."""
        self[name]
        return self._owners[name]


class Registry:
    """Everything the loaded plugins provide, each kind collected at its first use."""

    def __init__(self, manager: PluginManager) -> None:
        self.manager = manager

    def _collect(self, kind: str, hook: str) -> Names[Any]:
        return Names(kind, list(self.manager.collect(hook)))

    @cached_property
    def blocks(self) -> Names[Block]:
        """Building blocks."""
        return self._collect("block", "nas_blocks")

    @cached_property
    def targets(self) -> Names[Target]:
        """Devices with their default profile."""
        return self._collect("target", "nas_targets")

    @cached_property
    def cost_models(self) -> Names[CostModel]:
        """Predictors."""
        return self._collect("cost model", "nas_cost_models")

    @cached_property
    def spaces(self) -> Names[SpaceSource]:
        """Named search spaces."""
        return self._collect("space", "nas_spaces")

    @cached_property
    def tasks(self) -> Names[Task]:
        """Tasks."""
        return self._collect("data set", "nas_tasks")

    @cached_property
    def searchers(self) -> Names[SearcherFactory]:
        """Searchers."""
        return self._collect("searcher", "nas_searchers")

    @cached_property
    def exporters(self) -> Names[Exporter]:
        """Export formats."""
        return self._collect("export format", "nas_exporters")

    @cached_property
    def commands(self) -> Names[Command]:
        """Further commands."""
        return self._collect("command", "nas_commands")


@cache
def default_registry() -> Registry:
    """The registry of all installed plugins, loaded once per process."""
    return Registry(load_plugins())
