"""Image data sets of the Hugging Face hub, or of a local copy of one; needs the extra `hf`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nas.errors import DataError, suggestion
from nas.training.assembly import Part, assemble
from nas.training.pictures import split_size, square
from nas.training.task import TaskData

TRAINING = "train"
VALIDATION = ("validation", "valid", "val")


def load_hf(argument: str, split_seed: int) -> TaskData:
    """``NAME`` or ``NAME@64``: the column of images and the column of class labels of a data set.

    Its ``validation`` split is taken where it has one; its ``test`` split is never looked at. Pictures are
    cut to their middle square and resized to 32 pixels, or those behind ``@``. Code of the data set is never
    run.
    """
    name, size = split_size(argument, "hf")
    if not name:
        raise DataError(
            "--data hf needs a name: hf:NAME, for example hf:cifar10 or hf:zalando-datasets/fashion_mnist"
        )
    splits = _splits(name)
    if TRAINING not in splits:
        raise DataError(f"--data hf:{name} has no split 'train'; it has {', '.join(map(str, splits))}")
    training = splits[TRAINING]
    image, label = _columns(name, training.features)
    names = [str(entry) for entry in training.features[label].names]
    held_out = [splits[split] for split in VALIDATION if split in splits]
    return assemble(
        _read(name, training, image, label, size),
        class_names=names,
        split_seed=split_seed,
        validation=_read(name, held_out[0], image, label, size) if held_out else None,
    )


def _splits(name: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise DataError("--data hf needs the package datasets: pip install 'nas[hf]'") from None
    try:
        return datasets.load_dataset(name)
    except Exception as error:  # of network, hub, format: dozens of kinds
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"--data hf:{name} cannot be loaded: {type(error).__name__}: {reason}") from None


def _columns(name: str, features: Any) -> tuple[str, str]:
    """The columns of images and of class labels."""
    found: dict[str, list[str]] = {"Image": [], "ClassLabel": []}
    for column, feature in features.items():
        found.setdefault(type(feature).__name__, []).append(column)
    for kind, columns in found.items():
        if kind in ("Image", "ClassLabel") and not columns:
            there = suggestion("", features, "column")
            raise DataError(
                f"--data hf:{name} has no column of the type {kind}: it is no image classification. {there}"
            )
    return found["Image"][0], found["ClassLabel"][0]


def _read(name: str, rows: Sequence[Any], image: str, label: str, size: int) -> Part:
    inputs = np.empty((len(rows), 3, size, size), dtype=np.uint8)
    labels = np.empty(len(rows), dtype=np.int64)
    for number, row in enumerate(rows):
        try:
            inputs[number] = square(row[image], size)
            labels[number] = row[label]
        except Exception as error:  # what pillow's decoders raise
            reason = " ".join(str(error).split())[:160]
            raise DataError(f"--data hf:{name}: row {number} cannot be read: {reason}") from None
    if len(labels) and labels.min() < 0:
        raise DataError(f"--data hf:{name}: image {int(labels.argmin())} has no class")
    return torch.from_numpy(inputs), torch.from_numpy(labels)
