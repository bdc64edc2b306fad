"""The handwritten digits that come with scikit-learn: real data, no download, 1,797 images of 8x8 pixels."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from nas.errors import DataError
from nas.training.assembly import assemble
from nas.training.task import TaskData

NATIVE_SIZE = 8
LARGEST_SIZE = 256
DARKEST = 16  # scikit-learn counts 0 to 16


def load_digits(argument: str, split_seed: int) -> TaskData:
    """The digits with three equal channels, at 8 pixels or enlarged to the size in `argument`."""
    from sklearn import datasets

    size = _size(argument)
    found = datasets.load_digits()
    gray = torch.from_numpy(found.images).float().mul(255 / DARKEST).unsqueeze(1)
    if size != NATIVE_SIZE:
        gray = F.interpolate(gray, size=(size, size), mode="bilinear", align_corners=False)
    inputs = gray.round().to(torch.uint8).repeat(1, 3, 1, 1)
    labels = torch.from_numpy(found.target).long()
    return assemble((inputs, labels), class_names=[str(d) for d in range(10)], split_seed=split_seed)


def _size(argument: str) -> int:
    if not argument:
        return NATIVE_SIZE
    known = argument.isascii() and argument.isdigit() and len(argument) < 6
    if not (known and NATIVE_SIZE <= int(argument) <= LARGEST_SIZE):
        raise DataError(
            f"--data digits:{argument[:40]}: after the colon stands a size from {NATIVE_SIZE} "
            f"to {LARGEST_SIZE} pixels, as in digits:16"
        )
    return int(argument)
