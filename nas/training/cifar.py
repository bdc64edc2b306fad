"""CIFAR-10 and CIFAR-100 in their official binary files: records of label bytes, then pixel bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nas.errors import DataError
from nas.training.assembly import assemble
from nas.training.task import TaskData

SHAPE = (3, 32, 32)
PIXELS = 3 * 32 * 32
HOME = "https://www.cs.toronto.edu/~kriz/cifar.html"


@dataclass(frozen=True)
class Release:
    """One of the two data sets: its files with their number of images, and how a record begins.

    `label_bytes` label bytes stand before the pixels; the last of them is the class.
    """

    title: str
    archive: str
    folder: str
    files: tuple[tuple[str, int], ...]
    label_bytes: int
    classes: int
    names_file: str

    @property
    def record(self) -> int:
        """The bytes of one image with its labels."""
        return self.label_bytes + PIXELS


CIFAR10 = Release(
    "CIFAR-10",
    "cifar-10-binary.tar.gz",
    "cifar-10-batches-bin",
    (*((f"data_batch_{number}.bin", 10_000) for number in range(1, 6)), ("test_batch.bin", 10_000)),
    label_bytes=1,
    classes=10,
    names_file="batches.meta.txt",
)
CIFAR100 = Release(
    "CIFAR-100",
    "cifar-100-binary.tar.gz",
    "cifar-100-binary",
    (("train.bin", 50_000), ("test.bin", 10_000)),
    label_bytes=2,
    classes=100,
    names_file="fine_label_names.txt",
)


def load_cifar10(argument: str, split_seed: int) -> TaskData:
    """CIFAR-10 from the folder of its binary files, or from the folder that holds it."""
    return _load(CIFAR10, "cifar10", argument, split_seed)


def load_cifar100(argument: str, split_seed: int) -> TaskData:
    """CIFAR-100 (its 100 fine classes) from the folder of its binary files, or from the one that holds it."""
    return _load(CIFAR100, "cifar100", argument, split_seed)


def _load(release: Release, task: str, argument: str, split_seed: int) -> TaskData:
    """The training files, split; the test file must be there and whole, but a search never looks into it."""
    folder = _find_folder(release, task, argument)
    for name, images in release.files:
        _check_size(folder / name, images * release.record, release)
    parts = [_read(folder / name, release) for name, _ in release.files[:-1]]
    inputs = torch.from_numpy(np.concatenate([images for images, _ in parts]))
    labels = torch.from_numpy(np.concatenate([classes for _, classes in parts]))
    names = _class_names(release, folder)
    return assemble((inputs, labels), class_names=names, split_seed=split_seed, flip=True)


def _find_folder(release: Release, task: str, argument: str) -> Path:
    """The folder that holds the first file; DataError says which file is missing and where to get it."""
    if not argument:
        raise DataError(f"--data {task} needs a folder: {task}:PATH. {_remedy(release)}")
    given = Path(argument).expanduser()
    if not given.is_dir():
        raise DataError(f"{release.title}: there is no folder {str(given)!r}. {_remedy(release)}")
    for folder in (given, given / release.folder):
        if any((folder / name).exists() for name, _ in release.files):
            return folder
    first = release.files[0][0]
    hint = _other_kind(given, release)
    raise DataError(f"{release.title}: {str(given)!r} holds no {first}{hint}. {_remedy(release)}")


def _other_kind(folder: Path, release: Release) -> str:
    """What the folder seems to hold instead."""
    places = (folder, folder / "cifar-10-batches-py", folder / "cifar-100-python")
    if any((place / name).is_file() for place in places for name in ("data_batch_1", "train", "meta")):
        return " but the Python version, whose pickles are not read: take the binary one"
    others = [other for other in (CIFAR10, CIFAR100) if other is not release]
    for other in others:
        if any((place / other.files[0][0]).exists() for place in (folder, folder / other.folder)):
            return f" but {other.title}"
    return ""


def _remedy(release: Release) -> str:
    return f"Get {release.archive} from {HOME} and unpack it."


def _check_size(path: Path, expected: int, release: Release) -> None:
    if not path.is_file():
        raise DataError(
            f"{release.title}: {path.name} is missing in {str(path.parent)!r}. {_remedy(release)}"
        )
    found = path.stat().st_size
    if found != expected:
        what = "is truncated" if found < expected else "is too long"
        raise DataError(
            f"{release.title}: {str(path)!r} {what}: {found:,} bytes, expected {expected:,}. "
            f"{_remedy(release)}"
        )


def _read(path: Path, release: Release) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and classes (N,) int64 of one file."""
    records = np.fromfile(path, dtype=np.uint8).reshape(-1, release.record)
    labels = records[:, release.label_bytes - 1].astype(np.int64)
    if labels.max() >= release.classes:
        row = int(labels.argmax())
        raise DataError(
            f"{release.title}: {str(path)!r} is damaged: image {row} has class {labels[row]}, "
            f"classes end at {release.classes - 1}. {_remedy(release)}"
        )
    return records[:, release.label_bytes :].reshape(-1, *SHAPE).copy(), labels


def _class_names(release: Release, folder: Path) -> list[str]:
    """The names that come with the data, or numbers where their file is missing or odd."""
    return list(_names_in(folder / release.names_file, release.classes)) or [
        str(number) for number in range(release.classes)
    ]


def _names_in(path: Path, classes: int) -> Iterator[str]:
    if path.is_file():
        names = path.read_text(encoding="utf-8", errors="replace").split()
        if len(names) == classes:
            yield from names
