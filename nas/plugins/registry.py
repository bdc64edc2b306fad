"""Names → objects: what the loaded plugins provide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from nas.errors import PluginError, UnknownNameError
from nas.plugins.load import load_plugins
from nas.plugins.manager import PluginManager
from nas.plugins.plugin import Plugin

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.cli.command import Command
    from nas.costs.model import CostModel
    from nas.costs.operator_rule import OperatorRule
    from nas.costs.target import Target
    from nas.export.exporter import Exporter
    from nas.search.searcher import SearcherFactory
    from nas.spaces.source import SpaceSource
    from nas.training.proxy import Proxy
    from nas.training.task import Task

T = TypeVar("T")
OWN_DISTRIBUTION = "nas"


class Names(Mapping[str, T], Generic[T]):
    """The objects of one kind by name: bare where unique, ``plugin/name`` or ``distribution/name`` always.

    Looking up an unknown name raises UnknownNameError with the nearest one; a name that two plugins provide
    raises PluginError that names both with their versions. The bare names of nas itself stay its own: what
    another package offers under one of them is refused, and `refused` says so.
    """

    def __init__(self, kind: str, provided: list[tuple[Plugin, T]]) -> None:
        self.kind = kind
        self._bare: dict[str, None] = {}
        self._found: dict[str, dict[Plugin, T]] = {}
        self.refused: list[str] = []
        self._provided = provided
        own = {_name(item): plugin for plugin, item in provided if plugin.distribution == OWN_DISTRIBUTION}
        for plugin, item in provided:
            name = _name(item)
            spellings = [name, f"{plugin.name}/{name}", f"{plugin.distribution}/{name}"]
            if name in own and plugin.distribution != OWN_DISTRIBUTION:
                self.refused.append(
                    f"{kind} {name!r} of plugin {plugin} is called like that of plugin {own[name]}; "
                    f"write {spellings[1]!r} for it"
                )
                spellings.pop(0)
            self._bare[name] = None
            for spelling in spellings:
                self._found.setdefault(spelling, {})[plugin] = item

    def __getitem__(self, name: str) -> T:
        return self._only(name)[1]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._bare)

    def __len__(self) -> int:
        return len(self._bare)

    def entries(self) -> list[tuple[str, Plugin, T]]:
        """Every object with its plugin, by a name that means it alone: bare where that is unique."""
        return [(self._shortest(plugin, _name(item)), plugin, item) for plugin, item in self._provided]

    def offered(self) -> list[tuple[Plugin, str]]:
        """Every plugin with each bare name that it provides."""
        return [(plugin, _name(item)) for plugin, item in self._provided]

    def _shortest(self, plugin: Plugin, name: str) -> str:
        found = self._found.get(name, {})
        return name if len(found) == 1 and plugin in found else self._qualified(plugin, name)

    def unique(self) -> dict[str, T]:
        """The objects whose bare name means one of them only."""
        return {name: self[name] for name in self if len(self._found[name]) == 1}

    def provider(self, name: str) -> Plugin:
        """The plugin that provides a name."""
        return self._only(name)[0]

    def _only(self, name: str) -> tuple[Plugin, T]:
        found = self._found.get(name)
        if found is None:
            raise UnknownNameError(self.kind, name, self)
        if len(found) > 1:
            bare = _name(next(iter(found.values())))
            owners = " and ".join(map(str, found))
            qualified = " or ".join(repr(self._qualified(plugin, bare)) for plugin in found)
            raise PluginError(f"{self.kind} {name!r} is provided by {owners}. Write {qualified}.")
        return next(iter(found.items()))

    def _qualified(self, plugin: Plugin, bare: str) -> str:
        """The shortest spelling that means this plugin alone."""
        short = f"{plugin.name}/{bare}"
        return short if len(self._found[short]) == 1 else f"{plugin.distribution}/{bare}"


def _name(item: object) -> str:
    return str(getattr(item, "name"))  # noqa: B009 - any item has a name, none has a common type


class Registry:
    """Everything the loaded plugins provide, each kind collected at its first use."""

    KINDS: ClassVar[tuple[str, ...]] = (
        "blocks",
        "targets",
        "cost_models",
        "operator_rules",
        "spaces",
        "tasks",
        "searchers",
        "proxies",
        "exporters",
        "commands",
    )

    def __init__(self, manager: PluginManager) -> None:
        self.manager = manager

    def _collect(self, kind: str, hook: str) -> Names[Any]:
        names: Names[Any] = Names(kind, list(self.manager.collect(hook)))
        for line in names.refused:
            self.manager.warn(line)
        return names

    def collect_all(self) -> None:
        """Calls every hook that returns something, so that all that is wrong is known."""
        for kind in self.KINDS:
            getattr(self, kind)

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
    def operator_rules(self) -> Names[OperatorRule]:
        """What operators of other libraries take."""
        return self._collect("operator rule", "nas_operator_rules")

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
    def proxies(self) -> Names[Proxy]:
        """Scores of untrained networks."""
        return self._collect("proxy", "nas_proxies")

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
