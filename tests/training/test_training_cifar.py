"""CIFAR files: read as they are laid out, refused where they are not what they should be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.errors import DataError
from nas.training import cifar
from nas.training.cifar import CIFAR10, CIFAR100, Release, load_cifar10, load_cifar100

SMALL10 = replace(
    CIFAR10, files=(*((f"data_batch_{n}.bin", 20) for n in range(1, 6)), ("test_batch.bin", 20))
)
SMALL100 = replace(CIFAR100, files=(("train.bin", 400), ("test.bin", 10)))


def write(release: Release, folder: Path) -> None:
    """Files of the right size: class i for image i, each plane a colour and a corner."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in release.files:
        records = np.zeros((count, release.record), dtype=np.uint8)
        records[:, release.label_bytes - 1] = np.arange(count) % release.classes
        planes = records[:, release.label_bytes :].reshape(count, 3, 32, 32)
        planes[:] = np.array([10, 20, 30], dtype=np.uint8)[None, :, None, None]
        planes[:, :, 0, 31] = 99  # the upper right corner: rows come before columns
        (folder / name).write_bytes(records.tobytes())


def empty_files(release: Release, folder: Path) -> None:
    """Files of the official sizes that take no room on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in release.files:
        with (folder / name).open("wb") as file:
            file.truncate(count * release.record)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "CIFAR10", SMALL10)
    monkeypatch.setattr(cifar, "CIFAR100", SMALL100)


@pytest.mark.usefixtures("small")
def test_cifar10_is_read_in_its_layout(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    data = load_cifar10(str(tmp_path), 0)
    assert data.input.shape == (3, 32, 32)
    assert (len(data.train_labels), len(data.validation_labels)) == (80, 20)
    assert data.classes == 10
    assert data.flip
    picture = data.train_inputs[0]
    assert [int(plane[5, 5]) for plane in picture] == [10, 20, 30]
    assert [int(plane[0, 31]) for plane in picture] == [99, 99, 99]
    assert int(picture[0, 31, 0]) == 10


@pytest.mark.usefixtures("small")
def test_cifar100_takes_the_fine_labels(tmp_path: Path) -> None:
    write(SMALL100, tmp_path)
    data = load_cifar100(str(tmp_path), 0)
    assert data.classes == 100
    assert sorted(set(data.train_labels.tolist())) == list(range(100))
    assert data.train_labels.bincount().tolist() == [3] * 100
    assert data.validation_labels.bincount().tolist() == [1] * 100


@pytest.mark.usefixtures("small")
def test_the_test_file_is_never_trained_on(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    before = load_cifar10(str(tmp_path), 0).fingerprint
    (tmp_path / "test_batch.bin").write_bytes(bytes(20 * SMALL10.record))
    assert load_cifar10(str(tmp_path), 0).fingerprint == before


@pytest.mark.usefixtures("small")
def test_the_parent_folder_serves_as_well(tmp_path: Path) -> None:
    write(SMALL10, tmp_path / "cifar-10-batches-bin")
    assert len(load_cifar10(str(tmp_path), 0).train_labels) == 80


@pytest.mark.usefixtures("small")
def test_class_names_come_with_the_data(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    assert load_cifar10(str(tmp_path), 0).class_names == tuple("0123456789")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (tmp_path / "batches.meta.txt").write_text("\n".join(names) + "\n\n")
    assert load_cifar10(str(tmp_path), 0).class_names == tuple(names)


@pytest.mark.usefixtures("small")
def test_a_label_beyond_the_classes_is_damage(tmp_path: Path) -> None:
    write(SMALL10, tmp_path)
    content = bytearray((tmp_path / "data_batch_3.bin").read_bytes())
    content[7 * SMALL10.record] = 200
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"data_batch_3\.bin' is damaged: image 7 has class 200"):
        load_cifar10(str(tmp_path), 0)


def test_a_truncated_file_says_how_many_bytes_are_there(tmp_path: Path) -> None:
    empty_files(CIFAR10, tmp_path)
    with (tmp_path / "data_batch_4.bin").open("r+b") as file:
        file.truncate(12_345_678)
    with pytest.raises(
        DataError, match=r"data_batch_4\.bin' is truncated: 12,345,678 bytes, expected 30,730,000\."
    ):
        load_cifar10(str(tmp_path), 0)


def test_a_file_that_is_too_long_is_refused(tmp_path: Path) -> None:
    empty_files(CIFAR100, tmp_path)
    with (tmp_path / "train.bin").open("r+b") as file:
        file.truncate(50_000 * 3074 + 1)
    with pytest.raises(DataError, match=r"train\.bin' is too long: 153,700,001 bytes, expected 153,700,000"):
        load_cifar100(str(tmp_path), 0)


@pytest.mark.parametrize("name", ["data_batch_5.bin", "test_batch.bin", "data_batch_1.bin"])
def test_a_missing_file_is_named_with_where_to_get_it(tmp_path: Path, name: str) -> None:
    empty_files(CIFAR10, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=rf"{name} is missing in .*cifar-10-binary\.tar\.gz from https://"):
        load_cifar10(str(tmp_path), 0)


def test_a_folder_without_the_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no data_batch_1\.bin\. Get cifar-10-binary"):
        load_cifar10(str(tmp_path), 0)
    with pytest.raises(DataError, match=r"there is no folder .*nowhere"):
        load_cifar10(str(tmp_path / "nowhere"), 0)
    with pytest.raises(DataError, match=r"cifar100 needs a folder: cifar100:PATH"):
        load_cifar100("", 0)


def test_the_python_version_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(b"\x80\x02}")
    with pytest.raises(DataError, match="the Python version, whose pickles are not read"):
        load_cifar10(str(tmp_path), 0)


def test_the_other_data_set_is_recognised(tmp_path: Path) -> None:
    empty_files(CIFAR100, tmp_path)
    with pytest.raises(DataError, match=r"holds no data_batch_1\.bin but CIFAR-100"):
        load_cifar10(str(tmp_path), 0)
    other = tmp_path / "other"
    empty_files(CIFAR10, other)
    with pytest.raises(DataError, match=r"holds no train\.bin but CIFAR-10"):
        load_cifar100(str(other), 0)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    empty_files(CIFAR10, tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    (tmp_path / "data_batch_2.bin").mkdir()
    with pytest.raises(DataError, match=r"data_batch_2\.bin is missing"):
        load_cifar10(str(tmp_path), 0)
