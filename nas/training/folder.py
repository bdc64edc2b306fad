"""Images in one folder per class, as a tree of files; needs pillow (extra `images`)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nas.errors import DataError
from nas.training.assembly import Part, assemble
from nas.training.pictures import pillow, split_size, square
from nas.training.task import TaskData

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
TRAINING = "train"
VALIDATION = ("val", "valid", "validation")


def load_folder(argument: str, split_seed: int) -> TaskData:
    """``PATH`` or ``PATH@64``: the images below each folder of PATH are one class, named as the folder.

    Where PATH holds ``train`` and ``val`` (or ``valid``, ``validation``), these are the two parts; otherwise
    a fifth of each class is held out. Pictures are cut to their middle square and resized to 32 pixels, or
    those behind ``@``.
    """
    path, size = split_size(argument, "folder")
    root = _checked_root(path)
    training, validation = _parts(root)
    names = _class_names(training)
    part = _read(training, names, size)
    held_out = None if validation is None else _read(validation, names, size)
    return assemble(part, class_names=names, split_seed=split_seed, validation=held_out)


def _checked_root(path: str) -> Path:
    if not path:
        raise DataError(
            "--data folder needs a folder: folder:PATH, or folder:PATH@64 for another size than 32"
        )
    root = Path(path).expanduser()
    if not root.is_dir():
        raise DataError(
            f"there is no folder {str(root)!r}: --data folder:PATH takes a folder with one folder per class"
        )
    return root


def _parts(root: Path) -> tuple[Path, Path | None]:
    """The folders to train on and to validate on, the second None where one folder serves both."""
    held_out = [root / name for name in VALIDATION if (root / name).is_dir()]
    if (root / TRAINING).is_dir() and held_out:
        return root / TRAINING, held_out[0]
    return root, None


def _class_names(root: Path) -> list[str]:
    """The folders with images, in the order of their names."""
    folders = sorted(
        entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )
    names = [name for name in folders if _images(root / name)]
    if not names:
        loose = " (images must stand in one folder per class)" if _images(root) else ""
        raise DataError(f"there are no images below the folders of {str(root)!r}{loose}; {_known_suffixes()}")
    if len(names) == 1:
        raise DataError(f"{str(root)!r} has images of one class only, {names[0]!r}: at least 2 are needed")
    return names


def _images(folder: Path) -> list[Path]:
    """The image files below a folder, in the order of their paths."""
    found = (entry for entry in folder.rglob("*") if entry.suffix.lower() in SUFFIXES)
    return sorted(entry for entry in found if entry.is_file() and not entry.name.startswith("."))


def _known_suffixes() -> str:
    return "files that count: " + " ".join(sorted(SUFFIXES))


def _read(root: Path, names: Sequence[str], size: int) -> Part:
    """All images of one part, class by class."""
    files = [(path, label) for label, name in enumerate(names) for path in _images(root / name)]
    if not files:
        raise DataError(f"there are no images of the classes {', '.join(names[:5])} below {str(root)!r}")
    inputs = np.empty((len(files), 3, size, size), dtype=np.uint8)
    for row, (path, _) in enumerate(files):
        inputs[row] = _picture(path, size)
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    return torch.from_numpy(inputs), labels


def _picture(path: Path, size: int) -> np.ndarray:
    opener = pillow()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", opener.DecompressionBombWarning)
            with opener.open(path) as image:
                return square(image, size)
    except (
        Exception
    ) as error:  # pillow raises what its decoders raise: OSError, SyntaxError, struct.error, ...
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"image {str(path)!r} cannot be read: {reason}. Replace or remove it.") from None
