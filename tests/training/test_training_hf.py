"""Data sets of the Hugging Face hub, with a stand-in for the package `datasets`."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from nas.errors import DataError
from nas.training.hf import load_hf

image = pytest.importorskip("PIL.Image")


class Image:
    """The feature of a column of pictures."""


class Value:
    """The feature of any other column."""


@dataclass
class ClassLabel:
    """The feature of a column of classes."""

    names: list[str] = field(default_factory=lambda: ["cat", "dog"])


class Rows(list[dict[str, Any]]):
    """One split of a data set."""

    features: dict[str, Any]


def rows(count: int, **features: Any) -> Rows:
    made = Rows({"id": n, "picture": image.new("L", (12, 9), n), "animal": n % 2} for n in range(count))
    made.features = features or {"id": Value(), "picture": Image(), "animal": ClassLabel()}
    return made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `datasets.load_dataset` finds: name → splits, or an exception."""
    content: dict[str, Any] = {}

    def load_dataset(name: str) -> Any:
        if isinstance(content[name], Exception):
            raise content[name]
        return content[name]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    return content


def test_the_columns_are_found_by_their_types(hub: dict[str, Any]) -> None:
    hub["pets"] = {"train": rows(10), "test": rows(3)}
    data = load_hf("pets", 0)
    assert data.class_names == ("cat", "dog")
    assert data.input.shape == (3, 32, 32)
    assert (len(data.train_labels), len(data.validation_labels)) == (8, 2)


def test_a_validation_split_and_a_size(hub: dict[str, Any]) -> None:
    hub["someone/pets"] = {"train": rows(10), "validation": rows(4), "test": rows(3)}
    data = load_hf("someone/pets@16", 0)
    assert data.input.size == (16, 16)
    assert data.validation_labels.tolist() == [0, 1, 0, 1]
    assert data.validation_inputs[3, :, 0, 0].tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"test": rows(3)}, "has no split 'train'; it has test"),
        ({"train": rows(4, picture=Image(), text=Value())}, "no column of the type ClassLabel"),
        ({"train": rows(4, animal=ClassLabel())}, "no column of the type Image"),
        ({"train": rows(4, picture=Image(), missing=ClassLabel())}, "row 0 cannot be read"),
        (ConnectionError("no route to the hub"), "cannot be loaded: ConnectionError: no route to the hub"),
    ],
)
def test_data_sets_that_do_not_fit(hub: dict[str, Any], splits: Any, message: str) -> None:
    hub["odd"] = splits
    with pytest.raises(DataError, match=message):
        load_hf("odd", 0)


def test_images_without_a_class(hub: dict[str, Any]) -> None:
    hub["pets"] = {"train": rows(10)}
    hub["pets"]["train"][6]["animal"] = -1
    with pytest.raises(DataError, match="image 6 has no class"):
        load_hf("pets", 0)


def test_a_name_is_needed() -> None:
    with pytest.raises(DataError, match="needs a name: hf:NAME"):
        load_hf("", 0)


def test_without_the_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"needs the package datasets: pip install 'nas\[hf\]'"):
        load_hf("cifar10", 0)
