"""Pictures of any kind become square RGB arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nas.errors import DataError
from nas.training.pictures import split_size, square

pil = pytest.importorskip("PIL.Image")


def picture(size: tuple[int, int] = (40, 30), mode: str = "RGB", colour: int = 255) -> Any:
    return pil.new("RGB", size, (colour, colour, colour)).convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "CMYK", "I", "LA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    found = square(picture(mode=mode), 8)
    assert found.shape == (3, 8, 8)
    assert found.dtype == np.uint8
    assert found.min() > 250


def test_the_middle_is_taken() -> None:
    wide = picture((30, 10), colour=0)
    wide.paste((255, 0, 0), (10, 0, 20, 10))
    assert square(wide, 10)[0].min() == 255
    assert square(wide, 10)[1].max() == 0


def test_pictures_stand_upright() -> None:
    lying = picture((10, 10), colour=0)
    lying.paste((255, 255, 255), (0, 0, 5, 10))
    lying.getexif()[0x0112] = 6  # the camera was turned by 90 degrees
    upright = square(lying, 10)
    assert upright[:, :4].min() == 255
    assert upright[:, 6:].max() == 0


def test_the_size_stands_behind_the_last_at_sign() -> None:
    assert split_size("a", "folder") == ("a", 32)
    assert split_size("a@b/c", "folder") == ("a@b/c", 32)
    assert split_size("a@b@64", "hf") == ("a@b", 64)


@pytest.mark.parametrize("size", ["", "x", "7", "1025", "-8", "8.0", "²", "9" * 5000])
def test_other_sizes_are_refused(size: str) -> None:
    with pytest.raises(DataError, match="a size from 8 to 1024 pixels, as in hf:a@64") as caught:
        split_size(f"a@{size}", "hf")
    assert len(str(caught.value)) < 250
