"""Loading plugins: one broken one costs a warning, never the command."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType, SimpleNamespace

import pytest

from nas import Block, hookimpl
from nas.errors import PluginError, UnknownNameError
from nas.plugins import PluginManager, Registry, load_plugins
from nas.plugins import manager as manager_module


def block(name: str) -> Block:
    return Block(name=name, role="block", domain="image", build="nowhere:Nothing")


def module(name: str, **contents: object) -> ModuleType:
    made = ModuleType(name)
    for key, value in contents.items():
        setattr(made, key, value)
    return made


def offering(*names: str) -> ModuleType:
    """A plugin module that offers blocks of these names."""

    @hookimpl
    def nas_blocks() -> list[Block]:
        return [block(name) for name in names]

    return module("offering_" + "_".join(names), nas_blocks=nas_blocks)


def install(monkeypatch: pytest.MonkeyPatch, *plugins: tuple[str, str, object]) -> None:
    """Pretends that distributions offer entry points: (distribution, entry point, module or exception)."""
    points = []
    for distribution, name, content in plugins:
        module_name = f"fake_{distribution}_{name}".replace("-", "_")
        if isinstance(content, ModuleType):
            monkeypatch.setitem(sys.modules, module_name, content)
        point = EntryPoint(name=name, value=module_name, group="nas")
        vars(point).update(dist=SimpleNamespace(name=distribution, version="1.2"))
        points.append((point, content))

    def load(self: EntryPoint) -> object:
        content = next(content for point, content in points if point.value == self.value)
        if isinstance(content, BaseException):
            raise content
        if callable(content):
            return content()
        return content

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(manager_module, "entry_points", lambda group: [point for point, _ in points])


def test_a_plugins_blocks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("nas-mine", "mine", offering("gate")))
    registry = Registry(load_plugins())
    assert list(registry.blocks) == ["gate"]
    assert registry.blocks["mine/gate"] is registry.blocks["gate"]
    assert registry.blocks.provider("gate").distribution == "nas-mine"


@pytest.mark.parametrize(
    "error", [ImportError("no module named x"), SystemExit(3), ValueError("a\nb"), RecursionError()]
)
def test_an_import_failure_is_one_warning_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    install(monkeypatch, ("nas-bad", "bad", error), ("nas-good", "good", offering("gate")))
    registry = Registry(load_plugins())
    assert list(registry.blocks) == ["gate"]
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    assert "nas-bad 1.2" in warning
    assert type(error).__name__ in warning


def test_ctrl_c_during_an_import_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("nas-slow", "slow", KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        load_plugins()


def test_equal_entry_point_names_both_load(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("nas-a", "blocks", offering("one")), ("nas-b", "blocks", offering("two")))
    assert set(Registry(load_plugins()).blocks) == {"one", "two"}


def test_two_providers_of_one_name_are_named_with_their_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("nas-a", "first", offering("gate")), ("nas-b", "second", offering("gate")))
    blocks = Registry(load_plugins()).blocks
    with pytest.raises(PluginError, match=r"nas-a 1\.2.*nas-b 1\.2.*first/gate.*second/gate"):
        blocks["gate"]
    assert blocks["second/gate"].name == "gate"


def test_printing_at_import_does_not_reach_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> ModuleType:
        print("welcome to my plugin")
        return offering("gate")

    install(monkeypatch, ("nas-loud", "loud", load))
    load_plugins()
    assert capsys.readouterr().out == ""


def test_an_unknown_hook_is_refused_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @hookimpl
    def nas_block() -> list[Block]:
        return []

    install(monkeypatch, ("nas-typo", "typo", module("typo", nas_block=nas_block)))
    (plugin,) = load_plugins().plugins
    assert plugin.error == "unknown hook 'nas_block'; did you mean 'nas_blocks'?"


def test_a_wrong_argument_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    @hookimpl
    def nas_trial_finished(trial: object) -> None:
        return None

    install(monkeypatch, ("nas-args", "args", module("args", nas_trial_finished=nas_trial_finished)))
    (plugin,) = load_plugins().plugins
    assert plugin.error is not None
    assert "'trial'" in plugin.error
    assert "study" in plugin.error


def test_a_hook_that_raises_takes_only_its_own_names_away(monkeypatch: pytest.MonkeyPatch) -> None:
    @hookimpl
    def nas_blocks() -> list[Block]:
        raise RuntimeError("boom")

    install(monkeypatch, ("nas-a", "a", module("a", nas_blocks=nas_blocks)), ("nas-b", "b", offering("gate")))
    manager = load_plugins()
    assert list(Registry(manager).blocks) == ["gate"]
    assert [plugin.error for plugin in manager.broken] == ["nas_blocks raised RuntimeError: boom"]


def test_strict_mode_raises_for_plugin_authors(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, ("nas-bad", "bad", ImportError("no x")))
    monkeypatch.setenv("NAS_PLUGIN_ERRORS", "raise")
    with pytest.raises(PluginError, match=r"nas-bad 1\.2.*ImportError: no x"):
        load_plugins()


@pytest.mark.parametrize(("listed", "found"), [("", set()), ("b", {"two"}), ("a, b", {"one", "two"})])
def test_the_environment_limits_what_is_loaded(
    monkeypatch: pytest.MonkeyPatch, listed: str, found: set[str]
) -> None:
    install(monkeypatch, ("nas-a", "a", offering("one")), ("nas-b", "b", offering("two")))
    monkeypatch.setenv("NAS_PLUGINS", listed)
    assert set(Registry(load_plugins()).blocks) == found


def test_an_unknown_name_offers_the_nearest() -> None:
    manager = PluginManager()
    manager.register(offering("gated", "plain"), "mine")
    with pytest.raises(UnknownNameError, match=r"unknown block 'gatd'. Did you mean 'gated'\?"):
        Registry(manager).blocks["gatd"]


def test_an_observer_that_raises_is_a_warning() -> None:
    heard = []

    @hookimpl
    def nas_trial_finished(result: object) -> None:
        heard.append(result)
        raise ValueError("no room")

    manager = PluginManager()
    manager.register(
        module("observer", nas_trial_finished=nas_trial_finished), "observer", "nas-observer", "2.0"
    )
    warnings = manager.notify("nas_trial_finished", study="s", result=7)
    assert heard == [7]
    assert warnings == ["plugin observer (nas-observer 2.0): nas_trial_finished raised ValueError: no room"]


def test_every_first_party_plugin_loads() -> None:
    manager = load_plugins()
    assert {"base", "hardware", "searchspaces", "searchers", "tasks", "exporters"} <= {
        p.name for p in manager.plugins
    }
    assert manager.broken == ()
    assert all(plugin.hooks for plugin in manager.plugins)
