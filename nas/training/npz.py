"""Arrays in one ``.npz`` file: ``x`` and ``y``, or ``x_train``, ``y_train``, ``x_val`` and ``y_val``."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from nas.errors import DataError
from nas.training.assembly import Part, assemble
from nas.training.task import TaskData

WHOLE = ("x", "y")
PARTS = ("x_train", "y_train", "x_val", "y_val")
MOST_CLASSES = 100_000


def load_npz(argument: str, split_seed: int) -> TaskData:
    """Images (N, C, H, W), (N, H, W, C) with 1, 3 or 4 channels, or (N, H, W); labels (N,) from 0 on.

    Images are uint8, or floats, which are taken as they are. Gray images get three equal channels, those of a
    fourth channel lose it. Without ``x_val`` a fifth of each class is held out.
    """
    arrays = _read(argument)
    parts = [_part(arrays, x, y, argument) for x, y in _pairs(arrays, argument)]
    if len({part[0].shape[1:] for part in parts}) > 1:
        shapes = " and ".join(str(tuple(part[0].shape[1:])) for part in parts)
        raise _error(argument, f"x_train and x_val hold images of other shapes: {shapes}")
    classes = 1 + max(int(part[1].max()) for part in parts)
    if classes < 2:
        raise _error(argument, "all labels are 0: at least 2 classes are needed")
    return assemble(
        parts[0],
        class_names=[str(number) for number in range(classes)],
        split_seed=split_seed,
        validation=parts[1] if len(parts) > 1 else None,
    )


def _error(path: str, problem: str) -> DataError:
    return DataError(f"--data npz:{path}: {problem}")


def _read(argument: str) -> dict[str, np.ndarray]:
    """The arrays of the file that are used; pickled objects are refused."""
    if not argument:
        raise DataError(
            "--data npz needs a file: npz:PATH, as numpy.savez(PATH, x=images, y=labels) writes it"
        )
    path = Path(argument).expanduser()
    if not path.is_file():
        raise _error(argument, "there is no such file")
    try:
        with path.open("rb") as file:  # numpy leaves a file open that turns out to be damaged
            content = np.load(file, allow_pickle=False)
            if not isinstance(content, np.lib.npyio.NpzFile):
                raise _error(
                    argument,
                    "this is a single array; numpy.savez(PATH, x=images, y=labels) writes what is read",
                )
            return {name: content[name] for name in content.files if name in (*WHOLE, *PARTS)}
    except (ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())[:160]
        if "allow_pickle" in reason or "pickled" in reason:
            raise _error(argument, "pickled objects are not read; save plain arrays by numpy.savez") from None
        raise _error(argument, f"damaged or not an .npz file ({reason})") from None


def _pairs(arrays: dict[str, np.ndarray], argument: str) -> list[tuple[str, str]]:
    """The names of the images and labels of each part."""
    if all(name in arrays for name in PARTS):
        return [PARTS[:2], PARTS[2:]]
    for pair in (WHOLE, PARTS[:2]):
        if all(name in arrays for name in pair):
            return [pair]
    found = ", ".join(sorted(arrays)) or "none of them"
    raise _error(argument, f"it must hold the arrays x and y, or {', '.join(PARTS)}; found: {found}")


def _part(arrays: dict[str, np.ndarray], x: str, y: str, argument: str) -> Part:
    images, labels = arrays[x], arrays[y]
    if images.ndim and labels.ndim and len(images) != len(labels):
        raise _error(argument, f"{x} holds {len(images)} images but {y} {len(labels)} labels")
    return _checked_images(images, x, argument), _checked_labels(labels, y, argument)


def _checked_images(images: np.ndarray, name: str, argument: str) -> torch.Tensor:
    """Images (N, C, H, W), uint8 or float32 without NaN."""
    images = _channels_first(images, name, argument)
    if images.dtype == np.uint8:
        return torch.from_numpy(np.ascontiguousarray(images))
    if images.dtype.kind != "f":
        raise _error(argument, f"{name} must be uint8 or floating point, not {images.dtype}")
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(images, dtype=np.float32)
    if not np.isfinite(floats).all():
        row = int(np.flatnonzero(~np.isfinite(floats).all(axis=(1, 2, 3)))[0])
        raise _error(argument, f"{name} holds NaN or infinity, first in image {row}")
    return torch.from_numpy(floats)


def _channels_first(images: np.ndarray, name: str, argument: str) -> np.ndarray:
    shape = images.shape
    if 0 in shape or images.ndim not in (3, 4):
        raise _error(
            argument, f"{name} must have the shape (N, C, H, W), (N, H, W, C) or (N, H, W), not {shape}"
        )
    if images.ndim == 3:
        images = images[:, None]
    elif shape[1] not in (1, 3, 4) and shape[3] in (1, 3, 4):
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1] == 1:
        return images.repeat(3, axis=1)
    return images[:, :3] if images.shape[1] == 4 else images


def _checked_labels(labels: np.ndarray, name: str, argument: str) -> torch.Tensor:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise _error(
            argument,
            f"{name} must hold whole numbers of shape (N,), not {labels.dtype} of shape {labels.shape}",
        )
    if int(labels.min()) < 0 or int(labels.max()) >= MOST_CLASSES:
        raise _error(argument, f"{name} must hold classes from 0 on, found {labels.min()} to {labels.max()}")
    return torch.from_numpy(labels.astype(np.int64))
