"""The hooks a plugin may implement. Each returns an iterable of frozen dataclasses.

A plugin is a module named by an entry point of the group ``nas``, or one file given by ``--plugin``, whose
functions are marked with ``nas.hookimpl``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from nas.blocks.block import Block
    from nas.cli.command import Command
    from nas.costs.model import CostModel
    from nas.costs.operator_rule import OperatorRule
    from nas.costs.target import Target
    from nas.export.exporter import Exporter
    from nas.search.searcher import SearcherFactory
    from nas.search.trial import TrialResult
    from nas.spaces.source import SpaceSource
    from nas.training.proxy import Proxy
    from nas.training.task import Task

GROUP = "nas"
API_VERSION = 1
"""What a plugin may declare as ``NAS_API_VERSION``; it grows when a hook changes its meaning."""
OLDEST_API_VERSION = 1
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def nas_blocks() -> Iterable[Block]:  # type: ignore[empty-body]
    """Building blocks that spaces may name."""


@hookspec
def nas_targets() -> Iterable[Target]:  # type: ignore[empty-body]
    """Devices with their default precision, batch size, runtime and layout."""


@hookspec
def nas_cost_models() -> Iterable[CostModel]:  # type: ignore[empty-body]
    """Predictors that price an operator trace on a target."""


@hookspec
def nas_operator_rules() -> Iterable[OperatorRule]:  # type: ignore[empty-body]
    """What operators take that another library adds to torch."""


@hookspec
def nas_spaces() -> Iterable[SpaceSource]:  # type: ignore[empty-body]
    """Named search spaces, each a TOML file."""


@hookspec
def nas_tasks() -> Iterable[Task]:  # type: ignore[empty-body]
    """Tasks that ``--data NAME:ARGUMENT`` may name."""


@hookspec
def nas_searchers() -> Iterable[SearcherFactory]:  # type: ignore[empty-body]
    """Searchers that ``--searcher`` may name."""


@hookspec
def nas_proxies() -> Iterable[Proxy]:  # type: ignore[empty-body]
    """Scores of untrained networks that ``--proxy`` may name."""


@hookspec
def nas_exporters() -> Iterable[Exporter]:  # type: ignore[empty-body]
    """Formats that ``nas export --format`` may name."""


@hookspec
def nas_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Further commands of the command line."""


@hookspec
def nas_trial_finished(study: str, result: TrialResult) -> None:
    """Called in the driver after a trial ended and was stored; a failure here is a warning."""
