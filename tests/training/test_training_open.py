"""Task references, and the plugin that offers the built-in tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from nas.errors import DataError, UnknownNameError
from nas.plugins import PluginManager, Registry
from nas.training import builtin
from nas.training.open import absolute_reference, open_task
from nas.training.task import Task


def offering(*tasks: Task) -> Registry:
    """A registry that knows these tasks alone."""
    from nas.plugins import hookimpl

    module = ModuleType("toy_tasks")

    @hookimpl
    def nas_tasks() -> tuple[Task, ...]:
        return tasks

    module.nas_tasks = nas_tasks  # type: ignore[attr-defined]
    manager = PluginManager(names=frozenset())
    manager.register(module, "toy")
    return Registry(manager)


@pytest.fixture
def registry() -> Registry:
    return offering(*builtin.nas_tasks())


def test_the_built_in_tasks_are_offered_and_can_be_found(registry: Registry) -> None:
    assert set(registry.tasks) == {"digits", "cifar10", "cifar100", "folder", "npz", "hf"}
    from nas._lazy import resolve

    for task in registry.tasks.values():
        assert callable(resolve(task.load) if isinstance(task.load, str) else task.load)
        assert task.description


def test_offering_tasks_imports_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, nas.training, nas.training.builtin as b; b.nas_tasks(); "
        "sys.exit(' '.join(m for m in ('torch', 'numpy', 'sklearn', 'PIL') if m in sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert found.stderr.strip() == ""


def test_a_reference_is_a_name_and_an_argument(registry: Registry) -> None:
    assert open_task("digits", registry).input.size == (8, 8)
    assert open_task("digits:16", registry).input.size == (16, 16)


def test_the_split_seed_is_passed_on(registry: Registry) -> None:
    assert (
        open_task("digits", registry, 1).fingerprint
        == open_task("digits", registry, split_seed=1).fingerprint
    )
    assert open_task("digits", registry, 1).fingerprint != open_task("digits", registry).fingerprint


def test_an_argument_may_hold_colons() -> None:
    seen: list[str] = []

    def load(argument: str, split_seed: int) -> None:
        seen.append(argument)

    open_task("toy:C:/data:x", offering(Task("toy", load)))  # type: ignore[arg-type]
    assert seen == ["C:/data:x"]


@pytest.mark.parametrize("reference", ["digit", "", ":", "CIFAR10:/data"])
def test_unknown_names(registry: Registry, reference: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown data set"):
        open_task(reference, registry)


def test_the_nearest_name_is_offered(registry: Registry) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'cifar10'"):
        open_task("cifr10:/data", registry)


def test_an_error_of_the_system_is_one_line(tmp_path: Path) -> None:
    def load(argument: str, split_seed: int) -> None:
        (tmp_path / "nowhere").read_bytes()

    with pytest.raises(DataError, match=r"--data toy: '.*nowhere' cannot be read: No such file") as found:
        open_task("toy", offering(Task("toy", load)))  # type: ignore[arg-type]
    assert "\n" not in str(found.value)


def test_too_little_memory_is_one_line() -> None:
    def load(argument: str, split_seed: int) -> None:
        raise MemoryError

    with pytest.raises(DataError, match="--data toy: the data set does not fit into the memory"):
        open_task("toy", offering(Task("toy", load)))  # type: ignore[arg-type]


def test_paths_mean_the_same_from_everywhere(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    assert absolute_reference("cifar10:data", registry) == f"cifar10:{tmp_path}/data"
    assert absolute_reference("folder:data@64", registry) == f"folder:{tmp_path}/data@64"
    assert absolute_reference("npz:~/x.npz", registry) == "npz:/home/someone/x.npz"
    assert absolute_reference("npz:~nobody-at-all/x.npz", registry) == "npz:~nobody-at-all/x.npz"
    assert absolute_reference("digits:16", registry) == "digits:16"
    assert absolute_reference("hf:some/name", registry) == "hf:some/name"
    assert absolute_reference("cifar10:", registry) == "cifar10:"
    assert absolute_reference("cifar10", registry) == "cifar10"


def test_a_relative_path_is_opened(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.zeros((8, 3, 8, 8), dtype=np.uint8), y=np.arange(8) % 2)
    assert open_task("npz:data.npz", registry).classes == 2


def test_every_public_name_is_an_object_and_no_module() -> None:
    import nas.training

    for name in nas.training.__all__:
        found = getattr(nas.training, name)
        assert callable(found), name
        assert found.__module__.startswith("nas.training."), name
    with pytest.raises(AttributeError, match="has no attribute 'Trainer'"):
        nas.training.Trainer  # noqa: B018
