"""Runs the conformance kit against what is installed, without a test file."""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.errors import PluginError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from nas.plugins import Names, Plugin, Registry


@dataclass(frozen=True)
class Kit:
    """The conformance class of one kind of item, and the fixture that gives it the item."""

    kind: str
    collection: str
    conformance: str
    fixture: str


KITS = (
    Kit("block", "blocks", "BlockConformance", "block"),
    Kit("target", "targets", "TargetConformance", "target"),
    Kit("cost model", "cost_models", "CostModelConformance", "cost_model"),
    Kit("space", "spaces", "SpaceConformance", "space"),
    Kit("task", "tasks", "TaskConformance", "task"),
    Kit("searcher", "searchers", "SearcherConformance", "searcher"),
    Kit("proxy", "proxies", "ProxyConformance", "proxy"),
)
"""Exporters, commands and observers have no kit."""


@dataclass(frozen=True)
class Item:
    """One thing that a plugin offers."""

    kit: Kit
    name: str
    plugin: Plugin


@dataclass(frozen=True)
class Outcome:
    """One check of one item: ``passed``, ``failed`` or ``skipped``, and why where it is not passed."""

    item: Item
    check: str
    status: str
    reason: str = ""


def find_items(name: str, registry: Registry) -> list[Item]:
    """What a name stands for: all that a plugin or a distribution of that name offers, or the items of that
    name.

    Raises PluginError for a plugin that was skipped, UsageError for one that offers nothing which has a kit,
    and UnknownNameError with the nearest name.
    """
    items = list(_all_items(registry))
    of_plugin = [item for item in items if name in (item.plugin.name, item.plugin.distribution)]
    found = of_plugin or [item for item in items if name in _spellings(item, registry)]
    if not found:
        _explain(name, registry)
        plugins = {plugin.name for plugin in registry.manager.plugins}
        raise UnknownNameError("plugin or item", name, {*plugins, *(item.name for item in items)})
    return found


def _spellings(item: Item, registry: Registry) -> tuple[str, ...]:
    """What an item may be called; a target also by its aliases."""
    whole = _spelling(item)
    aliases = registry.targets[whole].device.aliases if item.kit.kind == "target" else ()
    return (item.name, whole, *aliases)


def _explain(name: str, registry: Registry) -> None:
    """Raises what is to be said of a plugin of this name, where there is one."""
    for plugin in registry.manager.plugins:
        if name not in (plugin.name, plugin.distribution):
            continue
        if plugin.error is not None:
            raise PluginError(f"plugin {plugin} was skipped: {plugin.error}")
        raise UsageError(
            f"plugin {plugin} offers nothing that the kit checks; its hooks are {', '.join(plugin.hooks)}"
        )


def run_checks(items: Sequence[Item], listener: Callable[[Outcome], None] | None = None) -> list[Outcome]:
    """Every check of the kit for every item; `listener` hears of each as it is done."""
    import pytest

    collector = _Collector(items, listener)
    with tempfile.TemporaryDirectory(prefix="nas-check-") as folder:
        path = Path(folder) / f"test_{Path(folder).name.replace('-', '_')}.py"  # pytest keeps modules by name
        path.write_text(_source(items), encoding="utf-8")
        (Path(folder) / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        options = [
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            folder,
            "-c",
            f"{folder}/pytest.ini",
        ]
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = pytest.main([*options, str(path)], plugins=[collector])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise RuntimeError(f"the checks could not run:\n{output.getvalue()}")
    return collector.outcomes


def _all_items(registry: Registry) -> Iterator[Item]:
    for kit in KITS:
        names: Names[Any] = getattr(registry, kit.collection)
        for plugin, name in names.offered():
            yield Item(kit, name, plugin)


def _source(items: Sequence[Item]) -> str:
    """A test file with one class for each item."""
    classes = [
        f"class TestItem{number}(testing.{item.kit.conformance}):\n"
        "    @pytest.fixture\n"
        f"    def {item.kit.fixture}(self):\n"
        f"        return {_spelling(item)!r}\n"
        for number, item in enumerate(items)
    ]
    return "\n\n".join(["import pytest\nfrom nas import testing", *classes])


def _spelling(item: Item) -> str:
    return f"{item.plugin.name}/{item.name}"


class _Collector:
    """A plugin of pytest that keeps what became of each check."""

    def __init__(self, items: Sequence[Item], listener: Callable[[Outcome], None] | None) -> None:
        self._items = items
        self._listener = listener
        self.outcomes: list[Outcome] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """One phase of one check; a setup that passes and every teardown say nothing."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            _, group, check = report.nodeid.split("::", 2)
            item = self._items[int(re.sub(r"\D", "", group))]
            outcome = Outcome(item, _readable(check), report.outcome, _reason(report))
            self.outcomes.append(outcome)
            if self._listener is not None:
                self._listener(outcome)


def _readable(check: str) -> str:
    """``test_runs_on_the_meta_device`` as words."""
    return check.removeprefix("test_").replace("_", " ")


def _reason(report: Any) -> str:
    """Why a check did not pass, in one or two lines."""
    if report.passed:
        return ""
    if report.skipped:
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    text = str(report.longrepr)
    crash = getattr(report.longrepr, "reprcrash", None)
    message = (crash.message if crash is not None else text).splitlines()[0].removeprefix("AssertionError: ")
    place = re.search(r"found on: (.*)", text)
    return message + (f" [{place.group(1)}]" if place else "")
