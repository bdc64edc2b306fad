"""Which plugins a study uses: recorded with it, asked for when it goes on, needed wherever its trials run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nas.errors import MissingPluginError

if TYPE_CHECKING:
    from nas.plugins import Names, Plugin, Registry
    from nas.search.study import StudySpec
    from nas.spaces import Space
    from nas.store import Store


def plugins_used(spec: StudySpec, space: Space, registry: Registry) -> list[Plugin]:
    """The plugins that provide what a study uses, each once: blocks, targets, task, searcher, ..."""
    return sorted(set(_providers(spec, space, registry)), key=lambda plugin: plugin.key)


def _providers(spec: StudySpec, space: Space, registry: Registry) -> Iterator[Plugin]:
    names: tuple[tuple[Names[object], tuple[str, ...]], ...] = (
        (registry.blocks, space.block_names),  # type: ignore[assignment]
        (registry.cost_models, (spec.cost_model,)),
        (registry.tasks, (spec.data.partition(":")[0],)),
        (registry.searchers, (spec.searcher,)),
        (registry.proxies, (*spec.proxies, *(objective.name for objective in spec.objectives))),
        (registry.targets, tuple(label.partition("/")[0] for label in spec.target_labels)),
        (registry.spaces, (spec.space,)),
    )
    for provided, wanted in names:
        yield from (provided.provider(name) for name in wanted if name in provided)


def worker_plugins(spec: StudySpec, space: Space, registry: Registry) -> list[Plugin]:
    """Those of them that a worker needs to train: the providers of the blocks and of the task."""
    task = spec.data.partition(":")[0]
    found = {registry.blocks.provider(name) for name in space.block_names if name in registry.blocks}
    if task in registry.tasks:
        found.add(registry.tasks.provider(task))
    return sorted(found, key=lambda plugin: plugin.key)


def check_plugins(store: Store, study: str, registry: Registry) -> None:
    """Warns of plugins whose version changed since the study began.

    Raises MissingPluginError with those that are not loaded at all.
    """
    loaded = {(p.distribution, p.name): p for p in registry.manager.plugins if p.is_loaded}
    recorded = {(p.distribution, p.name): p for p in store.plugins(study)}  # the last record of each stands
    missing = [plugin for key, plugin in recorded.items() if key not in loaded]
    if missing:
        raise MissingPluginError(
            f"study {study!r} uses {' and '.join(map(_named, missing))}, not loaded now.\n"
            f"{' '.join(map(_remedy, missing))} 'nas plugins' shows what is loaded."
        )
    for key, plugin in recorded.items():
        if loaded[key].version != plugin.version:
            what = "the file has changed since" if plugin.is_file else f"it is {loaded[key].version} now"
            sys.stderr.write(f"warning: study {study!r} began with plugin {plugin}; {what}\n")


def _named(plugin: Plugin) -> str:
    return f"plugin {plugin.name!r} ({plugin.module if plugin.is_file else _package(plugin)})"


def _package(plugin: Plugin) -> str:
    return f"package {plugin.distribution} {plugin.version}"


def _remedy(plugin: Plugin) -> str:
    if plugin.is_file:
        return f"Add --plugin {plugin.module}."
    return f"Install it: pip install '{plugin.distribution}=={plugin.version}'."
