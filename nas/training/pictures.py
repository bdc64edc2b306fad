"""Pictures of any size and mode → square RGB arrays of one size; needs pillow (extra `images`)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

DEFAULT_SIZE = 32
SIZES = range(8, 1025)


def split_size(argument: str, task: str) -> tuple[str, int]:
    """``PATH@64`` → (``PATH``, 64); the size is 32 where none is given.

    >>> split_size("flowers@64", "folder")
    ('flowers', 64)
    """
    path, found, text = argument.rpartition("@")
    if not found or "/" in text:
        return argument, DEFAULT_SIZE
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) in SIZES):
        raise DataError(
            f"--data {task}:{argument[:80]}: behind '@' stands a size from {SIZES[0]} to {SIZES[-1]} pixels, "
            f"as in {task}:{path[:60]}@64"
        )
    return path, int(text)


def pillow() -> Any:
    """The module PIL.Image; DataError says how to install it."""
    try:
        from PIL import Image
    except ImportError:
        raise DataError("reading images needs pillow: pip install 'nas[images]'") from None
    return Image


def square(picture: Picture, size: int) -> np.ndarray:
    """The middle square of a picture, upright, at `size` pixels: RGB (3, size, size) uint8."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(picture)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a palette with transparency: RGB is what is wanted
        colour = upright.convert("RGB")
    fitted = ImageOps.fit(colour, (size, size), method=Image.Resampling.BILINEAR)
    return np.asarray(fitted, dtype=np.uint8).transpose(2, 0, 1)
