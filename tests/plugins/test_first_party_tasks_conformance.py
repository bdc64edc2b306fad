"""Every task of our own under the conformance kit, on small data in the formats that they read."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nas.plugins import default_registry
from nas.testing import TaskConformance
from nas.training import cifar
from nas.training.cifar import CIFAR10, CIFAR100, Release

SAMPLES = 200
CLASSES = 4
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (SAMPLES, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(SAMPLES) % CLASSES
WITHOUT_ARGUMENT = ("digits", "cbf")
WITH_ARGUMENT = ("cifar10", "cifar100", "folder", "npz", "hf")


@pytest.mark.parametrize("task", WITHOUT_ARGUMENT, scope="class")
class TestWholeTasks(TaskConformance):
    pass


class TestLargeDigits(TaskConformance):
    test_opens_the_same_in_a_fresh_process = None  # type: ignore[assignment]  # as the small ones do

    @pytest.fixture
    def task(self) -> str:
        return "digits"

    @pytest.fixture
    def argument(self) -> str:
        return "16"


class TestNpz(TaskConformance):
    @pytest.fixture
    def task(self) -> str:
        return "npz"

    @pytest.fixture
    def argument(self, tmp_path: Path) -> str:
        path = tmp_path / "data.npz"
        np.savez(path, x=PICTURES.transpose(0, 3, 1, 2), y=LABELS)
        return str(path)


class TestSplitNpz(TaskConformance):
    own_split = True
    test_opens_the_same_in_a_fresh_process = None  # type: ignore[assignment]  # as the one that is not split

    @pytest.fixture
    def task(self) -> str:
        return "npz"

    @pytest.fixture
    def argument(self, tmp_path: Path) -> str:
        path = tmp_path / "data.npz"
        x = PICTURES.transpose(0, 3, 1, 2)
        np.savez(path, x_train=x[:150], y_train=LABELS[:150], x_val=x[150:], y_val=LABELS[150:])
        return str(path)


class TestFolder(TaskConformance):
    @pytest.fixture
    def task(self) -> str:
        return "folder"

    @pytest.fixture
    def argument(self, tmp_path: Path) -> str:
        image = pytest.importorskip("PIL.Image")
        for number, (picture, label) in enumerate(zip(PICTURES[:40], LABELS[:40], strict=True)):
            path = tmp_path / f"class{label}" / f"{number:02}.png"
            path.parent.mkdir(exist_ok=True)
            image.fromarray(picture).save(path)
        return f"{tmp_path}@8"


class CifarConformance(TaskConformance):
    """CIFAR's format with fewer pictures; another process knows the official sizes only."""

    test_opens_the_same_in_a_fresh_process = None  # type: ignore[assignment]

    @pytest.fixture
    def argument(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        release = self.release
        for name, count in release.files:
            records = RNG.integers(0, 256, (count, release.record), dtype=np.uint8)
            records[:, release.label_bytes - 1] = np.arange(count) % release.classes
            (tmp_path / name).write_bytes(records.tobytes())
        monkeypatch.setattr(cifar, release.title.replace("-", ""), release)
        return str(tmp_path)

    release: Release


class TestCifar10(CifarConformance):
    release = replace(CIFAR10, files=tuple((name, 40) for name, _ in CIFAR10.files))

    @pytest.fixture
    def task(self) -> str:
        return "cifar10"


class TestCifar100(CifarConformance):
    release = replace(CIFAR100, files=(("train.bin", 800), ("test.bin", 200)))

    @pytest.fixture
    def task(self) -> str:
        return "cifar100"


class TestHub(TaskConformance):
    """With a stand-in for the package `datasets`, which another process does not have."""

    test_opens_the_same_in_a_fresh_process = None  # type: ignore[assignment]

    @pytest.fixture
    def task(self) -> str:
        return "hf"

    @pytest.fixture
    def argument(self, monkeypatch: pytest.MonkeyPatch) -> str:
        image = pytest.importorskip("PIL.Image")
        rows = Rows(
            {"image": image.fromarray(picture), "label": int(label)}
            for picture, label in zip(PICTURES[:60], LABELS[:60], strict=True)
        )
        names = [f"class{number}" for number in range(CLASSES)]
        rows.features = {"image": Image(), "label": ClassLabel(names)}
        package = SimpleNamespace(
            load_dataset=lambda *_, **__: {"train": rows}, Image=Image, ClassLabel=ClassLabel
        )
        monkeypatch.setitem(sys.modules, "datasets", package)
        return "someone/pictures@8"


class Image:
    """The feature of a column of pictures."""


class ClassLabel:
    """The feature of a column of classes."""

    def __init__(self, names: list[str]) -> None:
        self.names = names


class Rows(list[dict[str, Any]]):
    """One split of a data set."""

    features: dict[str, Any]


def test_none_is_left_out() -> None:
    offered = {name for plugin, name in default_registry().tasks.offered() if plugin.distribution == "nas"}
    assert offered == {*WITHOUT_ARGUMENT, *WITH_ARGUMENT}
